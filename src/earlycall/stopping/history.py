"""A curve so far in at most 200 points, whatever its length."""

from __future__ import annotations

from typing import Any

MOST = 200  # points kept: enough for the shape of any curve, and as long as the epochs of most runs


class History:
    """Mean losses of equal numbers of observations; the number doubles whenever 200 are full.

    Attributes:
        size: observations in each point.
        losses: up to 200 mean losses.
        costs: the cost at the last observation of each point.

    Examples:
        >>> history = History()
        >>> for step in range(1000):
        ...     _ = history.add(float(step), float(step))
        >>> history.size, len(history.losses), history.losses[:2], history.costs[:2]
        (8, 125, [3.5, 11.5], [7.0, 15.0])
    """

    __slots__ = ("costs", "count", "losses", "size", "total")

    def __init__(self) -> None:
        self.size = 1
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
        if len(self.losses) >= MOST:
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

    def state_dict(self) -> dict[str, Any]:
        """All that is remembered, as JSON."""
        return {
            "size": self.size, "total": self.total, "count": self.count,
            "losses": list(self.losses), "costs": list(self.costs),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.size, self.total, self.count = state["size"], state["total"], state["count"]
        self.losses, self.costs = list(state["losses"]), list(state["costs"])
