"""How sure: probabilities, ties with the first, what more training would tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earlycall import rank
from earlycall.ranking.certainty import (
    chance_of_best,
    near_the_top,
    tied_with_first,
    verdict,
)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 1000))
def test_chances_add_up_and_follow_the_score(n, k, seed):
    rng = np.random.default_rng(seed)
    score, se = rng.normal(size=n), np.full(n, 0.4)
    p = chance_of_best(score, se, k)
    assert p.sum() == pytest.approx(min(n, k), abs=1e-6)
    assert np.all(np.diff(p[np.argsort(score)]) >= -1e-9)


def test_chances_are_near_those_of_drawing():
    rng = np.random.default_rng(0)
    score, se = rng.normal(size=12), rng.uniform(0.3, 0.6, 12)
    drawn = score + se * rng.standard_normal((100_000, 12))
    for k in (1, 3):
        best = np.argsort(-drawn, axis=1)[:, :k]
        counted = np.bincount(best.ravel(), minlength=12) / len(drawn)
        np.testing.assert_allclose(chance_of_best(score, se, k), counted, atol=0.08)


def test_where_places_say_little_the_leader_is_still_the_likeliest_first():
    """Not a run that is merely less known than others: such runs led the set to keep."""
    place = np.linspace(0.3, -0.3, 30)
    sd = np.linspace(0.93, 0.99, 30)
    p = chance_of_best(*near_the_top(place, sd))
    assert np.all(np.diff(p) < 0)


def test_who_cannot_be_told_apart_from_the_first():
    assert tied_with_first(np.array([1.0, 0.0]), np.array([0.1, 0.1])) == 1
    assert tied_with_first(np.array([1.0, 0.9, 0.8]), np.full(3, 1.0)) == 3


def test_the_training_that_is_said_to_be_enough_is_enough():
    """At the budget it names, the first is just told from the last of those tied before."""
    kept, mismatch, z = 0.95, 0.9, 1.2816

    def at(budget, standing):
        rho = mismatch * kept ** -np.log2(budget)
        return rho * standing, np.full(len(standing), np.sqrt((1 - rho**2) / 3))

    standing = np.linspace(0.95, -0.95, 20)
    score, se = at(0.05, standing)
    said = verdict(score, se, kept, 0.05, mismatch)
    assert 1 < said.n_tied < 20
    assert said.budget_needed > 0.05
    score, se = at(said.budget_needed * 1.01, standing)
    assert score[0] - score[said.n_tied - 1] > z * np.hypot(se[0], se[0])
    score, se = at(said.budget_needed * 0.99, standing)
    assert score[0] - score[said.n_tied - 1] < z * np.hypot(se[0], se[0])


def test_sentences():
    one = verdict(np.array([0.9, -0.9]), np.full(2, 0.1), 0.9, 0.5, 0.9)
    assert str(one).startswith("the first is ahead")
    near = verdict(np.array([0.11, 0.1, -0.9]), np.full(3, 0.3), 0.99, 0.5, 0.9)
    assert "too close for more training" in str(near)
    losses = {str(i): 1 / np.arange(1, 30) + 0.1 * i for i in range(12)}
    ranking = rank(losses, score="outlook", budget=0.3)
    assert "cannot be told apart" in str(ranking.verdicts["all"])
    assert ranking.table["p_top"].sum() == pytest.approx(3, abs=1e-4)
    tied = ranking.verdicts["all"].n_tied
    reasons = ranking.table["reason"].to_list()
    assert reasons[0] is None
    assert reasons[1:tied] == ["cannot be told from the first at this budget"] * (tied - 1)
    assert reasons[tied:] == [None] * (12 - tied)
    assert rank(losses, score="tse").verdicts == {}
