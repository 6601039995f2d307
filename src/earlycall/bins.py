"""Curves compressed into weighted bins: dense early, geometric later.

A bin keeps how many observations it holds, the mean and variance of their x, and the sum of their
losses. Near a fit's optimum only the means of the loss over narrow bins matter, so that the fit of
the bins (with the model averaged over each bin) is that of the curve.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from earlycall.curves import Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DENSE = 64
RATIO = 1.08


@dataclass(frozen=True)
class Bins:
    """The bins of k curves, padded with bins of weight 0.

    Attributes:
        weight: shape (k, B), or (1, B) where all curves share it: observations in the bin.
        x: as weight: mean x of the bin.
        spread: as weight: variance of x within the bin.
        total: shape (k, B): sum of the losses in the bin.
    """

    weight: Floats
    x: Floats
    spread: Floats
    total: Floats

    def take(self, rows: slice | NDArray[np.int64]) -> Bins:
        """The bins of some of the curves."""
        shared = len(self.weight) == 1
        weight, x, spread = (a if shared else a[rows] for a in (self.weight, self.x, self.spread))
        return Bins(weight, x, spread, self.total[rows])


@lru_cache(maxsize=4096)
def edges(n: int) -> NDArray[np.int64]:
    """Where the bins of n observations in a row start, shape (B,).

    Example:
        >>> edges(5).tolist()
        [0, 1, 2, 3, 4]
        >>> len(edges(1_000_000))
        190
    """
    if n <= DENSE:
        return np.arange(n)
    later = DENSE * RATIO ** np.arange(np.ceil(np.log(n / DENSE) / np.log(RATIO)))
    starts = np.concatenate([np.arange(DENSE), np.unique(np.round(later).astype(np.int64))])
    return starts[starts < n]


@lru_cache(maxsize=4096)
def observation_bins(n: int) -> tuple[Floats, Floats, Floats]:
    """Weight, mean and variance of x = 1…n in the bins, each of shape (B,)."""
    start = edges(n)
    weight = np.diff(np.append(start, n)).astype(np.float64)
    return weight, start + (weight + 1) / 2, (weight**2 - 1) / 12


def compress(loss: Ragged, x: Ragged | None) -> Iterator[tuple[NDArray[np.int64], Bins]]:
    """The bins of curves, together where they share their length and axis.

    Args:
        loss: m curves of at least one finite value.
        x: their axis, None for 1…n.

    Yields:
        Row numbers, and the bins of those curves.
    """
    lengths = loss.lengths
    if x is not None:
        for row in range(len(loss)):
            yield np.array([row]), _along(loss[row], x[row])
        return
    for n in np.unique(lengths):
        rows = np.flatnonzero(lengths == n)
        weight, centre, spread = observation_bins(int(n))
        place = loss.offsets[rows][:, None] + np.arange(n)
        together = rows[-1] - rows[0] == len(rows) - 1
        flat = slice(loss.offsets[rows[0]], loss.offsets[rows[-1] + 1]) if together else place
        block = loss.values[flat].reshape(len(rows), n)
        total = np.add.reduceat(block, edges(int(n)), axis=1, dtype=np.float64)
        yield rows, Bins(weight[None], centre[None], spread[None], total)


def _along(loss: Floats, x: Floats) -> Bins:
    """The bins of one curve along an axis of its own, each narrow as seen from the start."""
    n = len(loss)
    if n <= DENSE:
        start = np.arange(n)
    else:
        unit = max(x[-1] - x[0], 1e-300) / n
        place = np.floor(np.log1p((x - x[0]) / (unit / RATIO)) / np.log(RATIO) * 1.0)
        start = np.flatnonzero(np.append(True, np.diff(place) > 0))
    weight = np.diff(np.append(start, n)).astype(np.float64)
    mean = np.add.reduceat(x, start) / weight
    spread = np.add.reduceat((x - np.repeat(mean, weight.astype(np.int64))) ** 2, start) / weight
    total = np.add.reduceat(loss, start, dtype=np.float64)
    return Bins(weight[None], mean[None], spread[None], total[None])
