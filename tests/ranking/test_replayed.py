"""Successive halving replayed on finished runs: what it finds and costs."""

import math

import pytest

from earlycall import CurveSet, InputError
from earlycall.ranking.replayed import replay_halving


def fallen(floors, n=17):
    return {
        f"r{i}": [floor + math.exp(-0.3 * k) for k in range(n)] for i, floor in enumerate(floors)
    }


def test_the_best_run_is_found_for_a_part_of_the_cost_where_the_order_never_changes():
    curves = CurveSet.from_losses(fallen([i / 20 for i in range(20)]))
    seen = []
    result = replay_halving(curves, progress=lambda done, total: seen.append((done, total)))
    assert result.table["rule"].to_list() == ["halving:outlook", "halving:last_loss"]
    assert result.table["regret_pct"].to_list() == [0, 0]
    assert result.table["winner_kept"].all()
    assert all(10 < cost < 50 for cost in result.table["cost_pct"])
    assert seen[-1] == (400, 400)


def test_a_winner_that_begins_worst_is_lost_to_the_last_loss():
    late = [0.5 + 1.5 * math.exp(-0.001 * k) if k < 16 else -3.0 for k in range(17)]
    curves = CurveSet.from_losses(fallen([i / 20 for i in range(20)]) | {"late": late})
    row = replay_halving(curves, ["last_loss"]).table.row(0, named=True)
    assert row["regret_pct"] > 10
    assert not row["winner_kept"]


def test_a_diverged_run_is_never_the_one_found():
    broken = [0.9, 0.1, -50.0, *[math.nan] * 14]
    curves = CurveSet.from_losses(fallen([0.5, 0.6, 0.7]) | {"broken": broken})
    assert replay_halving(curves, ["last_loss"]).table["regret_pct"][0] > 50


def test_runs_that_cannot_be_judged_are_one_sentence():
    with pytest.raises(InputError, match="no run can be judged"):
        replay_halving(CurveSet.from_losses({"a": [1.0, 1.0], "b": [2.0]}))
