"""A skorch callback that stops training when it is no longer worth its cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earlycall.curves import Direction
from earlycall.extras import needed_for
from earlycall.integrations.watch import MetricMonitor
from earlycall.stopping import Monitor, Rule

with needed_for("the callback for skorch", "skorch"):
    from skorch.callbacks import Callback


class EarlyCall(Callback):  # type: ignore[misc]
    """Stops a skorch training when a metric's gain is no longer worth its cost.

    It has no state but the net's history, which skorch's checkpoints keep: a training that goes on
    from one (``LoadInitState``, ``partial_fit``) stops at the same epoch. Put it *last* in the list
    of callbacks: those behind it do not see the epoch at which training stops.

    Args:
        metric: its name in the history.
        rule: a stop rule (see `earlycall.parse_rule`), by default ``gain:0.02``.
        cost: ``epoch``, ``step`` (batches), ``seconds`` (the history's ``dur``), or the name of a
            number in the history that grows.
        mode: ``min`` or ``max``; by default told from the metric's name.
        verbose: whether to print why training stops.
        stop_file: a file whose existence stops the run; ``earlycall serve`` shows the command.
        show_to: where a picture of the run and the decision go when training ends: a
            ``SummaryWriter``, a W&B run, an MLflow run, ``"mlflow"`` or ``"wandb"``.

    Raises:
        InputError: when training begins, if an argument cannot be used; then if the history does
            not have the metric.

    Examples:
        >>> import numpy, torch
        >>> from skorch import NeuralNetRegressor
        >>> net = NeuralNetRegressor(
        ...     torch.nn.Linear(2, 1), max_epochs=200, verbose=0,
        ...     callbacks=[("early", EarlyCall("valid_loss", "gain:0.3", verbose=False))])
        >>> x = numpy.random.default_rng(0).normal(size=(64, 2)).astype("float32")
        >>> len(net.fit(x, x[:, :1]).history) < 200
        True
    """

    def __init__(
        self,
        metric: str = "valid_loss",
        rule: str | Rule | None = None,
        cost: str = "epoch",
        mode: Direction | None = None,
        verbose: bool = True,
        stop_file: str | Path | None = None,
        show_to: Any = None,
    ) -> None:
        # As scikit-learn wants it: what is given is an attribute, nothing is made of it yet.
        self.metric, self.rule, self.cost, self.mode = metric, rule, cost, mode
        self.verbose, self.stop_file, self.show_to = verbose, stop_file, show_to

    def initialize(self) -> EarlyCall:
        """Begin anew, as skorch does when a net is fitted."""
        self.watched_ = MetricMonitor(
            self.metric, self.rule, self.cost, self.mode,
            stop_file=self.stop_file, show_to=self.show_to, verbose=self.verbose,
        )  # fmt: skip
        self.watched_.restart()
        return self

    @property
    def monitor(self) -> Monitor:
        """The `Monitor` of the training: ``should_stop``, ``reason``, ``explain()``."""
        return self.watched_.monitor

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Take up the history of the training that this one goes on from."""
        self.watched_.resolve()
        self.end_ = len(net.history) + net.max_epochs
        for epochs in range(1, len(net.history) + 1):
            self._take(list(net.history)[:epochs])

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Judge the metric.

        Raises:
            KeyboardInterrupt: to stop, as skorch's own callbacks do.
        """
        if self._take(list(net.history)):
            raise KeyboardInterrupt

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Log the run to its trackers."""
        self.watched_.log_summary()

    def _take(self, epochs: list[dict[str, Any]]) -> bool:
        return self.watched_.update(
            epochs[-1],
            step=sum(epoch["train_batch_count"] for epoch in epochs),
            epoch=len(epochs),
            seconds=sum(epoch["dur"] for epoch in epochs),
            progress=len(epochs) / self.end_,
        )
