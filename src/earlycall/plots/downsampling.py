"""As many points of a curve as the eye can see."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

START = 6  # observations that are kept apart, since a loss falls fast at first
AT_MOST = 60_000  # points of all curves together, which a browser draws at once
MOST, FEWEST = 240, 20  # points a curve


def points_for(curves: int) -> int:
    """How many points each of so many curves gets.

    Examples:
        >>> points_for(3), points_for(500), points_for(3000)
        (240, 120, 20)
    """
    return int(np.clip(AT_MOST // max(curves, 1), FEWEST, MOST))


def means(x: Floats, y: Floats, points: int) -> tuple[Floats, Floats]:
    """A curve as the means of neighbouring observations: its course without its noise.

    Args:
        x: shape (n,), rising.
        y: shape (n,), finite.
        points: how many to give at most, more than a handful.

    Returns:
        x and y, each of shape (min(n, points),); the first and the last x are the curve's own.

    Examples:
        >>> x, y = means(np.arange(100.0), np.ones(100), 20)
        >>> len(x), float(x[0]), float(x[-1])
        (20, 0.0, 99.0)
    """
    n = len(x)
    if n <= points:
        return x, y
    cuts = np.linspace(START, n, points - START + 1).astype(np.int64)[:-1]
    starts = np.concatenate([np.arange(START), cuts])
    counts = np.diff(np.append(starts, n))
    thin_x, thin_y = (np.add.reduceat(values, starts) / counts for values in (x, y))
    thin_x[-1] = x[-1]
    return thin_x, thin_y


def extremes(x: Floats, y: Floats, points: int) -> tuple[Floats, Floats]:
    """A curve as the lowest and highest of neighbouring observations: all of its noise.

    Arguments and values as in `means`.

    Examples:
        >>> x, y = extremes(np.arange(1000.0), np.arange(1000.0) % 7, 20)
        >>> len(x) <= 20, float(y.min()), float(y.max())
        (True, 0.0, 6.0)
    """
    n = len(x)
    if n <= points:
        return x, y
    starts = np.linspace(0, n, points // 2 + 1).astype(np.int64)
    found = []
    for start, stop in pairwise(starts.tolist()):
        part = y[start:stop]
        found += sorted({start + int(part.argmin()), start + int(part.argmax())})
    kept = np.array(found)
    return x[kept], y[kept]
