"""An Ignite handler that stops training when it is no longer worth its cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earlycall.curves import Direction
from earlycall.extras import needed_for
from earlycall.integrations.watch import MetricMonitor
from earlycall.stopping import Rule

with needed_for("the handler for Ignite", "ignite"):
    import ignite.distributed as idist
    from ignite.engine import Engine, Events


class EarlyCall:
    """Stops an Ignite trainer when a metric's gain is no longer worth its cost.

    Attach it to the evaluator, as Ignite's own ``EarlyStopping``, or to the trainer for a metric of
    training. Its state goes into checkpoints with the trainer's (``Checkpoint(to_save={"trainer":
    trainer, "early": early, …})``): a resumed training stops at the same step. With several
    processes rank 0 decides for all.

    Args:
        metric: its name in the metrics of the engine that it is attached to.
        trainer: the engine to stop.
        rule: a stop rule (see `earlycall.parse_rule`), by default ``gain:0.02``.
        cost: ``epoch``, ``step`` (iterations of the trainer), ``seconds``, or another metric that
            grows.
        mode: ``min`` or ``max``; by default told from the metric's name.
        verbose: whether to print why training stops.
        stop_file: a file whose existence stops the run; ``earlycall serve`` shows the command.
        show_to: where a picture of the run and the decision go when training ends: a
            ``SummaryWriter``, a W&B run, an MLflow run, ``"mlflow"`` or ``"wandb"``.

    Attributes:
        monitor: the `Monitor`: ``should_stop``, ``reason``, ``explain()``.

    Raises:
        InputError: if an argument cannot be used, or the engine has no such metric.

    Examples:
        >>> trainer = Engine(lambda engine, batch: batch)
        >>> evaluator = Engine(lambda engine, batch: batch)
        >>> early = EarlyCall("loss", trainer, verbose=False)
        >>> _ = evaluator.add_event_handler(Events.COMPLETED, early)
        >>> @trainer.on(Events.EPOCH_COMPLETED)
        ... def evaluate():
        ...     evaluator.state.metrics = {"loss": 0.5 ** trainer.state.epoch}
        ...     evaluator.run([0])
        >>> trainer.run([0], max_epochs=100).epoch < 100
        True
    """

    def __init__(
        self,
        metric: str,
        trainer: Engine,
        rule: str | Rule | None = None,
        *,
        cost: str = "epoch",
        mode: Direction | None = None,
        verbose: bool = True,
        stop_file: str | Path | None = None,
        show_to: Any = None,
    ) -> None:
        self.watched = MetricMonitor(
            metric, rule, cost, mode, stop_file=stop_file, show_to=show_to,
            verbose=verbose and idist.get_rank() == 0,
        )  # fmt: skip
        self.monitor = self.watched.monitor
        self.trainer = trainer
        if idist.get_rank() == 0:
            self.watched.resolve()
            trainer.add_event_handler(Events.COMPLETED, self.watched.log_summary)

    def __call__(self, engine: Engine) -> None:
        """Judge the metric."""
        at = self.trainer.state
        planned = at.max_iters or (at.max_epochs or 0) * (at.epoch_length or 0)
        stop = self.watched.update(
            engine.state.metrics, step=at.iteration, epoch=at.epoch,
            progress=at.iteration / planned if planned else None,
        )  # fmt: skip
        if idist.broadcast(float(stop)):
            self.trainer.terminate()

    def state_dict(self) -> dict[str, Any]:
        """What goes into Ignite's checkpoints."""
        return self.watched.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.watched.load_state_dict(dict(state_dict))
