"""Train small networks on real images (scikit-learn's handwritten digits) and log every step.

    python examples/train_digits.py FOLDER [--epochs 30]

Writes a CSV log for each run, as a training loop of one's own would, and ``runs.csv`` with each
run's settings and final test accuracy, on images that were used for nothing else. The logs in
``examples/digits`` were made by it; the runs differ in architecture and learning rate, and some of
them are meant to be poor.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F  # noqa: N812

LEARNING_RATES = (0.003, 0.1)
BATCH_SIZE = 32


def mlp(*widths: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Fully connected layers on the 64 pixels."""
    layers: list[nn.Module] = [nn.Flatten()]
    previous = 64
    for width in widths:
        layers += [nn.Linear(previous, width), activation()]
        previous = width
    return nn.Sequential(*layers, nn.Linear(previous, 10))


def cnn(*channels: int, norm: bool = False) -> nn.Sequential:
    """3 × 3 convolutions on the 8 × 8 image, then the mean over the image."""
    layers: list[nn.Module] = []
    previous = 1
    for width in channels:
        layers.append(nn.Conv2d(previous, width, 3, padding=1))
        layers += [nn.BatchNorm2d(width), nn.ReLU()] if norm else [nn.ReLU()]
        previous = width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * previous, 10)
    )


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "linear": mlp,
    "mlp-4": lambda: mlp(4),
    "mlp-32": lambda: mlp(32),
    "mlp-128x2": lambda: mlp(128, 128),
    "mlp-16x5-sigmoid": lambda: mlp(16, 16, 16, 16, 16, activation=nn.Sigmoid),
    "cnn-4": lambda: cnn(4),
    "cnn-16-32": lambda: cnn(16, 32),
    "cnn-16-32-bn": lambda: cnn(16, 32, norm=True),
}


def images() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Images (n, 1, 8, 8) and labels (n,) for training, validation and test, always the same."""
    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(labels)
    rest, test = train_test_split(torch.arange(len(y)), test_size=360, random_state=0, stratify=y)
    train, val = train_test_split(rest, test_size=240, random_state=0, stratify=y[rest])
    return [(x[part], y[part]) for part in (train, val, test)]


@torch.no_grad()
def measure(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Loss and accuracy on images that are not trained on."""
    model.eval()
    logits = model(x)
    model.train()
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).double().mean().item()


def train(model: nn.Module, learning_rate: float, epochs: int, log: Path) -> float:
    """Train, logging every step; the final test accuracy."""
    (x, y), val, test = images()
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
    step, start = 0, time.perf_counter()
    with log.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "epoch", "seconds", "train_loss", "val_loss", "val_accuracy"])
        for epoch in range(epochs):
            for batch in torch.randperm(len(y)).split(BATCH_SIZE):
                loss = F.cross_entropy(model(x[batch]), y[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                step += 1
                seconds = f"{time.perf_counter() - start:.3f}"
                writer.writerow([step, epoch, seconds, f"{loss.item():.5g}", "", ""])
            val_loss, accuracy = measure(model, *val)
            writer.writerow([step, epoch, seconds, "", f"{val_loss:.5g}", f"{accuracy:.4f}"])
    return measure(model, *test)[1]


def main() -> None:
    """Train every architecture with every learning rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--only", help="train only the architectures whose name starts so")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    rows = []
    for name, build in ARCHITECTURES.items():
        for learning_rate in LEARNING_RATES:
            if options.only and not name.startswith(options.only):
                continue
            torch.manual_seed(0)
            model = build()
            log = options.folder / f"{name}_lr{learning_rate:g}.csv"
            accuracy = train(model, learning_rate, options.epochs, log)
            params = sum(p.numel() for p in model.parameters())
            rows.append([log.name, f"{accuracy:.4f}", "test_accuracy", "true", name, params,
                         learning_rate])  # fmt: skip
            print(f"{log.name:28} test accuracy {accuracy:.4f}", flush=True)
    with (options.folder / "runs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "final", "final_metric", "higher_is_better", "arch.name",
                         "arch.params", "hp.learning_rate"])  # fmt: skip
        writer.writerows(rows)


if __name__ == "__main__":
    main()
