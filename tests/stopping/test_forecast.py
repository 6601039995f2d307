"""The cost of a whole run, forecast: by hand, on real timings, and as a rule."""

import json
import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

import earlycall as ec
from earlycall import CurveSet, InputError, Monitor, parse_rule
from earlycall.stopping.forecast import Costs


def test_the_interval_by_hand():
    costs = Costs()
    for spent in (50.0, 60.0, 72.0, 80.0):  # the first has the set-up in it
        costs.add(spent)
    each = np.array([10.0, 12.0, 8.0])
    left, k = 16, 3
    error = math.sqrt(each.var(ddof=1) * (left**2 * (1 / k + 2) + left) + (0.02 * left * 10) ** 2)
    margin = stats.t.ppf(0.95, 2) * error
    expected, low, high = costs.forecast(20)
    assert (expected, high) == pytest.approx((240, 240 + margin))
    assert low == pytest.approx(max(240 - margin, 80))
    assert costs.forecast(3) == (80, 80, 80)  # past its end
    assert Costs().forecast(20) is None


def test_a_long_run_is_forecast_from_few_points():
    costs = Costs()
    rng = np.random.default_rng(0)
    for spent in np.cumsum(rng.exponential(2.0, size=10_000)):
        costs.add(float(spent))
    assert len(costs.points.costs) < 40
    expected, low, high = costs.forecast(100_000)
    assert low < 200_000 < high
    assert expected == pytest.approx(200_000, rel=0.05)


def test_real_timings_lie_in_their_intervals():
    """A set that was timed alone; docs/energy.md has those of shared machines, which do not."""
    curves = ec.demo()
    inside = []
    for run in curves.runs["run"]:
        rows = curves.select(runs=[run]).observations.drop_nulls("val_loss")
        spent = rows["seconds"].to_list()
        for n in (5, 10):
            costs = Costs()
            for cost in spent[:n]:
                costs.add(cost)
            found = costs.forecast(len(spent))
            inside.append(found.low <= spent[-1] <= found.high)
    assert np.mean(inside) >= 0.9


def test_the_rule_stops_a_run_that_will_cost_too_much_and_no_other():
    def stopped(limit, seed=0):
        each = np.random.default_rng(seed).normal(10, 1, size=100)
        monitor = Monitor(f"forecast:joules:{limit}:100", cost="joules")
        for n, spent in enumerate(np.cumsum(each), start=1):
            if monitor.update(1 / n, spent):
                assert "the whole run would cost" in monitor.explain()
                assert f"above the limit of {limit}" in monitor.explain()
                return n
        return None

    assert stopped(500) <= 5
    assert stopped(800) <= 20
    assert [stopped(1100, seed) for seed in range(20)] == [None] * 20


@pytest.mark.parametrize("every", [1, "auto", 3])
def test_each_observation_counts_once_beside_a_rule_that_averages(every):
    monitor = Monitor("gain:1e-9 or forecast:usd:1e9:50", cost="usd", every=every)
    rng = np.random.default_rng(0)
    for n in range(1, 31):
        monitor.update(
            float(1 / n + rng.normal()), 3.0 * n
        )  # noisy: averaged, from the start again
    forecast = monitor.rule.parts[1]
    assert forecast.costs.n == 30
    assert forecast.costs.forecast(50).expected == pytest.approx(150)


def test_a_restored_monitor_goes_on_exactly():
    spent = np.cumsum(np.random.default_rng(1).normal(10, 2, size=60)).tolist()
    whole, part = (Monitor("forecast:seconds:900:100", cost="seconds") for _ in range(2))
    reasons = [(whole.update(1.0, cost), whole.explain()) for cost in spent]
    for cost in spent[:7]:
        part.update(1.0, cost)
    again = Monitor("forecast:seconds:900:100", cost="seconds")
    again.load_state_dict(json.loads(json.dumps(part.state_dict())))
    assert [(again.update(1.0, cost), again.explain()) for cost in spent[7:]] == reasons[7:]


def test_replay_knows_the_length_of_a_finished_run():
    steps = np.arange(1, 51)
    table = pl.DataFrame({
        "run": ["cheap"] * 50 + ["dear"] * 50, "step": [*steps, *steps],
        "loss": [*(1 / steps), *(1 / steps)], "seconds": [*(steps * 1.0), *(steps * 2.0)],
    })  # fmt: skip
    curves = CurveSet.from_frame(table)
    found = ec.replay(curves, ["forecast:seconds:70"], cost="seconds").table
    assert found["cost_pct"][0] == pytest.approx(100 * (1 + 3 / 50) / 2)
    with pytest.raises(InputError, match="forecasts seconds, but the cost here is 'step'"):
        ec.replay(curves, ["forecast:seconds:70"])


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("forecast:watts:5", "a value is not a number; expected forecast:seconds|joules|usd:LIMIT"),
        ("forecast:seconds", "not of the form forecast:seconds|joules|usd:LIMIT[:OBSERVATIONS]"),
        ("forecast:seconds:-1", "limit -1.0 must be a cost above 0"),
        ("forecast:seconds:9:0", "observations 0.0 must be a whole number, at least 1"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(rule, said):
    with pytest.raises(InputError) as error:
        parse_rule(rule)
    assert said in str(error.value)


def test_what_cannot_be_known_is_asked():
    with pytest.raises(InputError, match="give cost='joules'"):
        Monitor("patience:3 or forecast:joules:9:10", cost="seconds")
    monitor = Monitor("forecast:seconds:9", cost="seconds")
    with pytest.raises(InputError, match=r"add their number, as in forecast:seconds:9\.0:100"):
        monitor.update(1.0, 1.0)
