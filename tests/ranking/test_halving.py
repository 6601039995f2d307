"""Successive halving on curves: rungs, who goes on, what cannot be judged."""

import math

import numpy as np
import polars as pl
import pytest

from earlycall import CurveSet, InputError
from earlycall.errors import CurveWarning
from earlycall.ranking.halving import Halving
from earlycall.ranking.past import Past


def falling(floor, n=27, rate=0.3):
    return {float(i): floor + math.exp(-rate * i) for i in range(1, n + 1)}


def test_rungs_lie_below_the_end():
    halving = Halving(min_resource=1, reduction_factor=3, max_resource=27)
    assert [halving.rung(r) for r in (0.5, 1, 3, 8.9, 9, 27, 100)] == [None, 1, 3, 3, 9, 9, 9]


def test_only_the_first_report_at_a_rung_is_judged():
    halving = Halving("last_loss", 3, 3)
    runs = {"a": falling(0.1, 3), "b": falling(0.2, 3), "c": falling(0.3, 3), "d": falling(9, 4)}
    assert halving.goes_on("d", runs)  # at 4 steps: its rung was 3
    runs["d"] = falling(9, 3)
    assert not halving.goes_on("d", runs)


def test_a_third_of_those_that_came_goes_on_and_later_losses_do_not_count():
    halving = Halving("last_loss", 3, 3)
    runs = {str(i): falling(i / 10, 3 + i) for i in range(9)}
    best = [run for run in runs if halving.goes_on(run, {**runs, run: falling(int(run) / 10, 3)})]
    assert best == ["0", "1", "2"]


def test_a_score_of_the_whole_curve_is_not_misled_by_one_lucky_loss():
    halving = Halving("tse", 8, 2)
    steady = {float(i): 2.0 - 0.1 * i for i in range(1, 9)}
    lucky = {float(i): 1.9 - 0.02 * i - (0.6 if i == 8 else 0) for i in range(1, 9)}
    assert lucky[8.0] < steady[8.0]
    assert halving.best({"steady": steady, "lucky": lucky}, 1) == {"steady"}
    assert Halving("last_loss", 8, 2).best({"steady": steady, "lucky": lucky}, 1) == {"lucky"}


def test_a_diverged_run_never_goes_on():
    halving = Halving("outlook", 1, 3)
    assert not halving.goes_on("a", {"a": {1.0: math.nan}})
    assert not halving.goes_on("a", {"a": {1.0: math.inf}, "b": {1.0: 5.0}, "c": {1.0: math.nan}})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"min_resource": 0}, "min_resource=0"),
        ({"reduction_factor": 1}, "reduction_factor=1"),
        ({"min_resource": 5, "max_resource": 4}, "max_resource=4"),
        ({"score": "nope"}, "nope"),
    ],
)
def test_bad_arguments_are_named(arguments, said):
    with pytest.raises(InputError, match=said):
        Halving(**arguments)


def test_a_run_without_losses_is_named():
    with pytest.raises(InputError, match="no losses of the run 'x'"):
        Halving().goes_on("x", {})


def test_a_past_without_settings_lets_about_as_many_go_on_as_without():
    rng = np.random.default_rng(0)
    names = [f"old {i}" for i in range(40)]
    losses = {
        name: falling(floor) for name, floor in zip(names, rng.uniform(0, 1, 40), strict=True)
    }
    said_nothing = dict(zip(names, rng.uniform(0, 1, 40).tolist(), strict=True))
    past = Past(losses, said_nothing, {name: {} for name in names})
    runs = {str(i): falling(i / 40, 1) for i in range(40)}
    halving = Halving(min_resource=1, reduction_factor=4, max_resource=27, past=past)
    assert 8 <= sum(halving.goes_on(run, runs) for run in runs) <= 12


def test_a_past_is_a_warm_start():
    """A second run is not compared with the first alone, but with those of the past as well."""
    losses = {f"old {i}": falling(i / 40) for i in range(40)}  # 36 ended worse than at 0.075
    outcomes = {name: of[27.0] for name, of in losses.items()}
    past = Past(losses, outcomes, {name: {} for name in losses})
    blind, halving = Halving(max_resource=27), Halving(max_resource=27, past=past)
    for floor, goes_on in ((0.06, True), (0.09, False), (0.9, False)):
        runs = {"first": falling(0.05, 1), "second": falling(floor, 1)}
        assert not blind.goes_on("second", runs)
        assert halving.goes_on("second", runs) == goes_on
    for rung in (1, 4, 16):
        assert halving.goes_on("alone", {"alone": falling(0.9, rung)})  # else none may ever end
        runs = {"first": falling(0.05, rung), "second": falling(0.9, rung)}
        assert not halving.goes_on("second", runs)


@pytest.mark.parametrize("begun", [0.0, 1.0])
def test_steps_of_a_past_that_are_counted_from_0_are_taken_one_on(begun):
    """But not where the first losses, all alike, are from before training."""
    losses = {f"r{i}": [2.0 + begun * i, 1.0 + i, 0.5 + i] for i in range(5)}
    curves = CurveSet.from_frame(
        pl.DataFrame({
            "run": [run for run in losses for _ in range(3)], "step": [0, 1, 2] * 5,
            "loss": [loss for of in losses.values() for loss in of],
        }),
        pl.DataFrame({"run": list(losses), "final": range(5), "final_metric": "loss"}),
    )  # fmt: skip
    assert sorted(Past.of(curves).losses["r1"]) == [0, 1, 2]
    if begun:
        with pytest.warns(CurveWarning, match="counted from 0, those of this search from 1"):
            assert sorted(Past.of(curves, first=1).losses["r1"]) == [1, 2, 3]
    else:
        assert sorted(Past.of(curves, first=1).losses["r1"]) == [0, 1, 2]
    assert sorted(Past.of(curves, first=0).losses["r1"]) == [0, 1, 2]
