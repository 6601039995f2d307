"""A LightGBM callback that stops boosting when it is no longer worth its cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earlycall.curves import Direction
from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.integrations.watch import MetricMonitor
from earlycall.stopping import Monitor, Rule

with needed_for("the callback for LightGBM", "lightgbm"):
    from lightgbm.callback import CallbackEnv, EarlyStopException


class EarlyCall:
    """Stops LightGBM's boosting when a metric's gain is no longer worth its cost.

    LightGBM keeps no state of callbacks, so give ``state_path`` to resume: the state is written
    there after each round, whole or not at all, and removed when training ends. Training that goes
    on by ``init_model=`` then stops at the same round; rounds that are repeated are not counted
    twice. A callback may be used for one training after another. The model keeps all rounds until
    the stop, and the last one is its ``best_iteration``.

    Args:
        metric: ``SET/METRIC``, such as ``valid_0/l2``; the sets are named by ``valid_names``.
        rule: a stop rule (see `earlycall.parse_rule`), by default ``gain:0.02``.
        cost: ``step`` (boosting rounds), ``seconds``, or another metric that grows.
        mode: ``min`` or ``max``; by default told from the metric's name.
        state_path: a file for the state; its folder is made.
        verbose: whether to print why training stops.
        stop_file: a file whose existence stops the run; ``earlycall serve`` shows the command.
        show_to: where a picture of the run and the decision go when training ends: a
            ``SummaryWriter``, a W&B run, an MLflow run, ``"mlflow"`` or ``"wandb"``.

    Raises:
        InputError: if an argument or the state file cannot be used, the metric is not evaluated,
            or LightGBM takes it in the other direction.

    Examples:
        >>> import lightgbm, numpy
        >>> x = numpy.linspace(0, 1, 500)[:, None]
        >>> data = lightgbm.Dataset(x, label=numpy.sin(9 * x[:, 0]))
        >>> early = EarlyCall("training/l2", verbose=False)
        >>> booster = lightgbm.train(
        ...     {"verbosity": -1, "metric": "l2"}, data, 500, valid_sets=[data], callbacks=[early])
        >>> booster.num_trees() < 500, early.monitor.should_stop
        (True, True)
    """

    def __init__(
        self,
        metric: str,
        rule: str | Rule | None = None,
        *,
        cost: str = "step",
        mode: Direction | None = None,
        state_path: str | Path | None = None,
        verbose: bool = True,
        stop_file: str | Path | None = None,
        show_to: Any = None,
    ) -> None:
        self.watched = MetricMonitor(
            metric, rule, cost, mode, stop_file=stop_file, show_to=show_to, verbose=verbose
        )
        self.state_path = None if state_path is None else Path(state_path)
        # After LightGBM's own callbacks, which a stop would leave out. LightGBM asks the object.
        self.order = 40

    @property
    def monitor(self) -> Monitor:
        """The `Monitor` of the last training: ``should_stop``, ``reason``, ``explain()``."""
        return self.watched.monitor

    def __call__(self, env: CallbackEnv) -> None:
        """Judge the metric; save the state.

        Raises:
            EarlyStopException: to stop.
        """
        if env.iteration == env.begin_iteration:
            self._begin(env)
        done, results = env.iteration + 1, env.evaluation_result_list or []
        logs = {f"{name}/{metric}": value for name, metric, value, *_ in results}
        stop = self.watched.update(logs, step=done, epoch=done, progress=done / env.end_iteration)
        if stop or done == env.end_iteration:
            self.watched.log_summary()
            if self.state_path is not None:
                self.state_path.unlink(missing_ok=True)
        elif self.state_path is not None:
            self.watched.save(self.state_path)
        if stop:
            raise EarlyStopException(env.iteration, results)

    def _begin(self, env: CallbackEnv) -> None:
        """Begin anew, or go on from the state of a training that was killed."""
        for name, metric, _, maximize, *_ in env.evaluation_result_list or []:
            taken = "max" if maximize else "min"
            if f"{name}/{metric}" == self.watched.metric and taken != self.watched.mode:
                raise InputError(
                    f"LightGBM takes {self.watched.metric!r} as mode={taken!r}, this callback as "
                    f"mode={self.watched.mode!r}; give mode={taken!r}"
                )
        self.watched.restart()
        self.watched.resolve()
        if self.state_path is not None and env.begin_iteration > 0:  # else what is there is old
            self.watched.load(self.state_path)
