"""Runs whose losses do not compare are named."""

import numpy as np
import polars as pl

from earlycall import CurveSet, rank

K = np.arange(1, 41)


def test_settings_that_change_the_loss():
    table = pl.concat(
        pl.DataFrame({"run": f"r{i}", "step": K, "train_loss": 1 / K + i}) for i in range(4)
    )
    runs = pl.DataFrame({"run": [f"r{i}" for i in range(4)], "hp.mixup": [0.0, 0.0, 0.2, 0.2],
                         "hp.lr": [1, 2, 3, 4]})  # fmt: skip
    warnings = rank(CurveSet.from_frame(table, runs), score="tse").warnings
    assert warnings == (
        "group 'all': runs differ in hp.mixup, which changes the scale of training losses",
    )


def test_a_first_loss_unlike_the_others():
    losses = {f"r{i}": (2 + 0.02 * i) / K for i in range(9)}
    losses["other"] = 40 / K
    row = rank(losses, score="outlook").table.filter(pl.col("run") == "other").row(0, named=True)
    assert row["status"] == "incomparable"
    assert row["reason"] == "its first loss, 40, is unlike its group's 2.09"


def test_a_training_loss_far_above_the_validation_loss():
    frames = [
        pl.DataFrame({"run": f"r{i}", "step": K, "train_loss": (2 + 0.1 * i) / K + 0.1,
                      "val_loss": (2 + 0.1 * i) / K * (0.2 if i == 0 else 1) + 0.02})
        for i in range(8)
    ]  # fmt: skip
    table = rank(pl.concat(frames), score="outlook").table
    row = table.filter(pl.col("run") == "r0").row(0, named=True)
    assert "mixup, label smoothing or another loss?" in row["reason"]
