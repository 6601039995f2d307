"""The example that made the bundled runs still trains and logs as they were."""

import subprocess
import sys
from pathlib import Path

from earlycall import rank, read

SCRIPT = Path(__file__).parent.parent / "examples" / "train_digits.py"


def test_the_example_trains_real_networks_and_its_logs_are_ranked(tmp_path):
    subprocess.run(
        [sys.executable, SCRIPT, tmp_path, "--epochs", "2", "--only", "cnn-16-32-bn"],
        check=True, capture_output=True,
    )  # fmt: skip
    curves = read(tmp_path)
    assert len(curves) == 2
    assert {"step", "epoch", "seconds", "train_loss", "val_loss", "val_accuracy"} <= set(
        curves.observations.columns
    )
    assert curves.runs["final"].min() > 0.5
    assert rank(curves, score="last_loss").best() == "cnn-16-32-bn_lr0.1.csv"


def test_the_bundled_runs_are_of_clearly_different_quality(digits):
    final = read(digits).runs["final"]
    assert len(final) >= 16
    assert final.max() - final.min() > 0.5
