"""A metric in a host's logs, watched by a `Monitor`: what the callbacks of all hosts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from earlycall.curves.columns import Direction, direction
from earlycall.errors import InputError, UnknownDirectionError
from earlycall.integrations.snapshot import Seen, show, told
from earlycall.stopping import Monitor, Rule

GIVEN = ("step", "epoch", "seconds")  # costs that need no column in the logs


def sign_of(metric: str, mode: Direction | None) -> int:
    """1 where less of a metric is better, -1 where more is; told by its name where mode is None.

    Raises:
        InputError: if the mode is not one of min and max, or not given and not to be told.

    Examples:
        >>> sign_of("val_loss", None), sign_of("val_accuracy", None), sign_of("score", "max")
        (1, -1, -1)
    """
    if mode not in ("min", "max", None):
        raise InputError(f"mode={mode!r} must be 'min' or 'max'")
    mode = mode or direction(metric)
    if mode is None:
        raise InputError(f"{UnknownDirectionError(metric).question}; give mode='min' or mode='max'")
    return -1 if mode == "max" else 1


class Watched:
    """A metric in a host's logs and the rule that says when it is no longer worth its cost.

    Args:
        metric: its name in the logs.
        rule: a stop rule as text or object, by default ``gain:0.1``.
        cost: ``step``, ``epoch``, ``seconds`` (of the clock) or the name of another logged number
            that grows, such as ``joules``.
        mode: ``min`` or ``max``; by default told by the metric's name.
        every: how many values are averaged before the rule sees them (see `Monitor`).
        stop_file: a file that somebody makes to have the run stopped (see `Monitor`).
        show_to: the tracker that gets a picture of the run when it ends (see
            `earlycall.integrations.trackers.trackers`).

    Raises:
        InputError: if an argument cannot be used.
    """

    def __init__(
        self,
        metric: str,
        rule: str | Rule | None,
        cost: str,
        mode: Direction | None,
        every: int | Literal["auto"] = 1,
        stop_file: str | Path | None = None,
        show_to: Any = None,
    ) -> None:
        self.metric, self.sign = metric, sign_of(metric, mode)
        self.monitor = Monitor(rule, cost=cost, every=every, stop_file=stop_file)
        self._before: float | None = None  # the step last seen
        self.show_to = show_to
        self._seen = None if show_to is None else Seen()
        self._shown = False

    def see(self, logs: Mapping[str, Any], *, step: float, epoch: float) -> bool:
        """Take the metric from some logs; whether to stop.

        A step that was seen before (a loop that went back to a checkpoint repeats some) is not
        taken twice.

        Raises:
            InputError: if the metric or the cost was not logged, listing what was.
        """
        if self._before is not None and step <= self._before:
            return self.monitor.should_stop
        cost = self.monitor.cost
        spent = {"step": step, "epoch": epoch, "seconds": None}.get(cost, logs.get(cost))
        for name, missing in (
            (self.metric, logs.get(self.metric) is None),
            (cost, spent is None and cost not in GIVEN),
        ):
            if missing:
                raise InputError(
                    f"nothing called {name!r} was logged; logged were: "
                    f"{', '.join(map(repr, sorted(logs))) or 'nothing'}"
                )
        self._before = float(step)
        value = float(logs[self.metric])
        stop = self.monitor.update(self.sign * value, spent)
        if self._seen is not None:
            self._seen.add(self.monitor.spent, value)
        return stop

    def resolve(self, loggers: Sequence[Any] = ()) -> None:
        """Find the trackers before training, so that one that cannot be used is told at once.

        Args:
            loggers: what ``show_to="loggers"`` stands for.

        Raises:
            InputError: if ``show_to`` is no tracker.
        """
        if self.show_to is not None:
            from earlycall.integrations.trackers import shown_in, trackers

            named = isinstance(self.show_to, str) and self.show_to == "loggers"
            self.show_to = shown_in(loggers) if named else trackers(self.show_to)

    def show(self) -> str | None:
        """Log the picture and the decision, once; why that failed, where it did."""
        if self._seen is None or not self.show_to or self._shown:
            return None
        self._shown = True
        step = int(self._before or 0)
        try:
            show(
                self._seen,
                self.monitor.explain(),
                self.show_to,
                metric=self.metric,
                direction="min" if self.sign > 0 else "max",
                unit=self.monitor.cost,
                step=step,
            )
        except InputError as error:
            return told(error)
        return None

    def state_dict(self) -> dict[str, Any]:
        """All that is remembered, as JSON."""
        return {
            "metric": self.metric,
            "sign": self.sign,
            "step": self._before,
            "monitor": self.monitor.state_dict(),
        } | ({} if self._seen is None else {"seen": self._seen.state_dict()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            InputError: if the state is of another metric, mode, rule or cost.
        """
        if (state.get("metric"), state.get("sign")) != (self.metric, self.sign):
            raise InputError(
                f"the saved state watches {state.get('metric')!r} (sign {state.get('sign')}), "
                f"this callback {self.metric!r} (sign {self.sign}); make it as it was saved"
            )
        self.monitor.load_state_dict(state["monitor"])
        self._before = state["step"]
        if self._seen is not None and "seen" in state:
            self._seen.load_state_dict(state["seen"])
