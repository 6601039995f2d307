"""The last or best value of a metric as the outcome."""

import numpy as np
import polars as pl
import pytest

import earlycall as ec
from earlycall.curves import CurveSet
from earlycall.curves.outcomes import outcomes, with_outcome


def logged(runs=6, steps=40, **columns):
    """Runs that log a training loss, an accuracy that falls again, and a number of no direction."""
    rows = [
        {"run": f"r{i}", "step": s, "train_loss": 1 + i / 9 + 2 / s, "val_acc": min(s, 30 - s / 9)
         + i, "zeta": i + s}
        for i in range(runs) for s in range(1, steps + 1)
    ]  # fmt: skip
    table = pl.DataFrame({"run": [f"r{i}" for i in range(runs)], **columns})
    return CurveSet.from_frame(pl.DataFrame(rows), table)


def test_last_and_best():
    curves = logged(2)
    last = with_outcome(curves, "val_acc").runs
    assert last["final"].to_list() == pytest.approx([30 - 40 / 9, 31 - 40 / 9])
    assert last["higher_is_better"].to_list() == [True, True]
    assert with_outcome(curves, "val_acc:best").runs["final"].to_list() == [27.0, 28.0]
    assert with_outcome(curves, "train_loss:best").runs["final"][0] == pytest.approx(1.05)


def test_a_direction_that_is_not_known_is_asked():
    with pytest.raises(ec.InputError, match="zeta:best:min or zeta:best:max"):
        with_outcome(logged(2), "zeta:best")
    up = with_outcome(logged(2), "zeta:best:max").runs
    assert up["final"].to_list() == [40.0, 41.0]
    assert with_outcome(logged(2).directed("zeta", "min"), "zeta:best").runs["final"][0] == 1.0


def test_a_number_of_the_summaries():
    curves = logged(2, **{"summary.test_acc": [0.5, None]})
    for name in ("summary.test_acc", "test_acc"):
        assert with_outcome(curves, name).runs["final"].to_list() == [0.5, None]


def test_a_diverged_run_has_no_last_value():
    curves = CurveSet.from_losses({"a": [2.0, 1.0, np.nan], "b": [2.0, 1.5, 1.4]})
    assert with_outcome(curves, "train_loss").runs["final"].to_list() == [None, 1.4]


def test_a_set_without_outcomes_offers_a_metric():
    curves = logged(2)
    with pytest.raises(ec.InputError, match="such as val_acc:last"):
        outcomes(curves.runs, "x", curves.metrics)
    with pytest.raises(ec.InputError, match="no metric 'acc' to be the outcome"):
        with_outcome(curves, "acc")


def test_evaluate_takes_it():
    found = ec.evaluate(logged(), scores=["last_loss"], budgets=[0.2], outcome="train_loss:last")
    assert found.table["spearman"].to_list() == [1.0]
    with pytest.raises(ec.InputError, match="has no outcomes"):
        ec.evaluate(logged(), scores=["last_loss"])


def test_ranking_learns_only_from_runs_that_have_ended():
    curves = logged()
    short = pl.col("run_id").is_in([0, 1]) & (pl.col("step") > 10)
    curves = CurveSet(curves.observations.filter(~short), curves.runs)
    with pytest.raises(ec.InputError, match="give --horizon, or finished runs"):
        ec.rank(curves, outcome="val_acc")
    ranking = ec.rank(curves, outcome="val_acc", horizon=40)
    assert ranking.learned_from == {"all": 4}
    past = logged()
    past = CurveSet(past.observations, past.runs.with_columns(run=pl.format("old-{}", "run")))
    assert ec.rank(curves, outcome="val_acc", finished=past).learned_from["all"] >= 6
