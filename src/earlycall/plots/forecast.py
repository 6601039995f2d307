"""Fits and forecasts of single curves, ready to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earlycall.approximation.fit import fit_many
from earlycall.approximation.uncertainty import uncertainty
from earlycall.curves import Prefixes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST = 8  # losses that a forecast is worth drawing for
WITHIN, BEYOND = 80, 40  # points


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
    prefixes: Prefixes, rows: list[int], seen: NDArray[np.int64], ends: Floats
) -> dict[int, Forecast]:
    """The forecasts of some runs of a group, from their first losses; none where there are few.

    Args:
        prefixes: the runs, with the axis to fit along.
        rows: which of them.
        seen: shape (m,), how many losses of each are seen.
        ends: shape (m,), up to where to look ahead, on the axis.
    """
    able = [i for i in rows if _able(prefixes, i, int(seen[i]))]
    if not able:
        return {}
    x = [prefixes.x[i][: seen[i]] for i in able]
    fits = fit_many([prefixes.loss[i][: seen[i]] for i in able], x)
    sure = uncertainty(fits)
    within = np.stack([np.geomspace(*_span(a), WITHIN) for a in x])
    beyond = np.stack(
        [
            np.linspace(a[-1], max(float(ends[i]), a[-1]), BEYOND)
            for i, a in zip(able, x, strict=True)
        ]
    )
    fitted = prefixes.sign * fits.predict(within)
    middle, low, high = (prefixes.sign * values for values in sure.forecast(beyond))
    out = {}
    for k, i in enumerate(able):
        if not np.isfinite(fitted[k]).all():
            continue
        left = slice(None) if ends[i] > 1.001 * x[k][-1] else slice(0, 0)
        edges = np.sort(np.stack([low[k], high[k]]), axis=0)
        out[i] = Forecast(
            within[k], fitted[k], beyond[k][left], middle[k][left], edges[0][left], edges[1][left]
        )
    return out


def _able(prefixes: Prefixes, i: int, n: int) -> bool:
    x, y = prefixes.x[i][:n], prefixes.loss[i][:n]
    if n < FEWEST or not np.isfinite(y).all() or not np.isfinite(x).all():
        return False
    return bool(x[0] >= 0 and (np.diff(x) >= 0).all() and x[-1] > x[0])


def _span(x: Floats) -> tuple[float, float]:
    """From the first to the last of x, the first above 0 so that it has a logarithm."""
    return max(float(x[0]), 1e-3 * float(x[-1])), float(x[-1])
