"""A Keras 3 callback that stops training when it is no longer worth its cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from earlycall.curves import Direction
from earlycall.energy.meter import Scope
from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.integrations.joules import JoulesLogger
from earlycall.integrations.watch import MetricMonitor, write_state
from earlycall.stopping import Rule

with needed_for("the callback for Keras", "keras"):
    import keras


class EarlyCall(keras.callbacks.Callback):  # type: ignore[misc]
    """Stops a Keras training when a metric's gain is no longer worth its cost.

    Keras saves no state of callbacks, so give ``state_path`` to resume: the state is written there
    after each epoch, whole or not at all, and removed when training ends. Put this callback
    *before* ``BackupAndRestore`` in the list: an epoch that is repeated after a kill is not counted
    twice, and a resumed training stops at the same epoch.

    Args:
        metric: its name in the logs.
        rule: a stop rule (see `earlycall.parse_rule`), by default ``gain:0.02``.
        cost: ``step`` (optimiser steps), ``epoch``, ``seconds``, or the name of a logged number.
        mode: ``min`` or ``max``; by default told from the metric's name.
        state_path: a file for the state; its folder is made.
        verbose: whether to print why training stops.
        stop_file: a file whose existence stops the run; ``earlycall serve`` shows the command.
        show_to: where a picture of the run and the decision go when training ends: a
            ``SummaryWriter``, a W&B run, an MLflow run, ``"mlflow"`` or ``"wandb"``.

    Attributes:
        monitor: the `Monitor`: ``should_stop``, ``reason``, ``explain()``.

    Raises:
        InputError: if an argument or the state file cannot be used, or the metric is not logged.

    Examples:
        >>> early = EarlyCall("val_loss", "gain:0.05", state_path="run/earlycall.json")
        >>> early.monitor.should_stop
        False
    """

    def __init__(
        self,
        metric: str = "val_loss",
        rule: str | Rule | None = None,
        *,
        cost: str = "epoch",
        mode: Direction | None = None,
        state_path: str | Path | None = None,
        verbose: bool = True,
        stop_file: str | Path | None = None,
        show_to: Any = None,
    ) -> None:
        super().__init__()
        self.watched = MetricMonitor(
            metric, rule, cost, mode, stop_file=stop_file, show_to=show_to, verbose=verbose
        )
        self.monitor = self.watched.monitor
        self.state_path = None if state_path is None else Path(state_path)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Go on from the state of a training that was killed."""
        self.watched.resolve()
        if self.state_path is not None:
            self.watched.load(self.state_path)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Judge the metric; save the state."""
        done = epoch + 1
        step = done * (self.params["steps"] or 1)
        stop = self.watched.update(
            logs or {}, step=step, epoch=done, progress=done / self.params["epochs"]
        )
        if self.state_path is not None:
            self.watched.save(self.state_path)
        if stop:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Log the run to its trackers; remove the state of a completed training."""
        self.watched.log_summary()
        if self.state_path is not None:
            self.state_path.unlink(missing_ok=True)


class Joules(JoulesLogger, keras.callbacks.Callback):  # type: ignore[misc]
    """Logs ``joules``, the energy since training began, beside what a Keras training logs.

    Put it *first* in the list: the history, ``CSVLogger`` and ``EarlyCall(cost="joules")`` then
    have it after each epoch.

    Args:
        scope: ``machine`` or ``process`` (see `earlycall.energy.Meter`).
        state_path: a file for the sum so far, from which a killed training goes on; it is removed
            when training ends.

    Raises:
        InputError: if the file holds something else.

    Examples:
        >>> callbacks = [Joules(), EarlyCall("val_loss", cost="joules")]
    """

    def __init__(self, scope: Scope = "machine", state_path: str | Path | None = None) -> None:
        super().__init__(scope)
        self.state_path = None if state_path is None else Path(state_path)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start to measure, from the sum of a training that was killed."""
        if self.state_path is not None and self.state_path.exists():
            try:
                saved = json.loads(self.state_path.read_text(encoding="utf-8"))
                self.joules = float(saved["joules"])
            except (OSError, ValueError, KeyError, TypeError):
                raise InputError(
                    f"{self.state_path}: no saved joules; remove the file to count from 0"
                ) from None
        self.start_meter(print)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the energy so far to what is logged; save it."""
        now = self.read_meter()
        if now is None:
            return
        if logs is not None:
            logs["joules"] = now
        if self.state_path is not None:
            write_state(self.state_path, {"joules": now})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Stop to measure; remove the file of a completed training."""
        self.close_meter()
        if self.state_path is not None:
            self.state_path.unlink(missing_ok=True)
