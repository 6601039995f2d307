"""Stop when the whole run will cost more than it may, forecast from what it cost so far."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean, pvariance
from typing import NamedTuple

from earlycall.errors import InputError
from earlycall.stopping.history import History
from earlycall.stopping.rule import Rule
from earlycall.stopping.state import Stateful

COSTS = ("seconds", "joules", "usd")
MAX_POINTS = 40
MIN_OBSERVATIONS = 3  # the first, with its set-up, and two that tell how much they differ
LEVEL = 0.9  # of the interval; the rule asks one side of it, so that 1 in 20 would be wrong
# Chosen on real timings, each set judged by what the others chose (docs/energy.md).
DRIFT = 2.0  # variances of one point by which the mean of those to come may differ
SLACK = 0.02  # of what is still to be spent: no machine keeps its speed to the percent


class Forecast(NamedTuple):
    """The cost of a whole run: what is expected, and the ends of its 90 % interval."""

    expected: float
    low: float
    high: float


class Costs(Stateful):
    """What a run has cost so far, in at most 40 points, and from it what all of it will cost.

    With the n observations so far costing c, of N in all; the mean m and the standard deviation s
    of what the observations but the first cost (that has the set-up in it), k of them; L = N − n
    still to come; and t Student's quantile with k − 1 degrees of freedom::

        c + L·m ± t·√( s²·(L²·(1/k + 2) + L) + (0.02·L·m)² )

    From the 40th observation on, points of 2, 4, 8 … observations stand for them.

    Attributes:
        n: the observations so far.
        cost: the cost so far.

    Examples:
        >>> costs = Costs()
        >>> for spent in (9.0, 10.0, 11.1, 12.1, 13.0):
        ...     _ = costs.add(spent)
        >>> tuple(round(value, 1) for value in costs.forecast(20))
        (28.0, 23.6, 32.4)
    """

    FIELDS = ("n", "cost", "points")
    __slots__ = FIELDS

    def __init__(self) -> None:
        self.n = 0
        self.cost = 0.0
        self.points = History(max_points=MAX_POINTS)

    def add(self, cost: float) -> bool:
        """Take the cost so far at the next observation; whether there is more to forecast by."""
        self.n += 1
        self.cost = cost
        return self.points.add(0.0, cost)

    def forecast(self, observations: float) -> Forecast | None:
        """The cost of the whole run; None after fewer than 3 observations.

        Args:
            observations: how many the whole run has; of fewer than were seen nothing is to come.
        """
        at = self.points.costs
        k = len(at) - 1
        if k < MIN_OBSERVATIONS - 1:
            return None
        from scipy.special import stdtrit

        left = max(observations - self.n, 0.0) / self.points.size
        spent = [after - before for before, after in pairwise(at)]
        mean, variance = fmean(spent), pvariance(spent) * k / (k - 1)
        error = math.sqrt(
            variance * (left * left * (1 / k + DRIFT) + left) + (SLACK * left * mean) ** 2
        )
        margin = float(stdtrit(k - 1, (1 + LEVEL) / 2)) * error
        expected = self.cost + left * mean
        return Forecast(expected, max(expected - margin, self.cost), expected + margin)


class ForecastRule(Rule):
    """``forecast:COST:LIMIT[:OBSERVATIONS]``: stop when the whole run will cost more than LIMIT.

    It stops when the lower end of the forecast's 90 % interval (see `Costs`) is above LIMIT: 1 in
    20 would be wrong, and a run whose cost is uncertain goes on. Seconds, joules or money must be
    what the monitor counts. A host's callback says how many observations the whole run has, where
    the host knows; a plain loop gives their number.

    Args:
        cost: ``seconds``, ``joules`` or ``usd``.
        limit: what the whole run may cost.
        observations: how many it has in all.

    Raises:
        InputError: if an argument is outside its range; on use, if the monitor counts another cost,
            or nobody said how many observations there are.

    Examples:
        >>> rule = ForecastRule("seconds", 3600, 100)
        >>> for n, spent in enumerate([60, 120, 181, 240], start=1):
        ...     rule.observe(n, spent)
        >>> rule.update(1.0, 240), rule.reason
        (True, 'the whole run would cost 6000 seconds (5455 to 6545), above the limit of 3600')
    """

    FORM = "forecast:seconds|joules|usd:LIMIT[:OBSERVATIONS]"
    NAMES = COSTS
    FIELDS = ("costs", "planned", "over")
    __slots__ = ("limit", "name", "observations", *FIELDS)

    def __init__(self, cost: str, limit: float, observations: float | None = None) -> None:
        if cost not in COSTS:
            raise InputError(f"cost {cost!r} must be one of {', '.join(COSTS)}")
        if not 0 < limit < math.inf:
            raise InputError(f"limit {limit!r} must be a cost above 0")
        if observations is not None and not (
            1 <= observations < math.inf and observations == int(observations)
        ):
            raise InputError(f"observations {observations!r} must be a whole number, at least 1")
        self.name, self.limit, self.observations = cost, float(limit), observations
        self.planned: float | None = None  # observations, as the host says
        self.costs = Costs()
        self.over = False

    def __str__(self) -> str:
        end = "" if self.observations is None else f":{int(self.observations)}"
        return f"forecast:{self.name}:{self.limit!r}{end}"

    def reset(self) -> None:
        """Forget the losses, of which there are none: costs begin anew at observation 1."""

    def plan(self, cost: str, observations: float | None = None) -> None:
        """Refuse another cost; take the number of observations of the whole run."""
        if cost != self.name:
            raise InputError(
                f"{self} forecasts {self.name}, but the cost here is {cost!r}; give "
                f"cost={self.name!r}"
            )
        if observations is not None:
            self.planned = observations

    def observe(self, n: int, cost: float) -> None:
        """Take the cost so far at an observation."""
        if self._end is None:
            raise InputError(
                f"{self}: nobody says how many observations the whole run has; add their number, "
                f"as in {self}:100"
            )
        if n == 1:
            self.costs, self.over = Costs(), False
        if self.costs.add(cost):
            forecast = self.costs.forecast(self._end)
            self.over = forecast is not None and forecast.low > self.limit

    def update(self, loss: float, cost: float) -> bool:
        """Whether the whole run would cost too much."""
        return self.over

    def spent(self, cost: float) -> bool:
        """Whether the whole run would cost too much."""
        return self.over

    @property
    def reason(self) -> str:
        """The forecast beside the limit."""
        forecast = None if self._end is None else self.costs.forecast(self._end)
        if forecast is None:
            return "too few observations to forecast the cost"
        beside = "above" if self.over else "not surely above"
        return (
            f"the whole run would cost {forecast.expected:.4g} {self.name} ({forecast.low:.4g} to "
            f"{forecast.high:.4g}), {beside} the limit of {self.limit:.6g}"
        )

    @property
    def _end(self) -> float | None:
        return self.planned if self.observations is None else self.observations
