"""Elasticities of curves whose truth is known, and of the shapes that have names."""

import json

import numpy as np
import pytest

import earlycall as ec
from conftest import earlycall
from earlycall.curves import CurveSet
from earlycall.elasticity import elasticity, measure

X = np.arange(1.0, 201.0)


def one(loss, cost=X, **options):
    return measure(np.asarray(loss, float), np.asarray(cost, float), **options)


@pytest.mark.parametrize("power", [0.2, 0.5, 1.5])
def test_of_a_power_of_the_cost(power):
    """With L = 10 − (c − 1)^p the gain elasticity is p everywhere."""
    found = one(100 - (X - 1) ** power)
    assert found["gain_elasticity"] == pytest.approx(power, rel=0.02)
    assert found["low"] <= found["gain_elasticity"] <= found["high"]
    assert found["regime"] == ("elastic" if power > 1 else "inelastic")
    assert found["arc_gain_elasticity"] == pytest.approx(power, rel=0.06)


def test_of_the_model_itself():
    """f = a/(x + c) + b: ε_G = (c0 + c)/(x + c) and ε_L = a·x/(x + c)²/f, at the last cost."""
    a, c, b = 20.0, 9.0, 1.0
    found = one(a / (X + c) + b)
    assert found["fit_gain_elasticity"] == pytest.approx(10 / 209, rel=1e-3)
    assert found["fit_loss_elasticity"] == pytest.approx(a * 200 / 209**2 / (a / 209 + b), rel=1e-3)
    assert found["agree"]
    assert found["threshold_cost"] == pytest.approx(10 / 0.02 - 9, rel=1e-3)
    # The local estimate stands at the middle of the last fifth, at 180.5
    assert found["gain_elasticity"] == pytest.approx(10 / 189.5, rel=0.02)
    assert found["shape"] == "falling"


def test_the_next_percent_of_gain():
    a, c = 20.0, 9.0
    found = one(a / (X + c) + 1)
    gain = a / 10 - a / 189.5
    after = a / (200 + found["next_percent"] + c)
    assert a / 209 - after == pytest.approx(0.01 * gain, rel=0.02)
    assert one([1.0, 0.5, *[0.4] * 50], np.arange(52.0))["next_percent"] is None


def test_unit_elastic_is_a_straight_line():
    found = one(10 - 0.01 * X + 0.001 * np.random.default_rng(0).normal(size=200))
    assert found["regime"] == "unit"
    assert found["advice"].startswith("keep going: ")


@pytest.mark.parametrize("shift", [0.0, 10.0])
@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("unit", [1.0, 2.0, 3600.0])
def test_gain_elasticity_does_not_know_scale_zero_or_unit(shift, scale, unit):
    loss = 1 + 3 / X**0.5 + 0.01 * np.random.default_rng(1).normal(size=200)
    base, found = one(loss), one(scale * loss + shift, unit * X)
    for key in ("gain_elasticity", "low", "high", "arc_gain_elasticity"):
        assert found[key] == pytest.approx(base[key], rel=1e-6)
    assert (found["regime"], found["shape"]) == (base["regime"], base["shape"])


def _shapes():
    rng = np.random.default_rng(4)
    fall, noise = np.exp(-X / 20), rng.normal(size=200)
    yield "falling", 1 + 3 / X**0.5
    yield "slow", 5 - 1e-4 * X
    yield "noise", 2 + 0.01 * noise
    yield "plateau", 1 + fall + 0.005 * noise
    yield "constant", np.full(200, 3.0)
    yield "valley", 1 + ((X - 80) / 200) ** 2
    yield "risen, then level", 1 + fall + 0.5 / (1 + np.exp(-(X - 80) / 5)) + 0.02 * noise
    yield "drop", np.where(X < 150, 2.0, 1.0) + fall + 0.001 * noise
    yield "short", np.array([4.0, 1, 1.2, 1.3, 1.4, 1.5, 1.4])


SHAPES = list(_shapes())


