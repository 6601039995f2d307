"""Stop when the last observations lie on a level line."""

from __future__ import annotations

import math

from earlycall.errors import InputError
from earlycall.stopping.rule import Rule

WINDOW = 10  # observations: fewer tell no line from noise, more stop late
SHARE = 0.01  # a fall over the window of under 1 % of the gain so far is level


class PlateauRule(Rule):
    """``plateau[:WINDOW[:SHARE]]``: stop when the line through the last observations is level.

    A least-squares line through the last WINDOW losses is level when its fall over the window,
    plus one standard error, is less than SHARE of the gain so far (first − best loss). It knows
    the noise, and it does not depend on the loss's scale or zero; a run without any gain is level
    when its line does not fall by more than the standard error.

    Args:
        window: a whole number of observations, at least 4.
        share: a part of the gain, in (0, 1).

    Raises:
        InputError: if either is outside its range.

    Examples:
        >>> rule = PlateauRule(5)
        >>> next(x for x in range(100) if rule.update(2.0**-x, x))
        11
    """

    FORM = "plateau[:WINDOW[:SHARE]]"
    FIELDS = ("first", "best", "recent", "fall")
    __slots__ = ("share", "window", *FIELDS)

    def __init__(self, window: int = WINDOW, share: float = SHARE) -> None:
        if not 4 <= window < math.inf or window != int(window):
            raise InputError(f"plateau window {window!r} must be a whole number, at least 4")
        if not 0 < share < 1:
            raise InputError(f"plateau share {share!r} must be between 0 and 1")
        self.window, self.share = int(window), share
        self.reset()

    def __str__(self) -> str:
        return f"plateau:{self.window}:{self.share!r}"

    def reset(self) -> None:
        """Forget all observations."""
        self.first = self.best = self.fall = 0.0
        self.recent: list[float] = []

    def update(self, loss: float, cost: float) -> bool:
        """Take one observation; stop now?"""
        if not self.recent:
            self.first = self.best = loss
        self.best = min(self.best, loss)
        self.recent.append(loss)
        if len(self.recent) <= self.window:
            return False
        del self.recent[0]
        self.fall = _fall(self.recent)
        gain = self.first - self.best
        return self.fall <= 0 if gain <= 0 else self.fall < self.share * gain

    @property
    def reason(self) -> str:
        """The fall over the window beside the gain."""
        if len(self.recent) < self.window:
            return f"{len(self.recent)} of the {self.window} observations that a plateau takes"
        return (
            f"the last {self.window} losses fall by at most {max(self.fall, 0):.3g} along a line, "
            f"of a gain of {self.first - self.best:.4g} so far"
        )


def _fall(losses: list[float]) -> float:
    """The fall of the least-squares line over the losses, plus its standard error."""
    n = len(losses)
    mean = sum(losses) / n
    middle = (n - 1) / 2
    spread = n * (n * n - 1) / 12
    slope = sum((i - middle) * y for i, y in enumerate(losses)) / spread
    errors = [y - mean - slope * (i - middle) for i, y in enumerate(losses)]
    left = sum(error * error for error in errors)
    return (n - 1) * (math.sqrt(left / (n - 2) / spread) - slope)
