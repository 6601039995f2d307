"""As many points of a curve as the eye can see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from earlycall.curves import Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FIRST = 6  # observations that are left as they are, since a loss falls fast at first
MAX_POINTS = 60_000  # of all curves together, which a browser draws at once
MIN_PER_CURVE, MAX_PER_CURVE = 20, 120  # points


def points_for(curves: int) -> int:
    """The number of points for each of some curves.

    Examples:
        >>> points_for(3), points_for(500), points_for(3000)
        (120, 120, 20)
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

    With two points for each column of pixels, and the two ends, the line looks as that through all
    observations. Arguments and values as in `means`.

    Examples:
        >>> x, y = extremes(np.arange(1000.0), np.arange(1000.0) % 7, 20)
        >>> len(x) <= 20, float(y.min()), float(y.max())
        (True, 0.0, 6.0)
    """
    n = len(x)
    if n <= points:
        return x, y
    starts = np.linspace(0, n, points // 2).astype(np.int64)
    column = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    rows = [np.array([0, n - 1])]
    for ufunc in (np.minimum, np.maximum):
        at = np.flatnonzero(y == ufunc.reduceat(y, starts[:-1])[column])
        rows.append(at[np.unique(column[at], return_index=True)[1]])
    chosen = np.unique(np.concatenate(rows))
    return x[chosen], y[chosen]


def corners(x: Ragged, y: Ragged, tolerance: float) -> Ints:
    """The points of curves without which their lines would look different.

    A straight line between those of a curve passes all its other points within the tolerance.
    After Douglas and Peucker, *Algorithms for the reduction of the number of points required to
    represent a digitized line or its caricature*, 1973, with distances along y, of all curves at
    once.

    Args:
        x: m rows, each rising.
        y: m rows, finite, as they are drawn: logarithms on a logarithmic axis.
        tolerance: in units of y.

    Returns:
        Their places in ``x.values``, rising; the first and the last point of each row among them.

    Examples:
        >>> x, y = Ragged.of([[0, 1, 2, 3, 4]]), Ragged.of([[0, 1, 2, 1, 0]])
        >>> corners(x, y, 0.1).tolist()
        [0, 2, 4]
    """
    filled = x.lengths > 0
    kept = np.zeros(len(x.values), dtype=bool)
    kept[x.offsets[:-1][filled]] = kept[x.offsets[1:][filled] - 1] = True
    rest = np.flatnonzero(~kept)
    while len(rest):
        at = np.flatnonzero(kept)
        part = np.searchsorted(at, rest)  # between at[part - 1] and at[part]
        start, end = at[part - 1], at[part]
        width = x.values[end] - x.values[start]
        along = (x.values[rest] - x.values[start]) / np.where(width > 0, width, 1.0)
        off = np.abs(y.values[rest] - y.values[start] - along * (y.values[end] - y.values[start]))
        firsts = np.flatnonzero(np.diff(part, prepend=-1))
        furthest = np.repeat(np.maximum.reduceat(off, firsts), np.diff(firsts, append=len(rest)))
        missed = (off == furthest) & (off > tolerance)
        kept[rest[missed]] = True
        rest = rest[(furthest > tolerance) & ~missed]
    return np.flatnonzero(kept)
