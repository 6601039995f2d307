"""Energy measured over windows of time, which may lie within each other, as mean powers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from earlycall.readers.power.trace import Trace


def trace_of_windows(start: ArrayLike, end: ArrayLike, joules: ArrayLike) -> Trace | None:
    """The power that explains the energy of all windows; None where no window lasts.

    The shortest windows are taken at their word; a longer one tells the power of the time that the
    shorter ones within it leave open, from the energy that they leave over (at least none). So a
    window over a whole training and one for each of its epochs count once.

    Args:
        start: shape (n,), seconds since 1970.
        end: shape (n,).
        joules: shape (n,), the energy of each window.

    Examples:
        >>> trace = trace_of_windows([0, 2], [10, 4], [100, 60])
        >>> trace.joules([2, 4, 10]).tolist()
        [10.0, 70.0, 100.0]
    """
    s, e, energy = (np.asarray(x, dtype=np.float64) for x in (start, end, joules))
    good = np.isfinite(s) & np.isfinite(e) & np.isfinite(energy) & (e > s) & (energy >= 0)
    s, e, energy = s[good], e[good], energy[good]
    if not len(s):
        return None
    cuts = np.unique(np.concatenate([s, e]))
    length, watts = np.diff(cuts), np.full(len(cuts) - 1, np.nan)
    first, last = np.searchsorted(cuts, s), np.searchsorted(cuts, e)
    for i in np.argsort(e - s, kind="stable").tolist():
        part = slice(int(first[i]), int(last[i]))
        told = np.isfinite(watts[part])
        left = float(length[part][~told].sum())
        if left > 0:
            rest = energy[i] - float((watts[part] * length[part])[told].sum())
            watts[part] = np.where(told, watts[part], max(rest, 0.0) / left)
    told = np.isfinite(watts)
    return Trace.of_means(cuts[:-1][told], cuts[1:][told], watts[told])
