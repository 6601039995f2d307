"""Warm-up, drops and kinks, with and without the learning rate in the log."""

import numpy as np
import polars as pl
import pytest

from earlycall import CurveSet, rank
from earlycall.ranking.schedule import phases

K = np.arange(1, 241)
NOISE = np.random.default_rng(0).normal(0, 0.01, len(K))
STEADY = 2 / (1 + 0.02 * K) + NOISE


def told(loss, **columns):
    frame = pl.DataFrame({"run": "a", "step": K, "train_loss": loss, **columns})
    return phases(CurveSet.from_frame(frame).prefixes()[0])[0]


def test_an_ordinary_curve_is_in_no_phase():
    assert told(STEADY) is None
    assert told(np.full(len(K), 2.0)) is None
    assert told(0.5 + 0.001 * K) is None


@pytest.mark.parametrize("seed", range(8))
def test_noise_is_no_phase(seed):
    noise = np.random.default_rng(seed).normal(0, 0.3, len(K))
    assert told(2 / (1 + 0.02 * K) + noise) is None


def test_a_drop_of_the_rate_is_seen_in_the_loss():
    loss = STEADY - np.where(K > 200, 0.25, 0)
    assert told(loss).status == "kink"
    assert "bends down at step 201" in told(loss).reason


def test_a_curve_that_still_steepens_is_in_warm_up():
    assert told(3 - 2 * (K / 240) ** 4 + NOISE).status == "warm-up"


@pytest.mark.parametrize("name", ["lr", "learning_rate", "lr-SGD", "train/lr"])
def test_the_logged_rate_is_used(name):
    assert told(STEADY, **{name: np.linspace(0, 1, len(K))}).status == "warm-up"
    dropped = told(STEADY, **{name: np.where(K > 150, 0.01, 0.1)})
    assert (dropped.status, dropped.reason) == ("kink", "the learning rate fell at step 151")
    assert told(STEADY, **{name: np.full(len(K), 0.1)}) is None
    assert told(STEADY, **{name: 0.1 * np.cos(K / 480 * np.pi)}) is None, "cosine decay"


def test_the_standard_error_widens_and_the_reason_is_shown():
    losses = {f"r{i}": STEADY + 0.01 * i for i in range(6)}
    losses["drops"] = STEADY - np.where(K > 200, 0.25, 0)
    table = rank(losses, score="outlook").table
    row = table.filter(pl.col("run") == "drops").row(0, named=True)
    assert row["status"] == "kink"
    assert row["se"] == pytest.approx(1.5 * table["se"].min())
    assert row["rank"] is not None
