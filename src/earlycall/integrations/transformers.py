"""A Transformers trainer callback that stops training when it is no longer worth its cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from earlycall.curves import Direction
from earlycall.extras import needed_for
from earlycall.integrations.joules import JoulesLogger
from earlycall.integrations.watch import MetricMonitor
from earlycall.stopping import Rule

with needed_for("the callback for Transformers", "transformers"):
    import torch
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from transformers.trainer_callback import ExportableState
    from transformers.utils import logging

logger = logging.get_logger(__name__)


class EarlyCallCallback(TrainerCallback, ExportableState):
    """Stops a Transformers training when a metric's gain is no longer worth its cost.

    The state is part of the trainer's checkpoints, and a resumed training stops at the same step,
    with or without ``restore_callback_states_from_checkpoint``. With several processes rank 0
    decides for all.

    Args:
        metric: the name under which it is logged: ``eval_loss``, or ``loss`` for training losses.
        rule: a stop rule as text (see `earlycall.parse_rule`), by default ``gain:0.02``.
        cost: ``step``, ``epoch``, ``seconds``, or the name of a logged number (``total_flos``).
        mode: ``min`` or ``max``; by default told from the metric's name.
        every: how many values are averaged before the rule sees them (see `earlycall.Monitor`).
        stop_file: a file whose existence stops the run; ``earlycall serve`` shows the command.
        show_to: where a picture of the run and the decision go when training ends: a
            ``SummaryWriter``, a W&B run, an MLflow run, ``"mlflow"`` or ``"wandb"``.

    Attributes:
        monitor: the `Monitor`: ``should_stop``, ``reason``, ``explain()``.

    Raises:
        InputError: if an argument cannot be used, or nothing is logged under that name.

    Examples:
        >>> callback = EarlyCallCallback("eval_loss", "gain:0.05")
        >>> callback.monitor.should_stop
        False
    """

    def __init__(
        self,
        metric: str = "eval_loss",
        rule: str | Rule | None = None,
        cost: str = "step",
        mode: Direction | None = None,
        every: int | Literal["auto"] = "auto",
        stop_file: str | Path | None = None,
        show_to: Any = None,
    ) -> None:
        self.watched = MetricMonitor(metric, rule, cost, mode, every, stop_file, show_to)
        self.monitor = self.watched.monitor
        self._arguments = {
            "metric": metric, "rule": str(self.monitor.rule), "cost": cost, "mode": mode,
            "every": every,
        }  # fmt: skip
        if isinstance(show_to, str):
            self._arguments["show_to"] = show_to
        if stop_file is not None:
            self._arguments["stop_file"] = str(stop_file)
        self._training = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up the state of the checkpoint that training goes on from."""
        self._training = True
        if state.is_world_process_zero:
            self.watched.resolve()
        states: Any = state.stateful_callbacks  # a mapping, once it was read from a checkpoint
        found = states.get(type(self).__name__) if state.global_step else None
        for saved in found if isinstance(found, list) else [found]:
            if saved and saved.get("args") == self._arguments:
                self.saved = saved["attributes"]["saved"]

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Judge the metric if these logs have it."""
        logs = kwargs.get("logs") or {}
        if not self._training or self.watched.metric not in logs:
            return
        stopped = self.monitor.should_stop
        done = state.global_step
        progress = done / state.max_steps if state.max_steps else None
        stop = self.watched.update(logs, step=done, epoch=state.epoch or 0.0, progress=progress)
        if _of_rank_0(stop, args):
            control.should_training_stop = True
            if not stopped:
                logger.warning(f"earlycall: {self.monitor.explain()}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Warn if the metric was never logged; what is logged from now on is not training."""
        self._training = False
        if state.is_world_process_zero and (problem := self.watched.log_summary()):
            logger.warning(problem)
        if self.monitor.updates == 0 and state.log_history:
            names = sorted({name for record in state.log_history for name in record})
            logger.warning(
                f"earlycall: nothing called {self.watched.metric!r} was logged, so training was "
                f"not watched; logged were: {', '.join(map(repr, names))}"
            )

    @property
    def saved(self) -> dict[str, Any]:
        """The state, for the trainer's checkpoints."""
        return self.watched.state_dict()

    @saved.setter
    def saved(self, state: dict[str, Any]) -> None:
        self.watched.load_state_dict(state)

    def state(self) -> dict[str, Any]:
        """What goes into the trainer's checkpoints."""
        return {"args": self._arguments, "attributes": {"saved": self.saved}}


class JoulesCallback(JoulesLogger, TrainerCallback, ExportableState):
    """Logs ``joules``, the energy since training began, beside all that a trainer logs.

    It stands in the trainer's log history and its ``trainer_state.json``, so that the run has it,
    and ``EarlyCallCallback(cost="joules")``, later in the list, can judge by it. A training that is
    resumed from a checkpoint goes on from its sum. With several processes, those of rank 0's
    machine are logged.

    Args:
        scope: ``machine`` or ``process`` (see `earlycall.energy.Meter`).

    Examples:
        >>> JoulesCallback().joules
        0.0
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start to measure, from the sum of the checkpoint that training goes on from."""
        logged = [record["joules"] for record in state.log_history if "joules" in record]
        self.joules = max([self.joules, *logged])
        self.start_meter(logger.warning)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Add the energy so far to what is logged."""
        now = self.read_meter()
        if now is None:
            return
        if kwargs.get("logs") is not None:
            kwargs["logs"]["joules"] = now
        if state.log_history and state.log_history[-1].get("step") == state.global_step:
            state.log_history[-1]["joules"] = now

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop to measure."""
        self.close_meter()

    def state(self) -> dict[str, Any]:
        """What goes into the trainer's checkpoints."""
        return {"args": {"scope": self.scope}, "attributes": {"joules": self.joules}}


def _of_rank_0(stop: bool, args: TrainingArguments) -> bool:
    """The decision of rank 0 where several processes train."""
    if args.world_size > 1 and torch.distributed.is_initialized():
        decision = torch.tensor([int(stop)], device=args.device)
        torch.distributed.broadcast(decision, src=0)
        return bool(decision.item())
    return stop
