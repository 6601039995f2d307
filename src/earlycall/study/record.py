"""The log of a run: every step's training loss, every epoch's validation and costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import polars as pl


@dataclass
class Record:
    """The log of a run.

    Attributes:
        loss: the training loss of every optimiser step.
        lr: the learning rate of every step.
        val_loss: the validation loss after each epoch.
        val_accuracy: the validation accuracy after each epoch, from 0 to 1.
        seconds: since the start, after each epoch, over all sessions.
        joules: the same of energy, where it can be measured; else empty.
    """

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.val_loss)

    @property
    def diverged(self) -> bool:
        """Whether the loss is no longer finite."""
        return bool(self.loss) and not math.isfinite(self.loss[-1])

    def add_epoch(
        self, val_loss: float, val_accuracy: float, seconds: float, joules: float | None
    ) -> None:
        """Add an epoch's validation and costs; energy is kept if every epoch's was measured."""
        self.val_loss.append(val_loss)
        self.val_accuracy.append(val_accuracy)
        self.seconds.append((self.seconds or [0.0])[-1] + seconds)
        if joules is not None and len(self.joules) == len(self.seconds) - 1:
            self.joules.append((self.joules or [0.0])[-1] + joules)

    def frame(self, per_epoch: int) -> pl.DataFrame:
        """A row per step: ``step``, ``epoch``, ``train_loss``, ``lr``; more where epochs end.

        Args:
            per_epoch: steps per epoch; a run that diverges may end within one.

        Examples:
            >>> record = Record([2.0, 1.0, 0.9], [0.1] * 3, [1.5, 1.2], [0.4, 0.5], [7.0, 9.0])
            >>> record.frame(2).select("step", "epoch", "val_loss").rows()
            [(1, 0, None), (2, 0, 1.5), (3, 1, 1.2)]
        """
        steps = len(self.loss)
        frame = pl.DataFrame({
            "step": range(1, steps + 1), "epoch": [i // per_epoch for i in range(steps)],
            "train_loss": self.loss, "lr": self.lr,
        })  # fmt: skip
        measured = len(self.joules) == self.epochs > 0
        epochs = pl.DataFrame({
            "step": [min((e + 1) * per_epoch, steps) for e in range(self.epochs)],
            "val_loss": self.val_loss, "val_accuracy": self.val_accuracy,
            "seconds": self.seconds,
        } | ({"joules": self.joules} if measured else {}),
            schema_overrides={"step": pl.Int64})  # fmt: skip
        return frame.join(epochs, on="step", how="left", maintain_order="left")
