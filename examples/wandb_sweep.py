"""A W&B sweep whose runs end when more training is no longer worth its cost.

    pip install 'earlycall[wandb]' scikit-learn
    python examples/wandb_sweep.py            # needs a W&B server, as every sweep does

W&B's own ``early_terminate`` compares runs with each other; the monitor ends each by itself, so
both may be used. A run that it ends is finished, not crashed: its summary has its last values.
"""

import sys

import numpy as np
import wandb
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import earlycall as ec

SWEEP = {
    "method": "bayes",
    "metric": {"name": "val_loss", "goal": "minimize"},
    "parameters": {
        "learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.3},
        "alpha": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-1},
        "epochs": {"value": 200},
    },
}


def train() -> None:
    """One run, with the settings that the sweep gives it."""
    digits = load_digits()
    x, x_val, y, y_val = train_test_split(digits.data / 16, digits.target, random_state=0)
    with wandb.init() as run:
        model = SGDClassifier(
            loss="log_loss", learning_rate="constant", eta0=run.config.learning_rate,
            alpha=run.config.alpha, random_state=0,
        )  # fmt: skip
        monitor = ec.Monitor("gain:0.02", cost="epoch")
        for epoch in range(1, run.config.epochs + 1):
            model.partial_fit(x, y, classes=np.unique(digits.target))
            loss = log_loss(y_val, model.predict_proba(x_val))
            run.log({"epoch": epoch, "val_loss": loss})
            if monitor.update(loss):
                break
        run.summary["earlycall"] = monitor.explain()


if __name__ == "__main__":
    sweep_id = wandb.sweep(SWEEP, project=sys.argv[1] if len(sys.argv) > 1 else "earlycall")
    wandb.agent(sweep_id, train, count=20)
