"""An XGBoost callback that stops boosting when it is no longer worth its cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earlycall.curves import Direction
from earlycall.extras import needed_for
from earlycall.integrations.watch import MetricMonitor
from earlycall.stopping import Monitor, Rule

with needed_for("the callback for XGBoost", "xgboost"):
    from xgboost import collective
    from xgboost.callback import TrainingCallback

ATTRIBUTE = "earlycall"  # of the booster, which its model files keep


class EarlyCall(TrainingCallback):  # type: ignore[misc, unused-ignore]
    """Stops XGBoost's boosting when a metric's gain is no longer worth its cost.

    The state is an attribute of the booster while it is trained, so that checkpoints
    (``TrainingCheckPoint``) hold it: training that goes on from one by ``xgb_model=`` stops at the
    same round. A callback may be used for one training after another. With several workers rank 0
    decides for all. The model keeps all rounds until the stop.

    Args:
        metric: ``SET/METRIC``, such as ``valid/rmse`` with ``evals=[(matrix, "valid")]``; with
            scikit-learn's interface ``validation_0/rmse``, with ``cv`` ``test/rmse``.
        rule: a stop rule (see `earlycall.parse_rule`), by default ``gain:0.02``.
        cost: ``step`` (boosting rounds), ``seconds``, or another metric that grows.
        mode: ``min`` or ``max``; by default told from the metric's name.
        verbose: whether to print why training stops.
        stop_file: a file whose existence stops the run; ``earlycall serve`` shows the command.
        show_to: where a picture of the run and the decision go when training ends: a
            ``SummaryWriter``, a W&B run, an MLflow run, ``"mlflow"`` or ``"wandb"``.

    Raises:
        InputError: if an argument or the state cannot be used, or the metric is not evaluated.

    Examples:
        >>> import numpy, xgboost
        >>> x = numpy.linspace(0, 1, 100)[:, None]
        >>> data = xgboost.DMatrix(x, label=numpy.sin(9 * x[:, 0]))
        >>> early = EarlyCall("train/rmse", verbose=False)
        >>> booster = xgboost.train(
        ...     {}, data, 500, evals=[(data, "train")], verbose_eval=False, callbacks=[early])
        >>> booster.num_boosted_rounds() < 500, early.monitor.should_stop
        (True, True)
    """

    def __init__(
        self,
        metric: str,
        rule: str | Rule | None = None,
        *,
        cost: str = "step",
        mode: Direction | None = None,
        verbose: bool = True,
        stop_file: str | Path | None = None,
        show_to: Any = None,
    ) -> None:
        super().__init__()
        self.watched = MetricMonitor(
            metric, rule, cost, mode, stop_file=stop_file, show_to=show_to, verbose=verbose
        )

    @property
    def monitor(self) -> Monitor:
        """The `Monitor` of the last training: ``should_stop``, ``reason``, ``explain()``."""
        return self.watched.monitor

    def before_training(self, model: Any) -> Any:
        """Begin anew, or go on from the state of the booster that training goes on from."""
        self.watched.restart()
        self.watched.resolve()
        if saved := model.attr(ATTRIBUTE):
            self.watched.load_state_dict(json.loads(saved))
        return model

    def after_iteration(
        self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, list[Any]]]
    ) -> bool:
        """Judge the metric; save the state."""
        done = model.num_boosted_rounds()  # those of the model that training went on from, too
        logs = {
            f"{name}/{metric}": values[-1][0] if isinstance(values[-1], tuple) else values[-1]
            for name, metrics in evals_log.items() for metric, values in metrics.items()
        }  # fmt: skip
        stop = bool(collective.broadcast(self.watched.update(logs, step=done, epoch=done), 0))
        model.set_attr(**{ATTRIBUTE: json.dumps(self.watched.state_dict())})
        if stop and hasattr(model, "cvfolds"):
            model.best_iteration = epoch  # where `cv` cuts its table, if it is stopped
        return stop

    def after_training(self, model: Any) -> Any:
        """Log the run to its trackers; remove the state of a completed training."""
        self.watched.log_summary()
        model.set_attr(**{ATTRIBUTE: None})
        return model
