"""Stop when one percent more cost removes too few percent of the loss: the loss elasticity."""

from __future__ import annotations

import math

from earlycall.errors import InputError
from earlycall.stopping.gain import MEMORY, weight
from earlycall.stopping.rule import Rule

PRIOR = 1.0  # elasticity assumed before anything was seen: unit-elastic


class LossRule(Rule):
    """``loss:THRESHOLD``: stop when the upper bound of the loss elasticity is below the threshold.

    The loss elasticity ε = −(dL/dc)·c/L is percent of loss removed per percent more cost c, as
    recorded (the training elasticity of Zhao et al. 2022). Unlike the gain elasticity it depends
    on where the loss has its zero: a threshold holds for one task only. It is averaged over about
    the last 4 observations; the bound adds one standard error of the average.

    Args:
        threshold: an elasticity above 0.

    Raises:
        InputError: if the threshold is not above 0.

    Examples:
        >>> rule = LossRule(0.1)
        >>> next(x for x in range(1, 1000) if rule.update(1 + 1 / x, x))
        21
    """

    FORM = "loss:THRESHOLD"
    FIELDS = ("n", "cost", "last", "mean", "square", "bound")
    __slots__ = ("threshold", *FIELDS)
    averaged = True

    def __init__(self, threshold: float) -> None:
        if not 0 < threshold < math.inf:
            raise InputError(f"loss threshold {threshold!r} must be above 0, such as 0.05")
        self.threshold = threshold
        self.reset()

    def __str__(self) -> str:
        return f"loss:{self.threshold!r}"

    def reset(self) -> None:
        """Forget all observations."""
        self.n = -1
        self.cost = self.last = 0.0
        self.mean, self.square, self.bound = PRIOR, 0.0, PRIOR

    def update(self, loss: float, cost: float) -> bool:
        """Take one observation; stop now?"""
        if self.n < 0:
            self.n, self.cost, self.last = 0, cost, loss
            return False
        step = cost - self.cost
        if step <= 0:
            self.last = min(self.last, loss)
            return False
        self.n += 1
        new = weight(self.n, MEMORY)
        if loss > 0:
            now = (self.last - loss) / step * cost / loss
            error = now - self.mean
            self.mean += new * error
            self.square = (1 - new) * (self.square + new * error * error)
            self.bound = max(self.mean, 0.0) + math.sqrt(self.square * new / (2 - new))
        self.cost, self.last = cost, loss
        return loss > 0 and self.bound < self.threshold

    @property
    def reason(self) -> str:
        """The bound beside the threshold."""
        if self.n < 1:
            return "too few observations to tell how the loss falls"
        if self.last <= 0:
            return "a loss at or below 0 has no loss elasticity; use the rule gain:THRESHOLD"
        beside = "below" if self.bound < self.threshold else "not below"
        return f"loss elasticity at most {self.bound:.3g}, {beside} {self.threshold:g}"
