"""The end of a run as a picture in its tracker: the watched curve, its elasticity, the decision."""

from __future__ import annotations

from typing import Any

import numpy as np

from earlycall.curves import Direction
from earlycall.errors import InputError

MOST = 1000  # losses that are kept for the picture; of more, pairs are averaged
FEWEST = 6  # losses that a picture is worth drawing for


class Seen:
    """The values and costs of a run, as many as a picture shows.

    Examples:
        >>> seen = Seen()
        >>> for step in range(5000):
        ...     seen.add(float(step), 1.0)
        >>> 500 <= len(seen.cost) <= 1000, seen.cost[-1] > 4980
        (True, True)
    """

    def __init__(self) -> None:
        self.cost: list[float] = []
        self.loss: list[float] = []
        self._of = 1  # losses to a point
        self._open: list[tuple[float, float]] = []

    def add(self, cost: float, loss: float) -> None:
        """Take the next loss."""
        self._open.append((cost, loss))
        if len(self._open) < self._of:
            return
        self.cost.append(self._open[-1][0])
        self.loss.append(sum(value for _, value in self._open) / self._of)
        self._open.clear()
        if len(self.cost) >= MOST:
            self.cost = self.cost[1::2]
            pairs = zip(self.loss[::2], self.loss[1::2], strict=True)
            self.loss = [(a + b) / 2 for a, b in pairs]
            self._of *= 2

    def state_dict(self) -> dict[str, Any]:
        """All that is remembered, as JSON."""
        return {"cost": self.cost, "loss": self.loss, "of": self._of, "open": self._open}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.cost, self.loss, self._of = list(state["cost"]), list(state["loss"]), state["of"]
        self._open = [(cost, loss) for cost, loss in state["open"]]


def show(
    seen: Seen,
    explained: str,
    to: Any,
    *,
    metric: str,
    direction: Direction,
    unit: str,
    step: int,
) -> None:
    """Log the curve, its elasticity and the decision in words.

    Args:
        seen: what was watched.
        explained: the decision, as `earlycall.Monitor.explain` gives it.
        to: as `earlycall.integrations.trackers.trackers` takes it.
        metric: what was watched.
        direction: whether less ("min") or more ("max") of it is better.
        unit: what the cost is called.
        step: the step that it belongs to.

    Raises:
        InputError: if the tracker is none, or there is no browser to draw the picture.
    """
    from earlycall.integrations.trackers import log_figure, trackers
    from earlycall.plots import elasticity_along

    found = trackers(to)
    for tracker in found:
        tracker.words("decision", explained, step)
    cost, loss = np.array(seen.cost), np.array(seen.loss)
    kept = np.isfinite(loss)
    if found and kept.sum() >= FEWEST:
        figure = elasticity_along(
            cost[kept], loss[kept], unit=unit, name=metric, direction=direction
        )
        log_figure(figure, found, "elasticity", step=step)


def told(error: InputError) -> str:
    """Why no picture was logged: training has ended well, so that it must not fail for it."""
    return f"earlycall: no picture was logged: {error}"
