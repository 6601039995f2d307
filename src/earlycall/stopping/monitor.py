"""A stop rule applied to a live run: takes its losses and says when to stop, and why."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from earlycall.atomic import write_whole
from earlycall.errors import InputError
from earlycall.stopping.averaging import Averaging
from earlycall.stopping.gain import THRESHOLD
from earlycall.stopping.history import History
from earlycall.stopping.parse import as_rule
from earlycall.stopping.rule import Rule

if TYPE_CHECKING:
    from earlycall.curves import Direction

VERSION = 3  # of the saved state
DEFAULT_RULE = f"gain:{THRESHOLD}"
COUNTED = ("step", "epoch")  # costs that are counted where none is given
STOP_FILE_PERIOD = 1.0  # seconds between two looks for the stop file


class Monitor:
    """Watches a run and says when more training is no longer worth its cost.

    It remembers at most 200 averaged losses and a few dozen numbers, however long the run, and a
    restored monitor goes on exactly.

    Args:
        rule: a rule as text (``"patience:3"``, ``"gain:0.05 or budget:3600"``) or as an object; by
            default ``"gain:0.02"``.
        cost: the name of the cost. ``"step"`` and ``"epoch"`` count the updates if no cost is
            given, ``"seconds"`` reads the clock; any other cost (joules, usd) must be given.
        threshold: short for ``rule="gain:THRESHOLD"``.
        mode: ``"min"``, or ``"max"`` where more of what is watched is better.
        every: how many losses are averaged before the rule sees them; 1 for none. ``"auto"``
            averages, for the rules gain, loss and target, until the gain stands out from the noise,
            and does not stop before that, nor before 12 observations: it suits a loss per epoch and
            the noisy losses of single steps alike.
        warm_up: the number of observations before which the rule may not stop.
        diverged_after: how many losses in a row that are not finite end the run; fewer are left
            out, as loops with mixed precision leave such steps out.
        stop_file: a file whose existence stops the run, checked once per second; the command shown
            by ``earlycall serve`` creates ``LOG.stop`` beside the run's log.

    Attributes:
        spent: the cost so far.
        reason: why the run should stop; None while it should not.
        updates: the number of losses so far.

    Raises:
        InputError: if an argument cannot be used, with what is expected.

    Examples:
        >>> monitor = Monitor("gain:0.1", every=1)
        >>> for epoch in range(100):
        ...     if monitor.update(0.5 ** epoch):
        ...         break
        >>> print(monitor.explain())
        Stopped after 10 observations at step 10: gain elasticity about 0.087, below 0.1 (gain
        0.998 so far).
    """

    def __init__(
        self,
        rule: str | Rule | None = None,
        *,
        cost: str = "step",
        threshold: float | None = None,
        mode: Direction = "min",
        every: int | Literal["auto"] = "auto",
        warm_up: int = 0,
        diverged_after: int = 1,
        stop_file: str | Path | None = None,
    ) -> None:
        if threshold is not None and rule is not None:
            raise InputError("give a rule or a threshold, which is short for gain:THRESHOLD")
        if rule is None:
            rule = DEFAULT_RULE if threshold is None else f"gain:{threshold}"
        self.rule = as_rule(rule)
        if not isinstance(cost, str):
            raise InputError(f"cost={cost!r} must be a name, such as 'step', 'seconds' or 'joules'")
        if every != "auto" and not (isinstance(every, int) and every >= 1):
            raise InputError(f"every={every!r} must be 'auto' or a whole number, at least 1")
        if mode not in ("min", "max"):
            raise InputError(f"mode={mode!r} must be 'min' or 'max'")
        if not (isinstance(diverged_after, int) and diverged_after >= 1):
            raise InputError(
                f"diverged_after={diverged_after!r} must be a whole number, at least 1"
            )
        self.rule.plan(cost)
        self.cost, self.mode, self.every, self.warm_up = cost, mode, every, warm_up
        self.diverged_after = diverged_after
        self._not_finite = 0  # losses in a row
        self.stop_file = None if stop_file is None else Path(stop_file)
        self._checked_at = -math.inf  # when the stop file was last looked for
        self.updates = 0
        self.reason: str | None = None
        self.spent = 0.0
        self._start = time.monotonic()
        self._mean = History(size=1 if every == "auto" else every)
        self._auto = Averaging() if every == "auto" and self.rule.averaged else None

    @property
    def should_stop(self) -> bool:
        """Whether the run should stop."""
        return self.reason is not None

    def update(self, loss: float | None, cost: float | None = None) -> bool:
        """Take the next loss; whether the run should stop (which stays True from then on).

        Args:
            loss: any number (a tensor of one element too); None where none was logged. Losses that
                are not finite stop the run: it has diverged (see ``diverged_after``).
            cost: the cost so far, which must not fall; by default counted or from the clock.

        Raises:
            InputError: if a cost is missing, not finite or falling, or the loss is not a number.
        """
        if self.reason is not None:
            return True
        if loss is None and cost is None and self.cost in COUNTED:
            return False
        now = self._cost_so_far(cost)
        value = None if loss is None else _number(loss)
        self.spent = now
        if value is None:
            stop = self.rule.spent(now)
        else:
            self.updates += 1
            self.rule.observe(self.updates, now)
            if not math.isfinite(value):
                return self._take_not_finite(value, now)
            self._not_finite = 0
            stop = self.ask(-value if self.mode == "max" else value, now)
        if self._stop_file_exists():
            self.reason = f"the stop file {self.stop_file} exists"
        elif stop and self.updates >= self.warm_up:
            self.reason = self.rule.reason
        return self.reason is not None

    def _take_not_finite(self, value: float, cost: float) -> bool:
        self._not_finite += 1
        if self._not_finite >= self.diverged_after:
            last = "" if self._not_finite == 1 else f", the last of {self._not_finite} in a row"
            self.reason = f"the loss is {value}{last}: the run has diverged"
        elif self.rule.spent(cost):
            self.reason = self.rule.reason
        return self.reason is not None

    def explain(self) -> str:
        """The decision in one sentence, with its numbers."""
        progress = f"after {self.updates} observations at {self.cost} {self.spent:.6g}"
        if self.reason is not None:
            return f"Stopped {progress}: {self.reason}."
        if self.updates == 0:
            return "Goes on: no loss has been seen yet."
        if self.updates < self.warm_up:
            return f"Goes on {progress}: the warm-up takes {self.warm_up} observations."
        if self._auto is not None and not self._auto.clear:
            return f"Goes on {progress}: the gain does not stand out from the noise yet."
        return f"Goes on {progress}: {self.rule.reason}."

    def ask(self, loss: float, cost: float) -> bool:
        """The rule's answer to the next finite loss, averaged as ``every`` says."""
        if self._auto is not None:
            return self._ask_averaged(self._auto, loss, cost)
        mean = self._mean
        if not mean.add(loss, cost):
            return self.rule.spent(cost)
        return self.rule.update(mean.losses.pop(), mean.costs.pop())

    def _ask_averaged(self, averaging: Averaging, loss: float, cost: float) -> bool:
        completed, all_new = averaging.add(loss, cost)
        if not completed:
            return self.rule.spent(cost)
        points, stop = averaging.history, False
        if all_new:
            self.rule.reset()
        first = 0 if all_new else -1
        for mean, at in zip(points.losses[first:], points.costs[first:], strict=True):
            stop = self.rule.update(mean, at)
        return (stop and averaging.clear) or self.rule.spent(cost)

    def _stop_file_exists(self) -> bool:
        if self.stop_file is None or time.monotonic() - self._checked_at < STOP_FILE_PERIOD:
            return False
        self._checked_at = time.monotonic()
        return self.stop_file.exists()

    def _cost_so_far(self, cost: float | None) -> float:
        if cost is None:
            if self.cost in COUNTED:
                return self.spent + 1.0
            if self.cost != "seconds":
                raise InputError(
                    f"a monitor of {self.cost!r} needs the {self.cost} so far: "
                    "monitor.update(loss, cost)"
                )
            return max(time.monotonic() - self._start, self.spent)
        now = _number(cost)
        if not math.isfinite(now):
            raise InputError(f"the cost is {now}; it must be the finite {self.cost} so far")
        if now < self.spent and self.updates:
            raise InputError(
                f"the cost fell from {self.spent:.6g} to {now:.6g}; give the {self.cost} "
                "since the start of the run, not of the epoch or session"
            )
        return now

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON."""
        return {
            "version": VERSION,
            "cost": self.cost,
            "every": self.every,
            "warm_up": self.warm_up,
            "mode": self.mode,
            "diverged_after": self.diverged_after,
            "not_finite": self._not_finite,
            "updates": self.updates,
            "stopped": self.reason,
            "last_cost": self.spent,
            "seconds": time.monotonic() - self._start if self.cost == "seconds" else None,
            "mean": self._mean.state_dict(),
            "auto": None if self._auto is None else self._auto.state_dict(),
            "rule": self.rule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; a clock goes on from the seconds saved.

        Raises:
            InputError: if the state is of another version, rule, cost or averaging, or incomplete.
        """
        if state.get("version", VERSION) != VERSION:
            raise InputError(
                f"the saved monitor is of version {state['version']}, this earlycall reads version "
                f"{VERSION} and decides otherwise; end the run with the earlycall that began it, "
                "or judge it anew with a monitor of its own"
            )
        for name in ("cost", "mode", "every"):
            if name in state and state[name] != getattr(self, name):
                raise InputError(
                    f"the saved monitor has {name}={state[name]!r}, this one "
                    f"{name}={getattr(self, name)!r}; make it as it was saved"
                )
        try:
            self.rule.load_state_dict(state["rule"])
            self._mean.load_state_dict(state["mean"])
            if self._auto is not None:
                self._auto.load_state_dict(state["auto"])
            self.warm_up, self.updates = state["warm_up"], state["updates"]
            self.diverged_after, self._not_finite = state["diverged_after"], state["not_finite"]
            self.reason, self.spent = state["stopped"], state["last_cost"]
            self._start = time.monotonic() - (state["seconds"] or 0.0)
        except (KeyError, TypeError) as error:
            raise InputError(f"the saved state of a monitor is incomplete: {error}") from None

    def save(self, path: str | Path) -> Path:
        """Write the state as JSON, whole or not at all: a kill leaves the file as it was before.

        Raises:
            InputError: if the file cannot be written.
        """
        return write_whole(path, json.dumps(self.state_dict()))

    @classmethod
    def load(
        cls, path: str | Path, *, rule: Rule | None = None, stop_file: str | Path | None = None
    ) -> Monitor:
        """The monitor that `save` wrote.

        Args:
            path: the file.
            rule: the rule, where it is not one of earlycall's own.
            stop_file: as for a new monitor; it is not part of the state.

        Raises:
            InputError: if the file is missing, or no saved monitor.
        """
        try:
            state = json.loads(Path(path).read_text())
            text = state["rule"]["rule"]
            made = cls(
                rule or text, cost=state["cost"], mode=state["mode"], every=state["every"],
                stop_file=stop_file,
            )  # fmt: skip
            made.load_state_dict(state)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path}: not a saved monitor; write one with Monitor.save") from None
        return made

    def __repr__(self) -> str:
        return f"Monitor({str(self.rule)!r}, cost={self.cost!r}, every={self.every!r})"


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"a loss and a cost are numbers, got {value!r}") from None
