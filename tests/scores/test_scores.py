"""The published scores, by their formulas and their invariances."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from earlycall import CurveSet, InputError, rank, scores
from earlycall.approximation.fit import fit
from earlycall.scores import tse
from earlycall.scores.ranks import mean_ranks

STEPS_PER_EPOCH = 7


def random_curves(seed: int, runs: int = 8, epochs: int = 6) -> CurveSet:
    rng = np.random.default_rng(seed)
    k = np.arange(1, epochs * STEPS_PER_EPOCH + 1)
    frames = [
        pl.DataFrame(
            {
                "run": f"run{i}",
                "step": k,
                "epoch": (k - 1) // STEPS_PER_EPOCH,
                "train_loss": rng.uniform(1, 3) / (1 + rng.uniform(0.01, 0.5) * k)
                + rng.uniform(0, 1)
                + rng.normal(0, 0.02, len(k)),
            }
        )
        for i in range(runs)
    ]
    return CurveSet.from_frame(pl.concat(frames))


def order(curves: CurveSet, score: str) -> list[tuple[str, int]]:
    return rank(curves, score=score).table.select("run", "rank").sort("run").rows()


def changed(curves: CurveSet, loss: pl.Expr) -> CurveSet:
    return CurveSet.from_frame(curves.frame().with_columns(loss.alias("train_loss")))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["lcga_d1", "lcga_norm", "lcga_d1_ema",
       "lcga_norm_ema"]), st.sampled_from([1e-9, 0.3, 8.0, 1e9]))  # fmt: skip
def test_lcga_ranks_do_not_change_when_losses_are_scaled(seed, score, factor):
    curves = random_curves(seed)
    assert order(curves, score) == order(changed(curves, pl.col("train_loss") * factor), score)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["tse", "tse_e", "tse_ema", "last_loss"]))
def test_tse_ranks_do_not_change_when_a_constant_is_added_to_all(seed, score):
    curves = random_curves(seed)
    assert order(curves, score) == order(changed(curves, pl.col("train_loss") + 10), score)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_adding_a_constant_leaves_tse_ranks_also_when_lengths_differ(seed):
    rng = np.random.default_rng(seed)
    losses = {str(i): rng.uniform(0, 2, rng.integers(3, 9)) for i in range(6)}
    shifted = {run: values + 100 for run, values in losses.items()}
    for score in ("tse", "tse_ema"):
        assert (
            rank(losses, score=score).table["run"].equals(rank(shifted, score=score).table["run"])
        )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(scores.names()))
def test_the_order_of_runs_and_rows_does_not_matter(seed, score):
    curves = random_curves(seed)
    shuffled = curves.frame().sample(fraction=1.0, shuffle=True, seed=seed)
    assert order(curves, score) == order(CurveSet.from_frame(shuffled), score)


def raw(curves: CurveSet, score: str) -> dict[str, float]:
    return dict(rank(curves, score=score).table.select("run", "raw").rows())


def test_tse_by_its_formula():
    curves = random_curves(1)
    for run, frame in curves.frame().group_by("run"):
        means = frame["train_loss"].to_numpy().reshape(-1, STEPS_PER_EPOCH).mean(axis=1)
        fade = 0.9 ** np.arange(len(means))[::-1]
        assert raw(curves, "tse")[run[0]] == pytest.approx(means.sum())
        assert raw(curves, "tse_e")[run[0]] == pytest.approx(means[-1])
        assert raw(curves, "tse_ema")[run[0]] == pytest.approx((fade * means).sum())


def test_tse_e_over_several_epochs():
    curves = random_curves(1, runs=1).prefixes()[0]
    means = tse.epoch_means(curves.loss, curves.epoch)
    assert tse.tse_e(means, last=3).value[0] == pytest.approx(means[0][-3:].sum())


def test_lcga_by_its_formula():
    curves = random_curves(2)
    found = {name: raw(curves, name) for name in
             ("lcga_d1", "lcga_norm", "lcga_d1_ema", "lcga_norm_ema")}  # fmt: skip
    for curve in curves.prefixes()[0]:
        f = fit(curve.loss)
        slope = f.slope(curve.x).reshape(-1, STEPS_PER_EPOCH)
        norm = slope / np.sqrt(f.curvature(curve.x).reshape(-1, STEPS_PER_EPOCH))
        epochs, burn_in = len(slope), 2
        gamma = 0.999 ** np.array([epochs - t for t in range(1, epochs - burn_in + 1)])
        expected = {
            "lcga_d1": slope[burn_in:].mean(),
            "lcga_norm": norm[burn_in:].mean(),
            "lcga_d1_ema": (gamma * slope[burn_in:].mean(axis=1)).sum(),
            "lcga_norm_ema": (gamma * norm[burn_in:].mean(axis=1)).sum(),
        }
        for name, value in expected.items():
            assert found[name][curve.run] == pytest.approx(value, rel=1e-5), name


def test_burn_in_wherever_a_score_is_named():
    curves = random_curves(2)
    slopes = {c.run: fit(c.loss).slope(c.x).mean() for c in curves.prefixes()[0]}
    ranked = rank(curves, score="lcga_d1", burn_in=0).table
    assert dict(ranked.select("run", "raw").rows()) == pytest.approx(slopes)
    published = rank(curves, score="lcga_d1").table
    assert rank(curves, score="lcga_d1", burn_in=2).table.equals(published)
    with pytest.raises(InputError, match=r"last_loss has no burn-in.* lcga_d1"):
        rank(curves, score="last_loss", burn_in=0)
    with pytest.raises(InputError, match="burn_in=-1 must be 0 or more"):
        rank(curves, score="lcga_d1", burn_in=-1)


def test_simple_scores():
    table = pl.DataFrame(
        {
            "run": ["a"] * 3 + ["b"] * 3,
            "step": [1, 2, 3] * 2,
            "train_loss": [3.0, 1.0, 2.0, 3.0, 2.0, 1.5],
            "val_loss": [None, 4.0, 3.5, None, None, None],
            "val_accuracy": [None, 0.5, 0.25, None, None, None],
        }
    )
    curves = CurveSet.from_frame(table)
    assert raw(curves, "last_loss") == {"a": 2.0, "b": 1.5}
    assert raw(curves, "min_loss") == {"a": 1.0, "b": 1.5}
    assert raw(curves, "last_val_loss")["a"] == 3.5
    assert raw(curves, "best_val_metric")["a"] == 0.5
    row = rank(curves, score="last_val_loss").table.row(1, named=True)
    assert (row["run"], row["rank"], row["status"]) == ("b", None, "unscored")
    assert row["reason"] == "no val_loss within the prefix"


def test_a_flat_curve_has_no_lcga():
    ranking = rank({"flat": [2.0] * 9, "falls": 2 / np.arange(1, 10)}, score="lcga_norm")
    assert ranking.best() == "falls"
    assert dict(ranking.table.select("run", "raw").rows())["flat"] == 0


def test_a_score_of_ones_own():
    @scores.score("steepest")
    def steepest(curve):
        """The largest drop of one step."""
        return float(-np.diff(curve.loss).min())

    ranking = rank({"a": [3.0, 1.0, 0.9], "b": [3.0, 2.5, 1.0]}, score="steepest")
    assert ranking.table.select("run", "score").rows() == [("a", 2.0), ("b", 1.5)]
    assert scores.get("steepest").summary == "The largest drop of one step."


def test_an_unknown_score_suggests_the_nearest():
    with pytest.raises(InputError, match="unknown score 'lcga_d'; did you mean 'lcga_d1'"):
        scores.get("lcga_d")


def test_every_score_has_its_formula_in_its_documentation():
    for name in ("last_loss", "min_loss", "last_val_loss", "best_val_metric", "tse", "tse_e",
                 "tse_ema", "lcga_d1", "lcga_norm", "lcga_d1_ema", "lcga_norm_ema"):  # fmt: skip
        assert "Raw:" in (scores.get(name).compute.__doc__ or ""), name


@pytest.mark.parametrize("kinds", [1, 3, 10**6])
def test_mean_ranks_are_those_of_scipy_row_by_row(kinds):
    values = np.random.default_rng(0).integers(0, kinds, (4, 25)).astype(float)
    values[1, :5] = np.inf
    expected = scipy.stats.rankdata(values, axis=1)
    np.testing.assert_array_equal(mean_ranks(values), expected)
    np.testing.assert_array_equal(mean_ranks(values[1]), expected[1])
    assert mean_ranks(np.empty(0)).shape == (0,)


def test_scores_have_one_order_whichever_was_imported_first():
    program = (
        "import earlycall.scores.lcga; from earlycall import scores; print(*scores.names()[:2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["outlook", "last_loss"]
