"""Stop when a wanted loss will not be reached in time."""

from __future__ import annotations

import math

from earlycall.errors import InputError
from earlycall.stopping.history import History
from earlycall.stopping.rule import Rule

MIN_POINTS = 10  # before a forecast is worth believing
GROWTH = 1.05  # forecast anew when the cost has grown by 5 %: the forecast costs a fit
ERROR_WEIGHT = 2.0  # of the spread of forecasts and losses, subtracted for the bound


class TargetRule(Rule):
    """``target:LOSS:HORIZON``: stop when the forecast at the cost HORIZON stays above LOSS.

    The forecast is the approximation f = 1/(b1 + b2·x) + b3, fitted to all of the curve and to its
    later half; the lower of the two, less twice their difference and twice the noise of the
    losses, is taken as the best that can be hoped for. A run that has reached the loss goes on.

    Args:
        loss: the wanted loss.
        horizon: the cost at which training would end, in the monitor's unit.

    Raises:
        InputError: if the horizon is not above 0.

    Examples:
        >>> rule = TargetRule(0.5, 1000)
        >>> next(x for x in range(1, 1000) if rule.update(1 + 1 / x, x))
        10
    """

    FORM = "target:LOSS:HORIZON"
    FIELDS = ("best", "forecast", "next_cost", "history")
    __slots__ = ("horizon", "loss", *FIELDS)
    averaged = True

    def __init__(self, loss: float, horizon: float) -> None:
        if not math.isfinite(loss):
            raise InputError(f"target loss {loss!r} must be a finite number")
        if not 0 < horizon < math.inf:
            raise InputError(f"target horizon {horizon!r} must be a cost above 0")
        self.loss, self.horizon = float(loss), float(horizon)
        self.reset()

    def __str__(self) -> str:
        return f"target:{self.loss!r}:{self.horizon!r}"

    def reset(self) -> None:
        """Forget all observations."""
        self.history = History()
        self.best: float | None = None
        self.forecast: float | None = None  # the best that can be hoped for
        self.next_cost = 0.0

    def update(self, loss: float, cost: float) -> bool:
        """Take one observation; stop now?"""
        self.best = loss if self.best is None else min(self.best, loss)
        completed = self.history.add(loss, cost)
        if self.best <= self.loss or cost >= self.horizon:
            return False
        if completed and len(self.history.losses) >= MIN_POINTS and cost >= self.next_cost:
            self.forecast = _hope(self.history.losses, self.history.costs, self.horizon)
            self.next_cost = cost * GROWTH
        return self.forecast is not None and self.forecast > self.loss

    @property
    def reason(self) -> str:
        """The forecast beside the target."""
        if self.best is not None and self.best <= self.loss:
            return f"the target loss {self.loss:.4g} is reached"
        if self.forecast is None:
            return "too few observations for a forecast"
        beside = "stays above" if self.forecast > self.loss else "may reach"
        return (
            f"the forecast at cost {self.horizon:.6g} is {self.forecast:.4g} at best and "
            f"{beside} the target loss {self.loss:.4g}"
        )


def _hope(losses: list[float], costs: list[float], horizon: float) -> float:
    """The lowest loss that the forecasts allow at the horizon."""
    import numpy as np

    from earlycall.approximation.fit import fit

    y, x = np.array(losses), np.maximum(np.array(costs), 0.0)
    half = len(y) // 2
    with np.errstate(over="ignore", invalid="ignore"):  # losses near the largest number
        full, late = fit(y, x), fit(y[half:], x[half:])
        forecasts = float(full(horizon)), float(late(horizon))
        noise = float(np.median(np.abs(y[half:] - late(x[half:])))) / 0.6745
    return min(forecasts) - ERROR_WEIGHT * (abs(forecasts[0] - forecasts[1]) + noise)
