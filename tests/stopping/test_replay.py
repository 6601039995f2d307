"""Replay against numbers worked by hand, and against the monitor."""

import numpy as np
import polars as pl
import pytest

import earlycall as ec
from earlycall.curves import CurveSet
from earlycall.stopping.replay import gain_stops


def rows(*runs, **columns):
    """A curve set of runs (group, run, losses)."""
    table = [
        {"group": g, "run": r, "step": i + 1, "val_loss": loss}
        | {name: give(i) for name, give in columns.items()}
        for g, r, losses in runs
        for i, loss in enumerate(losses)
    ]
    return CurveSet.from_frame(pl.DataFrame(table, infer_schema_length=None), name="set")


TWO = (
    ("g", "a", [4.0, 2.0, 2.0, 1.0]),  # stopped at step 3 with 2: regret (2 − 1)/(4 − 1)
    ("g", "b", [4.0, 3.0, 2.0, 2.0]),  # stopped at its end: no regret
)


def test_by_hand():
    (row,) = ec.replay(rows(*TWO), ["patience:1"]).table.iter_rows(named=True)
    assert list(row)[:7] == [
        "set", "group", "rule", "n", "cost_pct", "regret_pct", "winner_kept",
    ]  # fmt: skip
    assert (row["set"], row["group"], row["rule"], row["n"]) == ("set", "g", "patience:1", 2)
    assert row["cost_pct"] == pytest.approx((75 + 100) / 2)
    assert row["regret_pct"] == pytest.approx((100 / 3 + 0) / 2)
    assert row["winner_kept"] is False
    assert (row["metric"], row["cost"], row["every"]) == ("val_loss", "step", "1")


def test_cost_is_as_recorded():
    curves = rows(*TWO, seconds=lambda i: [1.0, 2.0, 10.0, 40.0][i])
    row = ec.replay(curves, ["patience:1"], cost="seconds").table.row(0, named=True)
    assert row["cost_pct"] == pytest.approx((25 + 100) / 2)


def test_what_cannot_be_judged_is_counted():
    nan = float("nan")
    curves = rows(
        *TWO,
        ("g", "hardly falls", [4.0, 3.95, 3.94]),
        ("g", "rises", [4.0, 5.0, 6.0]),
        ("g", "one loss", [4.0]),
        ("g", "diverges at once", [4.0, nan, 1.0]),
        ("g", "diverges", [4.0, 2.0, nan, 0.5]),  # ends at step 2, without regret
    )
    row = ec.replay(curves, ["patience:1"]).table.row(0, named=True)
    assert (row["n"], row["n_no_gain"], row["n_too_short"]) == (3, 2, 2)
    assert row["cost_pct"] == pytest.approx((75 + 100 + 100) / 3)


def test_the_winner_may_be_stopped_one_percent_short():
    kept = rows(("g", "a", [2.0, 1.005, 1.005, 1.0]), ("g", "b", [2.0, 1.8, 1.7, 1.6]))
    lost = rows(("g", "a", [2.0, 1.015, 1.015, 1.0]), ("g", "b", [2.0, 1.8, 1.7, 1.6]))
    assert ec.replay(kept, ["patience:1"]).table["winner_kept"].to_list() == [True]
    assert ec.replay(lost, ["patience:1"]).table["winner_kept"].to_list() == [False]


def test_groups_count_alike():
    curves = rows(*TWO, ("h", "c", [2.0, 1.0]))
    summary = ec.replay(curves, ["patience:1"]).means().row(0, named=True)
    assert summary["cost_pct"] == pytest.approx((87.5 + 100) / 2)
    assert (summary["groups"], summary["winner_kept"]) == (2, 0.5)


def noisy(n, seed):
    rng = np.random.default_rng(seed)
    x = np.arange(n)
    return (0.5 + 2 * np.exp(-x / n * 8) + 0.03 * rng.normal(size=n)).tolist()


@pytest.mark.parametrize("every", [1, 4, "auto"])
@pytest.mark.parametrize("rule", ["gain:0.1", "gain:0.02", "loss:0.1", "patience:4", "plateau"])
def test_replay_stops_where_the_monitor_does(rule, every):
    for seed in range(4):
        losses = noisy(300, seed)
        monitor = ec.Monitor(rule, every=every)
        at = next((i for i, loss in enumerate(losses) if monitor.update(loss)), 299)
        table = ec.replay(CurveSet.from_losses({"a": losses}), [rule], every=every).table
        assert table["cost_pct"].to_list() == pytest.approx([100 * (at + 1) / 300])


def test_one_pass_serves_all_thresholds():
    losses, costs, thresholds = noisy(400, 1), list(range(400)), [0.3, 0.01, 0.1]
    for every in (1, 3, "auto"):
        alone = [gain_stops(losses, costs, [t], every)[0] for t in thresholds]
        assert gain_stops(losses, costs, thresholds, every) == alone


def test_step_level_logs_are_averaged(digits):
    of_steps = ec.replay(digits, ["gain:0.02"], metric="train_loss").table.row(0, named=True)
    of_epochs = ec.replay(digits, ["gain:0.02"]).table.row(0, named=True)
    assert (of_steps["every"], of_epochs["every"]) == ("auto", "1")
    raw = ec.replay(digits, ["gain:0.02"], metric="train_loss", every=1).table.row(0, named=True)
    assert of_steps["regret_pct"] < 10
    assert raw["regret_pct"] > 40


def test_choose_finds_the_cheapest_threshold():
    curves = CurveSet.from_losses({str(s): noisy(100, s) for s in range(10)})
    choice = ec.replay(curves, choose=3).choice
    assert choice["regret_pct"] < 3
    threshold = float(choice["rule"].split(":")[1])
    dearer = ec.replay(curves, [f"gain:{threshold / 2}"]).table["cost_pct"][0]
    assert choice["cost_pct"] <= dearer
    assert ec.replay(curves, ["patience:1"], choose=1e-9).choice is None


def test_what_cannot_be_replayed_is_said():
    with pytest.raises(ec.InputError, match="no rule was given"):
        ec.replay(rows(*TWO), [])
    with pytest.raises(ec.InputError, match="no run can be judged"):
        ec.replay(rows(("g", "a", [1.0, 1.0])), ["gain:0.1"])
    with pytest.raises(ec.InputError, match="has no column 'seconds'; use one of: step, epoch"):
        ec.replay(rows(*TWO), ["gain:0.1"], cost="seconds")
    with pytest.raises(ec.InputError, match="run 'a': its seconds stay at 0"):
        ec.replay(rows(*TWO, seconds=lambda i: float(-i)), ["gain:0.1"], cost="seconds")
    with pytest.raises(ec.InputError, match="run 'a': 'joules' falls"):
        ec.replay(rows(*TWO, joules=lambda i: float(-i)), ["gain:0.1"], cost="joules")
