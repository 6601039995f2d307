"""As many points of a curve as the eye can see."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FIRST = 6  # observations that are left as they are, since a loss falls fast at first
MAX_POINTS = 60_000  # of all curves together, which a browser draws at once
MIN_PER_CURVE, MAX_PER_CURVE = 20, 240  # points


def points_for(curves: int) -> int:
    """The number of points for each of some curves.

    Examples:
        >>> points_for(3), points_for(500), points_for(3000)
        (240, 120, 20)
    """
    return int(np.clip(MAX_POINTS // max(curves, 1), MIN_PER_CURVE, MAX_PER_CURVE))


def means(x: Floats, y: Floats, points: int) -> tuple[Floats, Floats]:
    """A curve as the means of neighbouring observations: its course without its noise.

    Args:
        x: shape (n,), rising.
        y: shape (n,), finite.
        points: the largest number of points, more than a handful.

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
    cuts = np.linspace(FIRST, n, points - FIRST + 1).astype(np.int64)[:-1]
    starts = np.concatenate([np.arange(FIRST), cuts])
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
    rows: list[int] = []
    for start, stop in pairwise(starts.tolist()):
        part = y[start:stop]
        rows += sorted({start + int(part.argmin()), start + int(part.argmax())})
    return x[rows], y[rows]
