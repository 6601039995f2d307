"""The default score: its invariances, and that it looks where the group's past says."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earlycall import CurveSet, evaluate, rank
from earlycall.curves import Ragged
from earlycall.scores import get
from earlycall.scores.outlook import Standing, centred_rank


def noisy_curves(seed: int, n: int = 60, runs: int = 30, noise: float = 0.02) -> np.ndarray:
    rng = np.random.default_rng(seed)
    k = np.arange(1, n + 1)
    floor, drop = rng.uniform(0, 1, (runs, 1)), rng.uniform(0.01, 1, (runs, 1))
    return 2 / (1 + drop * k) + floor + rng.normal(0, noise, (runs, n))


def order(losses: np.ndarray, **options: float) -> list[str]:
    return rank(losses, score="outlook", **options).table["run"].to_list()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1e-6, 3.0, 1e6]), st.sampled_from([0, -7.0, 1e3]))
def test_the_order_does_not_change_when_all_losses_are_scaled_and_shifted(seed, factor, shift):
    losses = noisy_curves(seed)
    assert order(losses) == order(factor * (losses + shift / 10))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_does_not_change_with_the_unit_of_steps(seed):
    losses = noisy_curves(seed, runs=8)
    k = np.arange(1, losses.shape[1] + 1)

    def curves(unit):
        return CurveSet.from_frame(
            pl.concat(
                pl.DataFrame({"run": str(i), "step": k * unit, "train_loss": row})
                for i, row in enumerate(losses)
            )
        )

    one, hundred = (rank(curves(u), score="outlook").table["run"].to_list() for u in (1, 100))
    assert one == hundred


def test_one_run_that_rises_to_1e300_hardly_moves_the_others():
    losses = noisy_curves(1)
    wild = np.vstack([losses, np.geomspace(2, 1e300, losses.shape[1])])
    assert order(wild)[-1] == "30"
    places = [[runs.index(f"{i:02d}") for i in range(30)] for runs in (order(wild), order(losses))]
    assert np.corrcoef(places)[0, 1] > 0.98


@pytest.mark.parametrize("smooth", [True, False])
def test_speed_counts_where_the_past_says_that_it_lasts(smooth):
    """Smooth power laws of different exponents against noise around fixed levels."""
    rng = np.random.default_rng(0)
    k = np.arange(1.0, 201)
    if smooth:
        losses = rng.uniform(1, 3, (40, 1)) * k ** -rng.uniform(0.1, 1.0, (40, 1))
    else:
        losses = rng.uniform(1, 3, (40, 1)) + rng.normal(0, 0.5, (40, 200))
    seen = Ragged.of(list(losses[:, :20]))
    a = Standing(seen, Ragged.of([k[:20]] * 40)).persistence()
    assert (a > 0.5) if smooth else (a < 0.3)


def test_better_than_last_loss_and_tse_on_smooth_curves_and_no_worse_on_noisy_ones():
    rng = np.random.default_rng(3)
    k = np.arange(1.0, 201)
    worlds = {
        "smooth": rng.uniform(1, 3, (60, 1)) * k ** -rng.uniform(0.1, 1, (60, 1)),
        "noisy": 2 / (1 + rng.uniform(0.01, 1, (60, 1)) * k) + rng.uniform(0, 1, (60, 1))
        + rng.normal(0, 0.3, (60, 200)),
    }  # fmt: skip
    for name, losses in worlds.items():
        curves = CurveSet.from_losses(losses)
        final = pl.DataFrame({"run": curves.runs["run"], "final": losses[:, -20:].mean(axis=1)})
        judged = CurveSet(curves.observations, curves.runs.join(final, on="run"), name)
        table = evaluate(judged, scores=["outlook", "last_loss", "tse"], budgets=[0.05]).table
        rho = dict(table.select("score", "spearman").rows())
        assert rho["outlook"] > rho["last_loss"] + (0.02 if name == "smooth" else 0), rho
        assert rho["outlook"] > rho["tse"] - 0.02, rho


def test_runs_of_different_budgets_are_compared_at_the_same_step():
    """Half of the runs stop at a quarter of what the others have: their last losses are higher."""
    rng = np.random.default_rng(0)
    k = np.arange(1, 121)
    drop = rng.uniform(0.005, 0.05, 40)
    losses = {f"r{i:02d}": (1 / (1 + drop[i] * k))[: 30 if i % 2 else 120] for i in range(40)}

    def agreement(score):
        table = rank(losses, score=score, horizon=1000).table.sort("run")
        return np.corrcoef(table["rank"].rank(), pl.Series(-drop).rank())[0, 1]

    assert agreement("outlook") > agreement("last_loss") + 0.1


def test_more_training_makes_surer():
    losses = noisy_curves(5, n=400)
    widths = [rank(losses, score="outlook", budget=b).table["se"].mean() for b in (0.05, 0.2, 0.8)]
    assert widths[0] > widths[1] > widths[2]


def test_validation_losses_are_used_where_every_run_has_them():
    k = np.arange(1, 21)
    frames = [
        pl.DataFrame({"run": f"r{i}", "step": k, "train_loss": 1 / k + 0.01 * i,
                      "val_loss": 1 / k + 0.1 * (9 - i)})
        for i in range(10)
    ]  # fmt: skip
    with_val = rank(pl.concat(frames), score="outlook").table
    without = rank(pl.concat(frames).drop("val_loss"), score="outlook").table
    assert without["run"][0] == "r0"
    best = pl.col("run") == "r0"
    assert with_val.filter(best)["raw"].item() < without.filter(best)["raw"].item() - 0.5


@pytest.mark.parametrize("lengths", [[1, 1], [1, 2, 3], [3] * 3, [2, 50]])
def test_short_prefixes_and_small_groups(lengths):
    losses = {str(i): 1 / np.arange(1, n + 1) + i for i, n in enumerate(lengths)}
    table = rank(losses, score="outlook").table
    assert table["rank"].null_count() == 0
    assert np.isfinite(table["se"].to_numpy()).all()


def test_equal_runs_share_a_rank():
    assert rank([[2.0, 1.0]] * 3 + [[2.0, 0.5]], score="outlook").table["rank"].to_list() == [
        1, 2, 2, 2,
    ]  # fmt: skip


def test_ranks_are_centred():
    assert centred_rank(np.array([5.0])).tolist() == [0]
    assert centred_rank(np.arange(4.0)).tolist() == [-0.75, -0.25, 0.25, 0.75]


def test_the_interval_holds_in_a_world_where_standing_fades_as_assumed():
    """Standings that drift at random: the 80 % intervals of the ranks hold 70 to 95 % of them."""
    rng = np.random.default_rng(2)
    held = []
    for _ in range(20):
        walk = np.cumsum(rng.normal(0, 1, (50, 8)), axis=1) + 4 * rng.normal(size=(50, 1))
        doublings = np.array([np.interp(np.log2(np.arange(1, 129)), np.arange(8), w) for w in walk])
        losses = 100 - np.log2(np.arange(1, 129)) * 5 - doublings
        curves = CurveSet.from_losses(losses)
        seen = curves.prefix(budget=0.25).prefixes()[0]
        scored = get("outlook")(seen)
        truth = centred_rank(-losses[:, -1])
        held.append(np.abs(scored.score - truth) < 1.2816 * scored.se)
    assert 0.7 < np.mean(held) < 0.99
