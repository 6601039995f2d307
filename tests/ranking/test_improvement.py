"""The chance of a better trial: exact where the order does not matter, calibrated with margins."""

import math

import numpy as np
import pytest

from earlycall import InputError
from earlycall.ranking.improvement import SearchLimit, chance_of_improvement


@pytest.mark.parametrize(("margin", "slack"), [(0.0, 0.0), (0.5, 0.08), (2.0, 0.13)])
def test_it_is_as_often_as_it_says_in_a_random_search(margin, slack):
    """4,000 searches; with a margin it says more, since real outcomes thin out less evenly."""
    rng = np.random.default_rng(0)
    values = -rng.exponential(size=(4000, 60))
    told = np.mean([chance_of_improvement(row[:40], margin, trials=20) for row in values])
    came = np.mean(values[:, 40:].min(axis=1) < values[:, :40].min(axis=1) - margin)
    assert came - 0.03 < told < came + slack + 0.03


def test_by_hand():
    outcomes = [9.0, math.inf, 7.0, 8.0, 6.5, math.nan, 6.4, 6.6]  # beaten by 2, 0.5 and 0.1
    assert chance_of_improvement(outcomes, 0.3, trials=4) == pytest.approx(
        (4 * 3 / 5) / (8 + 4 * 3 / 5)
    )
    guided = chance_of_improvement(outcomes, 0.3, trials=4, guided=True)
    assert guided == pytest.approx((6 * 3 / 5) / (8 + 6 * 3 / 5))


def test_the_unit_does_not_matter():
    values = np.random.default_rng(0).normal(size=50)
    told = chance_of_improvement(values, 0.3)
    assert chance_of_improvement(1000 * values + 7, 300) == pytest.approx(told)
    assert 0 < told < chance_of_improvement(values, 0.01) < chance_of_improvement(values)


def test_pruned_and_diverged_trials_count_as_tried():
    values = np.random.default_rng(0).normal(size=30).tolist()
    more = [*values, *[math.inf] * 60, math.nan]
    assert chance_of_improvement(values, trials=10) == pytest.approx(1 - 30 / 40)
    assert chance_of_improvement(more, trials=10) == pytest.approx(1 - 91 / 101)


def test_of_too_few_nothing_is_said_and_equal_ones_do_not_tell_how_good_a_good_one_is():
    assert chance_of_improvement([1.0, 2.0, 3.0, 4.0, math.inf]) == 1
    assert chance_of_improvement([1.0] * 10) == 0.5
    assert chance_of_improvement([1.0] * 10, 0.1) == pytest.approx(1 / 3)
    assert chance_of_improvement([1.0] * 100, 0.1) < 0.05


def test_a_time_is_as_many_trials_as_it_pays_for():
    values = np.random.default_rng(0).normal(size=30).tolist()
    limit = SearchLimit(0, seconds=100)
    limit.reached(values, seconds=[20.0] * 30, guided=False)
    assert (limit.coming, limit.last_chance) == (5, pytest.approx(1 - 30 / 35))
    limit.reached(values, seconds=[1000.0] * 30, guided=False)
    assert limit.coming == 1  # one would be under way


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"margin": -1}, "margin -1 must be at least 0"),
        ({"margin": math.nan}, "margin nan must be at least 0"),
        ({"margin": 0, "chance": 1}, "chance 1 must lie between 0 and 1"),
        ({"margin": 0, "trials": 0}, "0.0 trials to come must be a number above 0"),
        ({"margin": 0, "trials": 5, "seconds": 9}, "give trials or seconds"),
        ({"margin": 0, "seconds": -1}, "seconds -1 must be a time above 0"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(options, said):
    with pytest.raises(InputError, match=said):
        SearchLimit(**options)
