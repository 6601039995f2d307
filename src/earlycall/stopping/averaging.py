"""Averages of losses that stand out from their noise, for rules that noise misleads."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from earlycall.stopping.history import History

# Chosen on synthetic curves with white and autoregressive noise and on examples/digits.
FEWEST = 32  # points before anything is judged: halves of 16 and quarters of 8 tell noise from gain
EACH = 8  # judge again whenever so many points were completed, so that judging costs little
NOISE = 3.0  # most noise: that of one point as an elasticity, noise · points / gain
PATIENT = 10_000  # observations after which a run without a visible gain may be stopped after all
NORMAL = 0.6745 * 6**0.5  # median size of second differences of normal errors of deviation 1


class Averaging:
    """Makes points of single losses, so many to each that their noise does not hide the gain.

    The noise of a point, as an elasticity, is its standard deviation · points / gain. While that
    is above 3, the losses are averaged more coarsely; while fewer than 32 points are left, nothing
    can be judged. Never more than 200 points are kept. A curve whose noise is small stays as it is.

    Attributes:
        history: the points.
        clear: whether the points may be judged.
        seen: observations so far.

    Examples:
        >>> averaging = Averaging()
        >>> for step in range(1, 101):
        ...     _ = averaging.add(1 / step, step)
        >>> averaging.history.size, averaging.clear
        (1, True)
    """

    __slots__ = ("clear", "history", "seen", "since")

    def __init__(self) -> None:
        self.history = History()
        self.clear = False
        self.seen = 0
        self.since = 0  # points completed since the last judgement

    def add(self, loss: float, cost: float) -> tuple[bool, bool]:
        """Take an observation; whether it completed a point, and whether all points are new."""
        self.seen += 1
        size = self.history.size
        if not self.history.add(loss, cost):
            return False, False
        self.since += 1
        if self.since >= EACH or self.history.size != size:
            self._judge()
        return True, self.history.size != size

    def _judge(self) -> None:
        """Average more coarsely until the gain stands out, or too few points are left."""
        self.since = 0
        points = self.history
        self.clear = len(points.losses) >= FEWEST and stands_out(points.losses)
        while not self.clear and len(points.losses) >= 2 * FEWEST:
            points.merge()
            self.clear = stands_out(points.losses)
        if self.seen >= PATIENT and len(points.losses) >= FEWEST:
            self.clear = True

    def state_dict(self) -> dict[str, Any]:
        """All that is remembered, as JSON."""
        return {
            "clear": self.clear, "seen": self.seen, "since": self.since,
            "history": self.history.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.clear, self.seen, self.since = state["clear"], state["seen"], state["since"]
        self.history.load_state_dict(state["history"])


def stands_out(losses: list[float]) -> bool:
    """Whether the change along 32 or more points is large beside the noise of each.

    The change is between the means of the quarters; the noise is that of the later half.

    Examples:
        >>> stands_out([1 / x for x in range(1, 40)]), stands_out([1.0, 2.0] * 20)
        (True, False)
    """
    m = len(losses)
    bounds = [i * m // 4 for i in range(5)]
    quarters = [sum(losses[a:b]) / (b - a) for a, b in pairwise(bounds)]
    change = max(quarters) - min(quarters)
    return change > 0 and noise(losses[m // 2 :]) * m <= NOISE * change


def noise(losses: list[float]) -> float:
    """The standard deviation of the errors of 16 or more points.

    From second differences, of the points and of means of 2 and of 4 of them, the largest: errors
    that resemble their neighbours show only in the means, where they do not average out.

    Examples:
        >>> round(noise([0.0, 1.0] * 8), 2)
        1.21
    """
    largest, root = 0.0, 1.0
    for _ in range(3):
        triples = zip(losses, losses[1:], losses[2:], strict=False)
        bends = sorted(abs(a - 2 * b + c) for a, b, c in triples)
        largest = max(largest, root * bends[len(bends) // 2] / NORMAL)
        losses = [(a + b) / 2 for a, b in zip(losses[::2], losses[1::2], strict=False)]
        root *= 2**0.5
    return largest
