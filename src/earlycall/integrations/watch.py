"""A metric in a host's logs, watched by a `Monitor`: what the callbacks of all hosts share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np

from earlycall.atomic import write_whole
from earlycall.curves.columns import Direction, direction
from earlycall.errors import InputError, UnknownDirectionError
from earlycall.stopping import Monitor, Rule
from earlycall.stopping.history import History

BUILT_IN_COSTS = ("step", "epoch", "seconds")  # which need no column in the logs
MAX_PICTURE_POINTS = 1000  # of more, pairs are averaged
MIN_PICTURE_POINTS = 6


def mode_of(metric: str, mode: Direction | None) -> Direction:
    """Whether less ("min") or more ("max") of a metric is better; by its name if mode is None.

    Raises:
        InputError: if the mode is not min or max, or neither given nor clear from the name.

    Examples:
        >>> mode_of("val_loss", None), mode_of("val_accuracy", None), mode_of("score", "max")
        ('min', 'max', 'max')
    """
    if mode not in ("min", "max", None):
        raise InputError(f"mode={mode!r} must be 'min' or 'max'")
    mode = mode or direction(metric)
    if mode is None:
        raise InputError(f"{UnknownDirectionError(metric).question}; give mode='min' or mode='max'")
    return mode


class MetricMonitor:
    """A metric in a host's logs and the rule that says when it is no longer worth its cost.

    Args:
        metric: its name in the logs.
        rule: a stop rule as text or object, by default ``gain:0.02``.
        cost: ``step``, ``epoch``, ``seconds`` (of the clock) or the name of another logged number
            that grows, such as ``joules``.
        mode: ``min`` or ``max``; by default told from the metric's name.
        every: how many values are averaged before the rule sees them (see `Monitor`).
        stop_file: a file whose existence stops the run (see `Monitor`).
        show_to: the trackers that get a picture of the run when it ends (see
            `earlycall.integrations.trackers.trackers`).
        verbose: whether to print why the run stops, and why no picture could be logged.

    Raises:
        InputError: if an argument cannot be used.
    """

    def __init__(
        self,
        metric: str,
        rule: str | Rule | None,
        cost: str,
        mode: Direction | None,
        every: int | Literal["auto"] = "auto",
        stop_file: str | Path | None = None,
        show_to: Any = None,
        verbose: bool = False,
    ) -> None:
        self.metric, self.mode = metric, mode_of(metric, mode)
        self.monitor = Monitor(rule, cost=cost, mode=self.mode, every=every, stop_file=stop_file)
        self.show_to, self.verbose = show_to, verbose
        self._begin()

    def _begin(self) -> None:
        self._last_step: float | None = None
        self._history = None if self.show_to is None else History(max_points=MAX_PICTURE_POINTS)
        self._summary_logged = False

    def restart(self) -> None:
        """Forget the training so far: the host's callback is used for another one."""
        old = self.monitor
        old.rule.reset()
        self.monitor = Monitor(
            old.rule, cost=old.cost, mode=self.mode, every=old.every, stop_file=old.stop_file
        )
        self._begin()

    def update(
        self, logs: Mapping[str, Any], *, step: float, epoch: float, seconds: float | None = None,
        progress: float | None = None,
    ) -> bool:  # fmt: skip
        """Take the metric from some logs; whether to stop.

        A step that was taken before (a loop that went back to a checkpoint repeats some) is not
        taken twice.

        Args:
            logs: numbers by name.
            step: the optimiser steps (boosting rounds, reports) so far.
            epoch: the epochs so far.
            seconds: the time so far, where the host keeps it; by default the clock tells.
            progress: the part of training that is done, above 0, where the host knows its end.

        Raises:
            InputError: if the metric or the cost was not logged, listing what was.
        """
        if self._last_step is not None and step <= self._last_step:
            return self.monitor.should_stop
        cost = self.monitor.cost
        needed = [self.metric] if cost in BUILT_IN_COSTS else [self.metric, cost]
        for name in needed:
            if logs.get(name) is None:
                logged = ", ".join(map(repr, sorted(logs))) or "nothing"
                raise InputError(f"nothing called {name!r} was logged; logged were: {logged}")
        spent = {"step": step, "epoch": epoch, "seconds": seconds}.get(cost, logs.get(cost))
        self._last_step = float(step)
        if progress:
            self.monitor.rule.plan(cost, (self.monitor.updates + 1) / progress)
        value, stopped = float(logs[self.metric]), self.monitor.should_stop
        stop = self.monitor.update(value, spent)
        if self._history is not None:
            self._history.add(value, self.monitor.spent)
        if stop and not stopped:
            self._print(f"earlycall: {self.monitor.explain()}")
        return stop

    def resolve(self, loggers: Sequence[Any] = ()) -> None:
        """Find the trackers before training, so that one that cannot be used is reported at once.

        Args:
            loggers: what ``show_to="loggers"`` stands for.

        Raises:
            InputError: if ``show_to`` is no tracker.
        """
        if self.show_to is not None:
            from earlycall.integrations.trackers import trackers, trackers_of_loggers

            of_host = isinstance(self.show_to, str) and self.show_to == "loggers"
            self.show_to = trackers_of_loggers(loggers) if of_host else trackers(self.show_to)

    def log_summary(self) -> str | None:
        """Log the curve, its elasticity and the decision to the trackers, once.

        Returns:
            Why no picture was logged, if that failed: a training that ended well must not fail
            for it.
        """
        if self._history is None or not self.show_to or self._summary_logged:
            return None
        self._summary_logged = True
        try:
            self._log(self._history)
        except InputError as error:
            problem = f"earlycall: no picture was logged: {error}"
            self._print(problem)
            return problem
        return None

    def _print(self, sentence: str) -> None:
        if self.verbose:
            print(f"\n{sentence}", flush=True)

    def _log(self, history: History) -> None:
        from earlycall.integrations.trackers import log_figure, trackers
        from earlycall.plots import elasticity_along

        found, step = trackers(self.show_to), int(self._last_step or 0)
        for tracker in found:
            tracker.text("decision", self.monitor.explain(), step)
        cost, value = np.array(history.costs), np.array(history.losses)
        finite = np.isfinite(value)
        if found and finite.sum() >= MIN_PICTURE_POINTS:
            figure = elasticity_along(
                cost[finite], value[finite], unit=self.monitor.cost, name=self.metric,
                direction=self.mode,
            )  # fmt: skip
            log_figure(figure, found, "elasticity", step=step)

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON."""
        history = {} if self._history is None else {"history": self._history.state_dict()}
        return {
            "metric": self.metric,
            "step": self._last_step,
            "monitor": self.monitor.state_dict(),
        } | history

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            InputError: if the state is of another metric, mode, rule or cost.
        """
        if state.get("metric") != self.metric:
            raise InputError(
                f"the saved state watches {state.get('metric')!r}, this callback {self.metric!r}; "
                "make it as it was saved"
            )
        self.monitor.load_state_dict(state["monitor"])
        self._last_step = state["step"]
        if self._history is not None and "history" in state:
            self._history.load_state_dict(state["history"])

    def save(self, path: Path) -> None:
        """Write the state, for a host that keeps no state of callbacks."""
        write_state(path, self.state_dict())

    def load(self, path: Path) -> None:
        """Go on from the state that a killed training left, if it did.

        Raises:
            InputError: if the file holds something else, or the state of another rule or metric.
        """
        if not path.exists():
            return
        try:
            self.load_state_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = str(error) if isinstance(error, InputError) else "it is no saved state"
            raise InputError(f"{path}: {why}; remove the file to train from the start") from None


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state as JSON, whole or not at all; its folder is made."""
    with suppress(OSError):  # what is wrong is said by the writing
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(state))
