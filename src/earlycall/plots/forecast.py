"""Fits and forecasts of single curves, ready to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earlycall.approximation.fit import fit_many
from earlycall.approximation.uncertainty import uncertainty
from earlycall.curves import Prefixes

Floats = NDArray[np.float64]

MIN_OBSERVATIONS = 8  # for a forecast worth drawing
FIT_POINTS, FORECAST_POINTS = 80, 40
STRETCHES, MIN_STRETCH = 8, 3  # of a curve that are compared with its fit; observations of each
MAX_GAP = 0.03  # of the height of the axis, three widths of a line: what lies further off misses


@dataclass(frozen=True)
class Forecast:
    """A fit and its forecast.

    Attributes:
        x, y: shape (80,), the fit where losses were seen.
        ahead: shape (40,), from there to the horizon; empty where nothing is left.
        middle, low, high: the forecast there, and its 90 % interval.
    """

    x: Floats
    y: Floats
    ahead: Floats
    middle: Floats
    low: Floats
    high: Floats


def forecast(
    prefixes: Prefixes, rows: list[int], n_seen: NDArray[np.int64], ends: Floats
) -> dict[int, Forecast]:
    """The forecasts of some runs of a group by row, from their first losses; none from a few.

    Args:
        prefixes: the runs, with the axis to fit along.
        rows: which of them.
        n_seen: shape (m,), how many losses of each are seen.
        ends: shape (m,), up to where to look ahead, on the axis.
    """
    able = [i for i in rows if _able(prefixes, i, int(n_seen[i]))]
    if not able:
        return {}
    x = [prefixes.x[i][: n_seen[i]] for i in able]
    fits = fit_many([prefixes.loss[i][: n_seen[i]] for i in able], x)
    # A logarithmic grid starts above 0.
    starts = [max(float(a[0]), 1e-3 * float(a[-1])) for a in x]
    last = np.array([a[-1] for a in x])
    within = np.geomspace(starts, last, FIT_POINTS, axis=1)
    beyond = np.linspace(last, np.fmax(ends[able], last), FORECAST_POINTS, axis=1)
    fitted = prefixes.sign * fits.predict(within)
    middle, *edges = (prefixes.sign * values for values in uncertainty(fits).forecast(beyond))
    low, high = np.sort(np.stack(edges), axis=0)
    made = {}
    for k, i in enumerate(able):
        if np.isfinite(fitted[k]).all():
            n = FORECAST_POINTS if ends[i] > 1.001 * last[k] else 0
            ahead = (values[k][:n] for values in (beyond, middle, low, high))
            made[i] = Forecast(within[k], fitted[k], *ahead)
    return made


def misses(x: Floats, y: Floats, made: Forecast, limits: Sequence[float], log: bool) -> bool:
    """Whether a fit lies visibly off the values that it was made of, in the scale that is drawn.

    The means of up to eight stretches of the curve, in which noise cancels, are compared with those
    of the fit: one that is off by more than 3 % of the height of the axis misses.

    Args:
        x: shape (n,), along the curve.
        y: shape (n,), what was seen.
        made: the fit.
        limits: of the axis, in powers of ten if it is logarithmic.
        log: whether it is.
    """
    parts = np.array_split(np.arange(len(x)), min(max(len(x) // MIN_STRETCH, 1), STRETCHES))
    fitted = np.interp(x, made.x, made.y)
    means = np.array([[values[part].mean() for part in parts] for values in (y, fitted)])
    if log:
        means = np.log10(np.maximum(means, 10.0 ** limits[0]))
    height = limits[1] - limits[0]
    return height > 0 and bool(np.abs(means[0] - means[1]).max() > MAX_GAP * height)


def _able(prefixes: Prefixes, i: int, n: int) -> bool:
    x, y = prefixes.x[i][:n], prefixes.loss[i][:n]
    if n < MIN_OBSERVATIONS or not np.isfinite(y).all() or not np.isfinite(x).all():
        return False
    return bool(x[0] >= 0 and (np.diff(x) >= 0).all() and x[-1] > x[0])
