"""Stop when one percent more cost brings too few percent more gain: the gain elasticity."""

from __future__ import annotations

import math

from earlycall.errors import InputError
from earlycall.stopping.rule import Rule

# The constants were chosen on four public sets (docs/elasticity.md says how, and what that means).
# How much cost is saved at equal regret hardly depends on any one of them.
THRESHOLD = 0.02
MEMORY = 4.0  # observations that the fast averages remember: one bad one must not stop a run
MIN_MEMORY = 0.02  # as a part of the cost so far: of use in logs of > 200 observations
SLOW_FACTOR = 5.0  # the slow averages remember 5 times more: what the elasticity has faded from
FADE_POWER = 1.5  # of fast/slow: what fades is forecast to fade on; 0 would wait out every plateau
TREND_WEIGHT = 1.5  # of the loss's own trend against banked gain, for runs that rose and now fall
ERROR_WEIGHT = 0.3  # standard errors added for the upper bound: a third of one, not a 95 % bound
PRIOR = 1.25  # elasticity assumed before anything was seen: a young run gets the benefit of doubt
WARM_UP = 2  # observations after the first before the rule may stop: two differences, a trend
WINDOW_SHARE, MIN_WINDOW = 0.2, 3.0  # observations over which errors average out: 0.2·n + 3


class GainRule(Rule):
    """``gain:THRESHOLD``: stop when the upper bound of the gain elasticity is below the threshold.

    The gain elasticity ε = (dG/dc)·c/G is percent more gain G = first loss − loss per percent more
    cost c. It stays the same when the loss is shifted or scaled and when the unit of cost changes,
    so that one threshold serves every task: 0.1 saves much, 0.01 loses little.

    With x the cost since the first observation and s = max(first, now, level) − best loss, each
    observation gives two local elasticities: *banked* = (fall of the best loss)/dx · x/s, and
    *trend* = (fall of the loss)/dx · x/s, in which rises count against falls; it keeps a run alive
    that rose before it falls. Both are averaged exponentially over cost, fast and slow. With se
    their standard error and b = max(banked, 1.5·trend, 0) + 0.3·se of each pair, ::

        bound = b_fast · min(1, b_fast / b_slow)^1.5

    On a power law fast and slow agree, and the bound is the elasticity (times 1.5 where the trend
    leads, a deliberate margin). Where the elasticity is fading, it is forecast to go on fading.
    The averages start at a prior of 1.25: warm-up and confirmation in one.

    Args:
        threshold: an elasticity above 0.
        warm_up: observations after the first before the rule may stop.
        confirm: consecutive observations with the bound below the threshold that it takes.

    Raises:
        InputError: if the threshold is not above 0.

    Examples:
        >>> rule = GainRule(0.1)
        >>> next(x for x in range(1000) if rule.update(2.0**-x, x))
        9
        >>> rule.reason
        'gain elasticity at most 0.0922, below 0.1 (gain 0.998 so far)'
    """

    FORM = "gain:THRESHOLD"
    FIELDS = (
        "n", "below", "x0", "x", "first", "last", "low", "bank", "trend", "bank_slow",
        "trend_slow", "level", "square", "bound", "warm_up", "confirm",
    )  # fmt: skip
    __slots__ = ("threshold", *FIELDS)
    averaged = True

    def __init__(
        self, threshold: float = THRESHOLD, *, warm_up: int = WARM_UP, confirm: int = 1
    ) -> None:
        if not 0 < threshold < math.inf:
            raise InputError(f"gain threshold {threshold!r} must be above 0, such as 0.1")
        self.threshold, self.warm_up, self.confirm = threshold, warm_up, confirm
        self.reset()

    def __str__(self) -> str:
        return f"gain:{self.threshold!r}"

    def reset(self) -> None:
        """Forget all observations."""
        self.n = -1  # observations after the first; -1 before any
        self.below = 0  # consecutive observations with the bound below the threshold
        self.x0 = self.x = 0.0  # cost at the first observation, and since it
        self.first = self.last = self.low = self.level = self.square = 0.0
        self.bank = self.trend = self.bank_slow = self.trend_slow = PRIOR
        self.bound = PRIOR

    def update(self, loss: float, cost: float) -> bool:
        """Take one observation; stop now?"""
        n = self.n = self.n + 1
        if n == 0:
            self.x0 = cost
            self.first = self.last = self.low = self.level = loss
            return False
        x = cost - self.x0
        dx = x - self.x
        if dx <= 0:  # the same cost again: keep the better of the two
            self.n = n - 1
            self.low = min(self.low, loss)
            return False
        self._average(loss, x, dx)
        self.below = self.below + 1 if self.bound < self.threshold else 0
        return self.below >= self.confirm and n >= self.warm_up

    def _average(self, loss: float, x: float, dx: float) -> None:
        """Take the local elasticities between two costs into the averages, and the bound."""
        n = self.n
        self.x = x
        memory = max(MEMORY * x / n, MIN_MEMORY * x)
        keep = math.exp(-dx / memory)
        banked = max(self.low - loss, 0.0)
        self.low = min(self.low, loss)
        scale = max(self.first, loss, self.level) - self.low
        per = dx * scale  # 0 also where it is too small for a number
        rate = x / per if per > 0 else 0.0
        now_bank, now_trend = banked * rate, (self.last - loss) * rate
        self.last = loss
        keep_slow = math.exp(-dx / (SLOW_FACTOR * memory))
        self.bank = self.bank * keep + (1 - keep) * now_bank
        trend = self.trend = self.trend * keep + (1 - keep) * now_trend
        self.bank_slow = self.bank_slow * keep_slow + (1 - keep_slow) * now_bank
        self.trend_slow = self.trend_slow * keep_slow + (1 - keep_slow) * now_trend
        # The trend forecasts the next loss (a level with a slope, after Holt); it errs by the noise
        missed = loss - self.level + (trend * scale * dx / x if trend > 0 else 0.0)
        self.level = loss - keep * missed
        self.square = self.square * keep + (1 - keep) * missed * missed
        self._bound(scale)

    def _bound(self, scale: float) -> None:
        """The upper bound from the averages, faded on where the elasticity fades."""
        error = 0.0
        if scale > 0:
            window = WINDOW_SHARE * self.n + MIN_WINDOW
            error = ERROR_WEIGHT * math.sqrt(self.square / window) / scale * self.n / window
        fast = max(self.bank, TREND_WEIGHT * self.trend, 0.0) + error
        slow = max(self.bank_slow, TREND_WEIGHT * self.trend_slow) + error
        self.bound = fast * (fast / slow) ** FADE_POWER if fast < slow else fast

    @property
    def reason(self) -> str:
        """The bound beside the threshold."""
        if self.n < 1:
            return "too few observations to tell a gain"
        beside = "below" if self.bound < self.threshold else "not below"
        gain = self.first - self.low
        return (
            f"gain elasticity at most {self.bound:.3g}, {beside} {self.threshold:g} "
            f"(gain {gain:.4g} so far)"
        )
