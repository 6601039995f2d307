"""Train a small network on real images by gradient descent, and log each epoch as it ends.

python train.py LOG LEARNING_RATE EPOCHS SECONDS_AN_EPOCH
"""

import csv
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits


def train(log: Path, rate: float, epochs: int, pause: float) -> None:
    images, digits = load_digits(return_X_y=True)
    x, y = images / 16.0, np.eye(10)[digits]
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 0.1, (64, 32)), rng.normal(0, 0.1, (32, 10))
    with log.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "train_loss"])
        for epoch in range(epochs):
            loss = 0.0
            for batch in np.array_split(rng.permutation(len(x)), 30):
                hidden = np.maximum(x[batch] @ first, 0)
                score = hidden @ second
                chance = np.exp(score - score.max(axis=1, keepdims=True))
                chance /= chance.sum(axis=1, keepdims=True)
                loss -= float(np.log((chance * y[batch]).sum(axis=1) + 1e-12).mean()) / 30
                wrong = (chance - y[batch]) / len(batch)
                back = (wrong @ second.T) * (hidden > 0)
                second -= rate * hidden.T @ wrong
                first -= rate * x[batch].T @ back
            rows.writerow([epoch, f"{loss:.6f}"])
            file.flush()
            time.sleep(pause)


if __name__ == "__main__":
    train(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
