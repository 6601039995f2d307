"""Agreement with outcomes, against scipy and by hand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from earlycall import CurveSet, InputError, agreement, evaluate

VALUES = st.lists(st.integers(-5, 5), min_size=4, max_size=30)


@settings(deadline=None)
@given(VALUES, st.randoms(use_true_random=False))
def test_correlations_are_those_of_scipy(values, random):
    outcome = np.array(values, float)
    score = np.array(random.sample(values, len(values)), float)
    a = agreement(score, outcome)
    if np.ptp(outcome) == 0:
        assert a.spearman is None
        return
    assert a.spearman == pytest.approx(spearmanr(score, outcome)[0])
    assert a.kendall == pytest.approx(kendalltau(score, outcome)[0])


def test_the_interval_covers_and_shrinks():
    rng = np.random.default_rng(0)
    widths = []
    for n in (20, 500):
        outcome = rng.normal(size=n)
        a = agreement(outcome + rng.normal(size=n), outcome)
        assert a.low < a.spearman < a.high
        widths.append(a.high - a.low)
    assert widths[1] < widths[0] / 2


def test_top1_regret_is_relative_to_the_spread_between_best_and_median():
    outcome = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert agreement(np.array([0, 0, 0, 0, 1.0]), outcome).top1_regret == 0
    assert agreement(np.array([0, 0, 1.0, 0, 0]), outcome).top1_regret == 1
    assert agreement(np.array([0, 0, 0, 1.0, 1.0]), outcome).top1_regret == 0.25, "ties: the mean"


def test_what_a_score_cannot_tell_counts_as_the_worst():
    outcome = np.array([1.0, 2.0, 3.0, 4.0])
    assert agreement(np.array([np.nan, 2.0, 3.0, 4.0]), outcome).spearman == pytest.approx(1)
    assert agreement(np.full(4, np.nan), outcome).spearman == 0


def study(n: int = 12) -> CurveSet:
    """Runs whose last loss tells the outcome, and some that must be left out."""
    rows = []
    for i in range(n):
        for step in range(1, 41):
            loss = 1.0 + i + 1 / step
            if i == 0 and step > 3:
                loss = float("nan")
            rows.append((f"r{i:02d}", step, loss))
    rows = [row for row in rows if not (row[0] == "r01" and row[1] > 4)]
    final = [None if i == 2 else float(i) for i in range(n)]
    runs = pl.DataFrame({"run": [f"r{i:02d}" for i in range(n)], "final": final})
    table = pl.DataFrame(rows, schema=["run", "step", "train_loss"], orient="row")
    return CurveSet.from_frame(table, runs, name="study")


def test_the_protocol():
    table = evaluate(study(), scores=["last_loss", "lcga_d1"], budgets=[0.1, 0.5]).table
    row = table.row(0, named=True)
    assert row["set"] == "study"
    assert row["n"] + row["excluded"] == 12
    assert row["excluded"] == 3, "a NaN prefix, nothing left to train, no outcome"
    assert row["spearman"] == pytest.approx(1.0)
    assert row["top1_regret"] == 0
    assert table["score"].to_list() == ["last_loss", "lcga_d1"] * 2
    assert evaluate(study(), scores=["last_loss"], budgets=[0.01]).table["n"][0] == 10


def test_higher_is_better_is_read_from_the_column_or_the_metric():
    curves = study()
    better = curves.runs.with_columns(higher_is_better=pl.lit(value=True))
    flipped = CurveSet(curves.observations, better, "s")
    assert evaluate(flipped, scores=["last_loss"], budgets=[0.1]).table["spearman"][0] < -0.99
    named = curves.runs.with_columns(final_metric=pl.lit("test_acc"))
    assert evaluate(CurveSet(curves.observations, named, "s"), scores=["last_loss"],
                    budgets=[0.1]).table["spearman"][0] < -0.99  # fmt: skip


def test_scores_are_those_that_the_metrics_allow(digits):
    from earlycall import read

    names = evaluate(study(), budgets=[0.1]).table["score"].to_list()
    assert "last_val_loss" not in names
    assert "lcga_norm_ema" in names
    assert "best_val_metric" in evaluate(read(digits), budgets=[0.1]).table["score"].to_list()


def test_progress_is_told():
    told = []
    evaluate(study(), scores=["tse"], budgets=[0.1, 0.2], progress=lambda *p: told.append(p))
    assert told == [(1, 2), (2, 2)]


def test_without_outcomes_there_is_nothing_to_compare_with():
    with pytest.raises(InputError, match="no outcomes: name a metric by --outcome"):
        evaluate(CurveSet.from_losses({"a": [1.0], "b": [2.0]}))


def test_the_bundled_runs_are_ranked_well_by_their_last_loss(digits):
    from earlycall import read

    result = evaluate(read(digits), scores=["last_loss"], budgets=[0.1])
    assert result.table["spearman"][0] > 0.7
    assert result.means().height == 1
