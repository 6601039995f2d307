"""Stop when one percent more cost brings too few percent more gain: the gain elasticity."""

from __future__ import annotations

import math

from earlycall.errors import InputError
from earlycall.stopping.rule import Rule

# The three constants of the rule; docs/elasticity.md says how they were chosen, and what each buys.
THRESHOLD = 0.02
MEMORY = 4.0  # observations that the fast averages remember: one bad one must not stop a run
SLOW_FACTOR = 5.0  # the slow average remembers 5 times more: what the elasticity has faded from
FADE_POWER = 2.0  # of fast/slow: what fades is forecast to fade on; 0 would wait out every plateau


class GainRule(Rule):
    """``gain:THRESHOLD``: stop when the forecast of the gain elasticity is below the threshold.

    The gain elasticity ε = (dG/dc)·c/G is percent more gain G = first loss − loss per percent more
    cost c. It stays the same when the loss is shifted or scaled and when the unit of cost changes,
    so that one threshold serves every task: 0.1 saves much, 0.01 loses little.

    With x the cost since the first observation and s = max(first, now) − best loss, each
    observation gives two local elasticities: *banked* = (fall of the best loss)/dx · x/s, and
    *trend* = (fall of the loss)/dx · x/s, in which rises count against falls; it keeps a run alive
    that rose before it falls. They are averaged over about the last 4 observations, banked over
    about 20 as well, from 1 (unit-elastic), which counts as one observation more. ::

        forecast = max(banked, trend, 0) · min(1, banked / banked_slow)²

    On a power law fast and slow agree, and the forecast is the elasticity. Where it is fading, it
    is forecast to go on fading.

    Args:
        threshold: an elasticity above 0.

    Raises:
        InputError: if the threshold is not above 0.

    Examples:
        >>> rule = GainRule(0.1)
        >>> next(x for x in range(1000) if rule.update(2.0**-x, x))
        9
        >>> rule.reason
        'gain elasticity about 0.087, below 0.1 (gain 0.998 so far)'
    """

    FORM = "gain:THRESHOLD"
    FIELDS = ("n", "x0", "x", "first", "last", "low", "banked", "trend", "banked_slow", "forecast")
    __slots__ = ("threshold", *FIELDS)
    averaged = True

    def __init__(self, threshold: float = THRESHOLD) -> None:
        if not 0 < threshold < math.inf:
            raise InputError(f"gain threshold {threshold!r} must be above 0, such as 0.1")
        self.threshold = threshold
        self.reset()

    def __str__(self) -> str:
        return f"gain:{self.threshold!r}"

    def reset(self) -> None:
        """Forget all observations."""
        self.n = -1  # observations after the first; -1 before any
        self.x0 = self.x = 0.0  # cost at the first observation, and since it
        self.first = self.last = self.low = 0.0
        self.banked = self.trend = self.banked_slow = self.forecast = 1.0

    def update(self, loss: float, cost: float) -> bool:
        """Take one observation; stop now?"""
        if self.n < 0:
            self.n, self.x0 = 0, cost
            self.first = self.last = self.low = loss
            return False
        x = cost - self.x0
        dx = x - self.x
        if dx <= 0:  # the same cost again: keep the better of the two
            self.low = min(self.low, loss)
            return False
        self.n += 1
        fall = max(self.low - loss, 0.0)
        self.low = min(self.low, loss)
        per = dx * (max(self.first, loss) - self.low)
        rate = x / per if per > 0 else 0.0  # 0 also where it is too small for a number
        fast, slow = weight(self.n, MEMORY), weight(self.n, SLOW_FACTOR * MEMORY)
        self.banked += fast * (fall * rate - self.banked)
        self.trend += fast * ((self.last - loss) * rate - self.trend)
        self.banked_slow += slow * (fall * rate - self.banked_slow)
        self.x, self.last = x, loss
        self.forecast = max(self.banked, self.trend, 0.0)
        if self.banked < self.banked_slow:
            self.forecast *= (self.banked / self.banked_slow) ** FADE_POWER
        return self.forecast < self.threshold

    @property
    def reason(self) -> str:
        """The forecast beside the threshold."""
        if self.n < 1:
            return "too few observations to tell a gain"
        beside = "below" if self.forecast < self.threshold else "not below"
        gain = self.first - self.low
        return (
            f"gain elasticity about {self.forecast:.3g}, {beside} {self.threshold:g} "
            f"(gain {gain:.4g} so far)"
        )


def weight(n: int, memory: float) -> float:
    """The weight of the n-th observation in an average that remembers some of them.

    Until it has that many, all count alike, the value that it began with as one more.

    Examples:
        >>> weight(1, 4.0), round(weight(1000, 4.0), 3)
        (0.5, 0.221)
    """
    return max(1 / (n + 1), 1 - math.exp(-1 / memory))
