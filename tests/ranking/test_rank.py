"""Rankings: ties, divergence, what cannot be compared."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import earlycall as ec
from earlycall import CurveSet, InputError, rank
from earlycall.ranking.rank import ranks

SCORES = ["last_loss", "tse", "lcga_d1"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_ranks_count_from_one_and_ties_share(values):
    values = np.round(values, 2)
    for i, r in enumerate(ranks(values)):
        assert r == 1 + np.sum(values > values[i])


def test_rounding_does_not_decide():
    assert ranks(np.array([0.1 + 0.2, 0.3, 1.0])).tolist() == [2, 2, 1]


@pytest.mark.parametrize("score", SCORES)
def test_diverged_runs_are_last_with_the_reason(score):
    falling = 2 / np.arange(1, 9)
    broken = falling.copy()
    broken[4:] = np.nan
    table = rank({"x": broken, "y": broken, "a": falling, "b": falling + 0.01 * np.arange(8)},
                 score=score).table  # fmt: skip
    assert table["run"].to_list()[2:] == ["x", "y"]
    assert table["rank"].to_list()[2:] == [3, 3]
    assert table["status"].to_list()[2:] == ["diverged", "diverged"]
    assert table["reason"][2] == "train_loss is nan at step 5"


def test_runs_too_short_to_score_are_unranked_with_the_reason():
    ranking = rank({"a": [2.0, 1.5, 1.2], "b": [3.0], "c": [2.0, 1.0, 0.9]}, score="lcga_d1")
    row = ranking.table.row(2, named=True)
    assert (row["run"], row["rank"], row["status"]) == ("b", None, "short")
    assert row["reason"] == "1 observation, the score needs 3"


def test_a_run_that_never_logged_the_metric():
    table = pl.DataFrame({"run": ["a", "b", "c"], "step": [1, 1, 1], "train_loss": [1.0, 2.0, None],
                          "val_loss": [1.0, 1.0, 1.0]})  # fmt: skip
    row = rank(CurveSet.from_frame(table), score="last_loss").table.row(2, named=True)
    assert (row["status"], row["reason"]) == ("missing", "no train_loss was logged")


def test_groups_are_ranked_apart():
    table = pl.DataFrame({"group": list("xxyy"), "run": list("abab"), "step": [1] * 4,
                          "train_loss": [1.0, 2.0, 5.0, 4.0]})  # fmt: skip
    ranking = rank(CurveSet.from_frame(table), score="last_loss")
    assert ranking.table.select("group", "run", "rank").rows() == [
        ("x", "a", 1), ("x", "b", 2), ("y", "b", 1), ("y", "a", 2),
    ]  # fmt: skip
    assert ranking.best("y") == "b"
    assert rank(CurveSet.from_frame(table), score="last_loss", group="y").best() == "b"


def test_the_budget_decides_what_is_seen():
    losses = {"early": [1.0] * 10 + [3.0] * 10, "late": [2.0] * 10 + [0.5] * 10}
    assert rank(losses, score="last_loss", budget=0.5).best() == "early"
    assert rank(losses, score="last_loss").best() == "late"
    assert rank(losses, score="last_loss", steps=10).best() == "early"
    assert rank(losses, score="last_loss", budget=0.25, horizon=80).best() == "late"


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_any_table_can_be_ranked(make):
    table = make({"run": ["a", "b"], "step": [1, 1], "train_loss": [2.0, 1.0]})
    assert rank(table, score="last_loss").best() == "b"


def test_two_runs_are_needed():
    with pytest.raises(InputError, match="only one run"):
        rank({"a": [1.0]})
    table = pl.DataFrame({"group": ["x", "y"], "run": ["a", "b"], "loss": [1.0, 2.0]})
    with pytest.raises(InputError, match="2 groups with one run each"):
        rank(table)


def test_what_is_hard_to_compare_is_said():
    k = np.arange(1, 41)
    scales = {f"r{i}": (1 if i % 2 else 100) / k for i in range(10)}
    assert "first losses range" in rank(scales, score="last_loss").warnings[0]
    lengths = {f"r{i}": 1 / k[: 10 if i % 2 else 40] for i in range(10)}
    assert "prefixes end between step 10 and 40" in rank(lengths, score="last_loss").warnings[0]
    rates = pl.concat(
        pl.DataFrame(
            {"run": f"r{i}", "step": k[:: 1 + 3 * (i % 2)], "loss": 1 / k[:: 1 + 3 * (i % 2)]}
        )
        for i in range(10)
    )
    assert any("logging rates" in w for w in rank(rates, score="last_loss").warnings)
    same = {f"r{i}": i + 1 / k for i in (20, 21)}
    assert rank(same, score="last_loss").warnings == ()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    "losses",
    [[2.0] * 5, [5.0, 4.0, 3.0, 2.0], [2.0, 1.0], [-1.0, -2.0, -5.0], [0.0] * 4, [np.nan] * 3,
     [1.0, np.nan, 2.0], [1e-300] * 4, [1e300, 1e299, 1e298]],
)  # fmt: skip
def test_no_curve_stops_the_others(score, losses):
    ranking = rank({"odd": losses, "a": [3.0, 2.0, 1.0], "b": [3.0, 1.0, 0.5]}, score=score)
    assert set(ranking.table["run"]) == {"odd", "a", "b"}
    told = ranking.table.filter(pl.col("run") != "odd")
    assert told["rank"].null_count() == 0


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_pruned_trials_have_ended_and_have_no_outcome(tmp_path, kind):
    """There is nothing left to stop of them; the last report of a pruned trial is no outcome."""
    optuna = pytest.importorskip("optuna")
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    path = tmp_path / "study"
    storage = f"sqlite:///{path}"
    if kind == "journal":
        storage = JournalStorage(JournalFileBackend(str(path)))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=storage)

    def objective(trial):
        rate = trial.suggest_float("rate", 0.01, 1)
        for step in range(1, 21):
            trial.report(2 / (1 + rate * step), step)
            if step == 4 and trial.number % 4:
                raise optuna.TrialPruned
        return 2 / (1 + rate * 20)

    for i in range(12):
        study.enqueue_trial({"rate": 0.05 * (i + 1)})
    study.optimize(objective, n_trials=12)
    curves = ec.read(path)
    complete = ["trial-0", "trial-4", "trial-8"]
    assert curves.runs.filter(pl.col("final").is_not_null())["run"].to_list() == complete
    ranking = ec.rank(curves)
    assert ranking.stop("all") == ()
    reasons = dict(ranking.table.select("run", "reason").iter_rows())
    assert reasons["trial-1"] == "ended at step 4"
    early = ec.rank(curves.directed("loss", "min"), budget=0.1)  # as it was before any had ended
    assert "ended at step 4" not in early.table["reason"].to_list()
