"""Rules against examples worked by hand, and what must not change their decisions."""

import json
import math

import numpy as np
import pytest

from earlycall import InputError, parse_rule

EVERY_RULE = [
    "gain:0.1",
    "loss:0.05",
    "patience:3",
    "patience:3:0.01",
    "plateau",
    "plateau:6:0.05",
    "budget:40",
    "target:0.1:500",
    "gain:0.1 and patience:2",
    "gain:0.01 or budget:70",
]


def curve(seed, n=80):
    rng = np.random.default_rng(seed)
    x = np.arange(n)
    return (0.5 + 2 / (1 + x / 4) + 0.02 * rng.normal(size=n)).tolist()


def stop(rule, losses, costs=None):
    rule = parse_rule(rule) if isinstance(rule, str) else rule
    for i, loss in enumerate(losses):
        if rule.update(loss, i if costs is None else costs[i]):
            return i
    return None


def test_patience_is_that_of_keras():
    losses = [3.0, 2.0, 2.5, 1.9, 1.95, 1.92, 1.91, 1.0]
    assert stop("patience:1", losses) == 2
    assert stop("patience:3", losses) == 6
    # 1.9 improves on 2.0 by 5 %, not by 10 %: the best stays 2.0
    assert stop("patience:4:0.1", losses) == 5
    assert stop("patience:4", losses) is None


def test_relative_delta_is_of_the_size_of_a_negative_loss():
    assert stop("patience:1:0.1", [-1.0, -1.2, -1.25]) == 2
    assert stop("patience:1:0.1", [-1.0, -1.05]) == 1


def test_budget_stops_at_its_cost():
    assert stop("budget:10", [1.0] * 5, [2.0, 5.0, 9.9, 10.0, 11.0]) == 3


def test_a_plateau_is_a_level_line():
    falling = [10.0 - i for i in range(10)]
    assert stop("plateau:5", falling) is None
    # After the fall to 1 at index 9, the first five equal losses are 9…13
    assert stop("plateau:5", falling + [1.0] * 20) == 13


def test_gain_by_hand():
    """Losses 2, 1, 1.5, 1: the local elasticities are 1; 0 and −1; 0 and 1.5."""
    rule = parse_rule("gain:0.1")
    for cost, loss in enumerate([2.0, 1.0, 1.5]):
        rule.update(loss, cost)
    # The value 1 that an average begins with counts as one observation more.
    assert rule.banked == pytest.approx((1 + 1 + 0) / 3)
    assert rule.trend == pytest.approx((1 + 1 - 1) / 3)
    assert rule.banked_slow == rule.forecast == rule.banked
    for cost in range(3, 6):
        rule.update(1.0, cost)
    banked, slow = 2 / 4 * math.exp(-2 / 4), 2 / 6
    trend = (1 + 1 - 1 + 1.5) / 4 * math.exp(-2 / 4)
    assert (rule.banked, rule.banked_slow) == pytest.approx((banked, slow))
    assert rule.forecast == pytest.approx(max(banked, trend) * (banked / slow) ** 2)


def test_loss_by_hand():
    rule = parse_rule("loss:0.1")
    rule.update(2.0, 1.0)
    rule.update(1.0, 2.0)  # (2 − 1)/1 · 2/1 = 2
    assert rule.mean == pytest.approx((1 + 2) / 2)


def test_the_target_rule_keeps_a_run_that_can_reach_it():
    losses = [0.2 + 3 / (1 + x / 5) for x in range(400)]
    assert stop("target:0.1:400", losses) == 9  # its limit is 0.2
    assert stop("target:0.3:400", losses) is None  # at 400: 0.237
    assert stop("target:2:400", losses) is None  # reached


def test_rules_are_combined():
    losses = [3.0, 2.0, 2.5, 1.9, 1.95, 1.92, 1.91]
    assert stop("patience:1 and budget:4", losses) == 4
    assert stop("patience:1 or budget:1", losses) == 1
    assert stop("budget:1 and patience:3 or budget:5", losses) == 5


@pytest.mark.parametrize("threshold", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(20))
def test_gain_does_not_know_scale_zero_or_unit(threshold, seed):
    losses, rule = curve(seed), f"gain:{threshold}"
    at = stop(rule, losses)
    assert at == stop(rule, [100 * loss for loss in losses])
    assert at == stop(rule, [loss + 10 for loss in losses])
    seconds = [0.37 * i for i in range(len(losses))]
    assert at == stop(rule, losses, seconds) == stop(rule, losses, [2 * s for s in seconds])


@pytest.mark.parametrize("text", EVERY_RULE)
def test_state_goes_through_json_at_every_step(text):
    losses = curve(3)
    whole, parts = parse_rule(text), parse_rule(text)
    for i, loss in enumerate(losses):
        saved = json.dumps(parts.state_dict())
        parts = parse_rule(text)
        parts.load_state_dict(json.loads(saved))
        assert parts.update(loss, float(i)) == whole.update(loss, float(i))
        assert parts.reason == whole.reason
        assert parts.state_dict() == whole.state_dict()


@pytest.mark.parametrize("text", EVERY_RULE)
def test_a_rule_is_written_as_it_is_read(text):
    rule = parse_rule(text)
    assert str(parse_rule(str(rule))) == str(rule)
    for i, loss in enumerate(curve(1)):
        rule.update(loss, i)
    rule.reset()
    assert rule.state_dict() == parse_rule(text).state_dict()


def test_a_state_saved_by_version_0_1_is_loaded():
    rule = parse_rule("gain:0.1 or budget:9")
    rule.update(2.0, 0.0)
    rule.update(1.0, 10.0)
    old = rule.state_dict()
    old["said"] = old.pop("votes")
    old["parts"][0]["estimate"] = 0.5
    loaded = parse_rule("gain:0.1 or budget:9")
    loaded.load_state_dict(old)
    assert loaded.reason == rule.reason
    assert loaded.state_dict() == rule.state_dict()


def test_a_state_of_another_rule_is_refused():
    with pytest.raises(InputError, match=r"of the rule 'gain:0.2', not of 'gain:0.1'"):
        parse_rule("gain:0.1").load_state_dict(parse_rule("gain:0.2").state_dict())
    state = parse_rule("gain:0.1").state_dict()
    del state["trend"]
    with pytest.raises(InputError, match="lacks 'trend'"):
        parse_rule("gain:0.1").load_state_dict(state)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gian:0.1", r"unknown rule 'gian:0.1'; did you mean 'gain'\? Expected one of: gain:THRES"),
        ("zzzz:1", r"unknown rule 'zzzz:1'\. Expected one of: gain:THRESHOLD, loss"),
        ("", "a rule is missing in ''"),
        ("gain:0.1 or", "a rule is missing in 'gain:0.1 or'"),
        ("gain:0", r"rule 'gain:0': gain threshold 0.0 must be above 0"),
        ("gain:nan", "must be above 0"),
        ("gain:x", "a value is not a number; expected gain:THRESHOLD"),
        ("gain:1:2", "not of the form gain:THRESHOLD"),
        ("patience", r"not of the form patience:P\[:REL_DELTA\]"),
        ("patience:1.5", "must be a whole number, at least 1"),
        ("patience:inf", "must be a whole number, at least 1"),
        ("patience:3:2", "at least 0 and below 1"),
        ("plateau:2", "must be a whole number, at least 4"),
        ("plateau:nan", "must be a whole number, at least 4"),
        ("budget:-1", "must be a cost above 0"),
        ("target:1:0", "must be a cost above 0"),
        ("target:nan:5", "must be a finite number"),
    ],
)
def test_what_cannot_be_a_rule_is_said(text, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_rule(text)
