"""A curve so far in a bounded number of points, whatever its length."""

from __future__ import annotations

from earlycall.stopping.state import Stateful

MAX_POINTS = 200  # enough for the shape of any curve, and as long as the epochs of most runs


class History(Stateful):
    """Mean losses of equal numbers of observations; the number doubles whenever all are full.

    Attributes:
        size: observations per point.
        max_points: the number of points at which pairs of them are merged.
        losses: the mean losses.
        costs: the cost at the last observation of each point.

    Examples:
        >>> history = History()
        >>> for step in range(1000):
        ...     _ = history.add(float(step), float(step))
        >>> history.size, len(history.losses), history.losses[:2], history.costs[:2]
        (8, 125, [3.5, 11.5], [7.0, 15.0])
    """

    FIELDS = ("size", "total", "count", "losses", "costs")
    __slots__ = ("max_points", *FIELDS)

    def __init__(self, size: int = 1, max_points: int = MAX_POINTS) -> None:
        self.size, self.max_points = size, max_points
        self.losses: list[float] = []
        self.costs: list[float] = []
        self.total = 0.0  # of the observations that do not fill a point yet
        self.count = 0

    def add(self, loss: float, cost: float) -> bool:
        """Take an observation; whether it completed a point."""
        self.total += loss
        self.count += 1
        if self.count < self.size:
            return False
        self.losses.append(self.total / self.count)
        self.costs.append(cost)
        self.total, self.count = 0.0, 0
        if len(self.losses) >= self.max_points:
            self.merge()
        return True

    def merge(self) -> None:
        """Make one point of every two."""
        self.size *= 2
        if len(self.losses) % 2:
            self.total += self.losses.pop() * (self.size // 2)
            self.count += self.size // 2
            self.costs.pop()
        pairs = zip(self.losses[::2], self.losses[1::2], strict=True)
        self.losses = [(a + b) / 2 for a, b in pairs]
        self.costs = self.costs[1::2]