@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize(("name", "loss"), SHAPES, ids=[n for n, _ in SHAPES])
def test_neither_gain_elasticity_nor_regime_knows_where_zero_lies(name, loss, validation):
    cost = X[: len(loss)]
    base = one(loss, cost, validation=validation)
    for scale in (1e-3, 1.0, 1e3):
        for shift in (-1e4, -3.0, -1.0, 0.0, 0.1, 7.0, 1e4):
            found = one(scale * (loss + shift), cost, validation=validation)
            assert (found["regime"], found["shape"]) == (base["regime"], base["shape"]), shift
            elasticities = [f.get("gain_elasticity") or 0.0 for f in (found, base)]
            assert elasticities[0] == pytest.approx(elasticities[1], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("start", [5.7, 2.4, 1.3])
@pytest.mark.parametrize("n", [12, 26, 120, 1000])
@pytest.mark.parametrize("last", [-0.1, 0.0, 0.1])
def test_a_loss_far_above_its_best_is_overfitting_whatever_its_last_values_do(start, n, last):
    """It more than doubled since its best, and then turned for its last tenth."""
    knots = [0, n // 8, 3 * n // 5, 9 * n // 10, n - 1]
    rng = np.random.default_rng(n)
    loss = np.interp(np.arange(n), knots, [start, 1.1, 2.5, 2.6, 2.6 + last])
    loss += 0.02 * rng.normal(size=n)
    found = one(loss, np.arange(n, dtype=float), validation=True)
    assert (found["shape"], found["regime"]) == ("overfitting", "rising")
    assert found["advice"].startswith("stop: overfitting")


def test_a_spike_that_training_recovers_from_is_no_end_of_it():
    spike = 1 + 4 / X**0.3 + np.where(X > 100, 2 * np.exp(-(X - 100) / 80), 0)
    found = one(spike + 0.001 * np.random.default_rng(0).normal(size=200))
    assert found["regime"] != "rising"
    noisy = 1 + np.exp(-X / 20) + 0.2 * np.random.default_rng(1).normal(size=200)
    assert not one(noisy, validation=True)["advice"].startswith("stop: overfitting")


@pytest.mark.parametrize("n", [60, 62, 64])
def test_warm_restarts_are_no_overfitting(n):
    i = np.arange(n)
    loss = 1 / (1 + 0.1 * i) + 0.2 * (1 + np.cos(np.pi * (i % 14) / 14))
    found = one(loss, i + 1.0, validation=True)
    assert found["shape"] not in ("overfitting", "rising")
    loss = np.append(loss, 1.0 + 0.02 * np.arange(40))  # it does not come back
    found = one(loss, np.arange(len(loss)) + 1.0, validation=True)
    assert found["shape"] == "overfitting"


def test_an_interval_covers_the_truth():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        found = one(100 - (X - 1) ** 0.5 + 0.1 * rng.normal(size=200))
        covered += found["low"] <= 0.5 <= found["high"]
    assert covered >= 180


def test_shapes_have_names():
    rng = np.random.default_rng(3)
    noise = 0.005 * rng.normal(size=200)
    valley = 1 + ((X - 80) / 200) ** 2
    drop = np.where(X < 160, 2 + 2 * np.exp(-X / 20), 1.2 + 0.3 * np.exp(-(X - 160) / 5))
    hill = 3 - X / 100 + np.exp(-(((X - 70) / 12) ** 2))
    shapes = {
        "falling": 1 + 5 / X,
        "plateau": 1 + np.exp(-X / 8) + noise,
        "flat": 2 + noise,
        "drop": drop + noise,
        "non-monotone": hill + noise,
        "rising": valley,
        "diverged": np.where(X < 50, 1 / X, np.nan),
    }
    assert {name: one(y)["shape"] for name, y in shapes.items()} == {n: n for n in shapes}
    assert one(valley, validation=True)["shape"] == "overfitting"
    assert one(shapes["falling"][:4], X[:4])["shape"] == "short"


def test_a_rising_loss_has_a_negative_elasticity():
    found = one(1 + ((X - 120) / 200) ** 2, validation=True, unit="epoch")
    assert found["regime"] == "rising"
    assert found["high"] < 0
    assert found["loss_elasticity"] < 0
    assert found["advice"] == "stop: overfitting since epoch 120"


def test_after_a_drop_only_what_followed_counts():
    """Level, a fall, level again: the fit and a long line would see a slope."""
    y = np.where(X < 150, 2.0, 1.0) + np.where(X < 20, (20 - X) / 10, 0)
    found = one(y + 0.001 * np.random.default_rng(0).normal(size=200))
    assert found["shape"] == "drop"
    assert abs(found["gain_elasticity"]) < 0.02
    assert "by what followed a sudden drop" in found["advice"]


def test_a_fit_that_disagrees_is_said():
    """A curve that falls ever faster: the hyperbola cannot."""
    found = one(10 - (X / 100) ** 3)
    assert found["regime"] == "elastic"
    assert not found["agree"]
    assert "the fitted curve disagrees" in found["advice"]


def test_a_loss_below_zero_has_no_loss_elasticity():
    found = one(-10 - (X - 1) ** 0.5)
    assert found["loss_elasticity"] is None
    assert found["gain_elasticity"] == pytest.approx(0.5, rel=0.02)


def test_the_table(digits):
    table = ec.elasticity(digits, cost="seconds").table
    assert table.height == 16
    assert table.columns[:9] == [
        "group", "run", "cost", "loss_elasticity", "gain_elasticity", "low", "high", "regime",
        "advice",
    ]  # fmt: skip
    assert set(table["metric"]) == {"val_loss"}
    assert table.filter(table["run"] == "mlp-32_lr0.1.csv")["regime"].to_list() == ["rising"]


def test_every_cost(tmp_path):
    (tmp_path / "a.csv").write_text(
        "step,epoch,seconds,joules,usd,loss\n"
        + "".join(f"{i},{i // 2},{i * 3},{i * 90},{i / 100},{1 + 4 / i}\n" for i in range(1, 41))
    )
    found = [
        elasticity(tmp_path, cost=cost).table["gain_elasticity"][0]
        for cost in ("step", "seconds", "joules", "usd")
    ]
    assert found == pytest.approx([found[0]] * 4)
    assert elasticity(tmp_path, cost="epoch").table["gain_elasticity"][0] > 0


def test_what_cannot_be_measured_is_said():
    curves = CurveSet.from_losses({"a": [2.0, 1.0, 0.5]})
    with pytest.raises(ec.InputError, match="no column 'joules'; use one of: step"):
        elasticity(curves, cost="joules")
    with pytest.raises(ec.InputError, match="cost 'euros' is unknown"):
        elasticity(curves, cost="euros")
    with pytest.raises(ec.InputError, match="threshold 0 must be"):
        elasticity(curves, threshold=0)


def test_costs_below_zero_and_repeated_costs():
    found = one(1 + 4 / X, X - 50)
    assert found["gain_elasticity"] > 0
    assert "fit_gain_elasticity" not in found
    assert one([3, 2, 1, 0.5, 0.4, 0.3], [1, 1, 1, 2, 2, 3])["shape"] == "short"


def test_a_trainer_whose_validation_loss_has_doubled_is_told_to_stop(tmp_path):
    later = [1.2, 1.4, 1.6, 1.8, 2.0, 2.3, 2.4, 2.2, 2.9, 2.7, 2.6, 2.85, 2.6, 2.4, 2.5, 2.4, 2.3]
    rows = [
        {"step": 10 * i, "epoch": i, "eval_loss": loss} for i, loss in enumerate([5.7, 1.1, *later])
    ]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    ran = earlycall("elasticity", tmp_path, "--format", "json")
    assert ran.json["runs"][0]["advice"].startswith("stop: overfitting"), ran.err


@pytest.mark.parametrize("n", [8, 12, 30])
def test_a_loss_that_falls_ever_faster_is_not_overfitting(n):
    x = np.arange(float(n))
    found = one(2 - 0.5 * (x / n) ** 3, x, validation=True)
    assert (found["shape"], found["regime"]) == ("falling", "elastic")
    assert found["advice"].startswith("keep going: ")


def test_advice_is_one_of_three_and_says_why():
    said = {
        "stop": one(1 + 5 / X),
        "keep going": one(10 - (X / 100) ** 0.7),
        "unsure": one(1 + np.exp(-X / 30) + 0.3 * np.random.default_rng(5).normal(size=200)),
    }
    assert {word: found["advice"].partition(": ")[0] for word, found in said.items()} == {
        word: word for word in said
    }
    assert all("more gain (" in found["advice"] for found in said.values())
    assert one(np.full(200, 3.0))["advice"] == "stop: no gain to speak of since the start"
    assert one(np.full(9, 3.0), X[:9])["advice"].startswith("unsure: no gain")


def test_one_threshold_everywhere():
    from earlycall.stopping import gain, monitor

    assert ec.elasticity({"a": 1 + 5 / X}).threshold == gain.THRESHOLD == 0.02
    assert f"gain:{gain.THRESHOLD}" == monitor.DEFAULT_RULE
