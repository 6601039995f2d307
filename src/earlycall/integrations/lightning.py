"""A PyTorch Lightning callback that stops training when it is no longer worth its cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earlycall.curves import Direction
from earlycall.extras import needed_for
from earlycall.integrations.joules import JoulesLogger
from earlycall.integrations.watch import MetricMonitor
from earlycall.stopping import Rule

with needed_for("the callback for Lightning", "lightning"):
    import torch
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.trainer.states import TrainerFn
    from lightning.pytorch.utilities import rank_zero_info


class EarlyCall(Callback):
    """Stops a Lightning training when a metric's gain is no longer worth its cost.

    Metrics logged in validation are judged after each validation (not in the sanity check), those
    logged in training after each epoch. With several processes the mean over all of them is judged
    and rank 0 decides for all. The state is part of Lightning's checkpoints: a resumed training
    stops at the same step. For a training metric, save checkpoints at the end of epochs
    (``ModelCheckpoint(save_on_train_epoch_end=True)``), after it was seen.

    Args:
        metric: the name under which it is logged.
        rule: a stop rule (see `earlycall.parse_rule`), by default ``gain:0.02``.
        cost: ``step`` (optimiser steps), ``epoch``, ``seconds``, or the name of a logged number.
        mode: ``min`` or ``max``; by default told from the metric's name.
        verbose: whether to print why training stops.
        stop_file: a file whose existence stops the run; ``earlycall serve`` shows the command.
        show_to: where a picture of the run and the decision go when training ends: a
            ``SummaryWriter``, a W&B run, an MLflow run, ``"mlflow"`` or ``"wandb"``, or
            ``"loggers"`` for those of the trainer.

    Attributes:
        monitor: the `Monitor`: ``should_stop``, ``reason``, ``explain()``.

    Raises:
        InputError: if an argument cannot be used, or the metric is not logged.

    Examples:
        >>> from lightning.pytorch import Trainer
        >>> early = EarlyCall("val_loss", "gain:0.05 or budget:3600", cost="seconds")
        >>> trainer = Trainer(callbacks=[early], max_epochs=100, logger=False, accelerator="cpu")
        >>> early.monitor.should_stop
        False
    """

    def __init__(
        self,
        metric: str = "val_loss",
        rule: str | Rule | None = None,
        *,
        cost: str = "step",
        mode: Direction | None = None,
        verbose: bool = True,
        stop_file: str | Path | None = None,
        show_to: Any = None,
    ) -> None:
        super().__init__()
        self.watched = MetricMonitor(metric, rule, cost, mode, stop_file=stop_file, show_to=show_to)
        self.monitor = self.watched.monitor
        self.verbose = verbose
        self._old: torch.Tensor | None = None  # the value before the validation
        self._validated = False  # whether a validation ended since training began
        self._in_validation = False  # whether the metric is one of validation

    @property
    def state_key(self) -> str:
        """The key of this callback's state in checkpoints; several callbacks may watch."""
        return self._generate_state_key(
            metric=self.watched.metric, rule=str(self.monitor.rule), cost=self.monitor.cost
        )

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the value before the validation, to tell whether the validation logs it."""
        self._old = trainer.callback_metrics.get(self.watched.metric)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge a metric of validation."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        self._validated = True
        new = trainer.callback_metrics.get(self.watched.metric)
        if new is not None and new is not self._old:
            self._in_validation = True
            self._judge(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge a metric of training."""
        if self._in_validation:
            return
        if self.watched.metric in trainer.callback_metrics or (
            self._validated or not trainer.enable_validation
        ):
            self._judge(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the trackers that pictures go to."""
        if trainer.is_global_zero:
            self.watched.resolve(trainer.loggers)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the run to its trackers."""
        if trainer.is_global_zero and (problem := self.watched.log_summary()):
            rank_zero_info(problem)

    def _judge(self, trainer: Trainer) -> None:
        logs: dict[str, Any] = dict(trainer.callback_metrics)
        value = logs.get(self.watched.metric)
        if value is not None:
            logs[self.watched.metric] = trainer.strategy.reduce(value, reduce_op="mean")
        stopped = self.monitor.should_stop
        stop = self.watched.update(
            logs, step=trainer.global_step, epoch=trainer.current_epoch + 1,
            progress=_progress(trainer),
        )  # fmt: skip
        if trainer.strategy.broadcast(stop):
            trainer.should_stop = True
            if self.verbose and not stopped:
                rank_zero_info(f"earlycall: {self.monitor.explain()}")

    def state_dict(self) -> dict[str, Any]:
        """What goes into Lightning's checkpoints."""
        return {**self.watched.state_dict(), "in_validation": self._in_validation}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.watched.load_state_dict(state_dict)
        self._in_validation = state_dict["in_validation"]


def _progress(trainer: Trainer) -> float | None:
    """The part of training that is done; None where its end is not known."""
    parts = []
    if trainer.max_steps > 0:
        parts.append(trainer.global_step / trainer.max_steps)
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        batches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        parts.append(batches / (trainer.max_epochs * trainer.num_training_batches))
    return max(parts, default=None)


class Joules(JoulesLogger, Callback):
    """Logs ``joules``, the energy since training began, beside what a Lightning training logs.

    It is logged with the training's steps, its validations and its epochs, so that any logger's
    run has it and ``EarlyCall(cost="joules")``, later in the list, can judge by it. The sum is part
    of Lightning's checkpoints. With several processes, those of rank 0's machine are logged.

    Args:
        scope: ``machine`` or ``process`` (see `earlycall.energy.Meter`).

    Examples:
        >>> from lightning.pytorch import Trainer
        >>> watched = EarlyCall("val_loss", cost="joules")
        >>> trainer = Trainer(callbacks=[Joules(), watched], logger=False, accelerator="cpu")
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to measure."""
        self.start_meter(rank_zero_info)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Log beside the losses of steps."""
        self._log(pl_module, on_step=True)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log beside the metrics of validation."""
        if not trainer.sanity_checking:
            self._log(pl_module, on_step=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log beside the metrics of epochs."""
        self._log(pl_module, on_step=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop to measure."""
        self.close_meter()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Stop to measure."""
        self.close_meter()

    def _log(self, pl_module: LightningModule, *, on_step: bool) -> None:
        now = self.read_meter()
        if now is not None:
            pl_module.log("joules", now, on_step=on_step, on_epoch=not on_step)

    def state_dict(self) -> dict[str, Any]:
        """What goes into Lightning's checkpoints."""
        return {"joules": self.joules}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.joules = float(state_dict["joules"])
