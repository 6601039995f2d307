"""Averages of losses that stand out from their noise, for rules that noise misleads."""

from __future__ import annotations

from itertools import pairwise

from earlycall.stopping.history import History
from earlycall.stopping.state import Stateful

# Chosen on synthetic curves with white and autoregressive noise and on examples/digits; those of
# few points also with public sets in view (docs/elasticity.md says which).
MIN_POINTS = 12  # before anything is judged: of fewer, noise and gain look alike
MANY_POINTS = 32  # from which half of them tells the noise, and which averaging leaves
JUDGE_EVERY = 4  # completed points, so that judging costs little
MAX_NOISE = 2.0  # of one point as an elasticity: noise · points / gain
MAX_UNCLEAR = 10_000  # observations, then a run without a visible gain may be stopped after all
MEDIAN_BEND = 0.6745 * 6**0.5  # of second differences of normal errors with deviation 1


class Averaging(Stateful):
    """Averages single losses into points, coarsely enough that noise does not hide the gain.

    The noise of a point, as an elasticity, is its standard deviation · points / gain. While that
    is above 2, nothing can be judged, and the losses are averaged more coarsely as long as 32
    points are left; nor can fewer than 12. Never more than 200 points are kept. A curve whose noise
    is small stays as it is.

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

    FIELDS = ("clear", "seen", "since", "history")
    __slots__ = FIELDS

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
        if self.since >= JUDGE_EVERY or self.history.size != size:
            self._judge()
        return True, self.history.size != size

    def _judge(self) -> None:
        """Average more coarsely until the gain stands out, or too few points are left."""
        self.since = 0
        points = self.history
        self.clear = len(points.losses) >= MIN_POINTS and stands_out(points.losses)
        while not self.clear and len(points.losses) >= 2 * MANY_POINTS:
            points.merge()
            self.clear = stands_out(points.losses)
        if self.seen >= MAX_UNCLEAR and len(points.losses) >= MANY_POINTS:
            self.clear = True


def stands_out(losses: list[float]) -> bool:
    """Whether the change along 12 or more points is large beside the noise of each.

    The change is between the means of the quarters; the noise is that of the later half, of all
    points while there are fewer than 32.

    Examples:
        >>> stands_out([1 / x for x in range(1, 40)]), stands_out([1.0, 2.0] * 20)
        (True, False)
    """
    m = len(losses)
    bounds = [i * m // 4 for i in range(5)]
    quarters = [sum(losses[a:b]) / (b - a) for a, b in pairwise(bounds)]
    change = max(quarters) - min(quarters)
    few = m < MANY_POINTS
    return change > 0 and noise(losses if few else losses[m // 2 :]) * m <= MAX_NOISE * change


def noise(losses: list[float]) -> float:
    """The standard deviation of the errors of 5 or more points.

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
        if len(bends) < 3:
            break
        largest = max(largest, root * bends[len(bends) // 2] / MEDIAN_BEND)
        losses = [(a + b) / 2 for a, b in zip(losses[::2], losses[1::2], strict=False)]
        root *= 2**0.5
    return largest
