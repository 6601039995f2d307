"""Curves compressed into bins: single observations early, four bins to each doubling later.

Of each bin the sum of the losses and their first moment are kept, which are nearly all that a
smooth model can see of it: a bin stands for a mean and a slope. What is lost is of fourth order in
the width of a bin over its distance from the start, which is at most 1/4: a few parts in a million
of the information, and of the squared error much less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from earlycall.curves import Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SINGLE_BINS = 32
BINS_PER_DOUBLING = 4
AXIS_BINS_PER_DOUBLING = 8  # of the distance from the start, in units of the first gap
MAX_UNBINNED = 256  # observations along an axis of its own that need no bins
MAX_NARROW_WIDTH = 64
FIRST_PIECE = 2048  # the first observation of the bins that are read in pieces
PIECE = FIRST_PIECE // BINS_PER_DOUBLING  # observations; later bins are multiples of it
SMALL_PRODUCT = 262_144  # multiplications, above which OpenBLAS calls its threads


@dataclass(frozen=True)
class Layout:
    """Where the B bins of k curves lie; the last V are wide, the others single observations.

    A row is a bin, a column a curve; one column stands for all curves where they share it.

    Attributes:
        x: shape (B, k or 1): the mean of the axis in each bin.
        spread: shape (V, k or 1): the variance of the axis in each wide bin.
        fourth: the same of the fourth central moment.
        weight: shape (B + V, k or 1): what the squared error of each mean counts (the number of
            observations), then of each slope (the sum of squared distances).
        n: the number of observations of all curves, along 1…n; 0 where each has its own axis.
    """

    x: Floats
    spread: Floats
    fourth: Floats
    weight: Floats
    n: int = 0

    @property
    def bins(self) -> int:
        """B, the number of bins."""
        return len(self.x)

    @property
    def wide(self) -> int:
        """V, the number of bins of more than one observation."""
        return len(self.spread)

    @cached_property
    def ratio(self) -> Floats:
        """Fourth moment over variance of each wide bin."""
        return np.asarray(self.fourth / np.maximum(self.spread, 1e-300))

    @property
    def count(self) -> Floats:
        """Observations in each bin, shape (B, k or 1)."""
        return self.weight[: self.bins]


@dataclass(frozen=True)
class Bins:
    """The bins of k curves.

    Attributes:
        layout: where the bins lie.
        data: shape (B + V, k): the sum of the losses in each bin, then their first moment
            Σ (x − mean x)·loss in each wide bin.
    """

    layout: Layout
    data: Floats

    def take(self, curves: NDArray[np.int64] | slice) -> Bins:
        """The bins of some of the curves."""
        at = self.layout
        if not at.n:
            x, spread, fourth, weight = (
                a[:, curves] for a in (at.x, at.spread, at.fourth, at.weight)
            )
            at = Layout(x, spread, fourth, weight)
        return Bins(at, np.ascontiguousarray(self.data[:, curves]))

    def total(self) -> Floats:
        """The sum of each curve's losses, shape (k,)."""
        return np.asarray(self.data[: self.layout.bins].sum(axis=0))

    def normalise(self, shift: Floats, scale: Floats) -> None:
        """Turn the bins of the losses into those of (loss − shift)/scale; both of shape (k,)."""
        if shift.any():
            self.data[: self.layout.bins] -= shift * self.layout.count
        np.divide(self.data, scale, out=self.data)


def bin_starts(n: int) -> NDArray[np.int64]:
    """The first observation of each bin of n observations in a row, shape (B,).

    Examples:
        >>> bin_starts(5).tolist(), len(bin_starts(1_000_000))
        ([0, 1, 2, 3, 4], 92)
    """
    parts = [np.arange(min(n, SINGLE_BINS))]
    low = SINGLE_BINS
    while low < n:
        parts.append(np.arange(low, min(n, 2 * low), low // BINS_PER_DOUBLING))
        low *= 2
    return np.concatenate(parts)


@lru_cache(maxsize=4096)
def index_layout(n: int) -> Layout:
    """The layout of a curve of n observations along x = 1…n."""
    start = bin_starts(n)
    w = np.diff(np.append(start, n)).astype(np.float64)
    wide = w[SINGLE_BINS:]
    spread = (wide**2 - 1) / 12
    fourth = (3 * wide**4 - 10 * wide**2 + 7) / 240
    weight = np.append(w, wide * spread)
    x = start + (w + 1) / 2
    return Layout(x[:, None], spread[:, None], fourth[:, None], weight[:, None], n)


def product(a: Floats, b: Floats) -> Floats:
    """The product a @ b in parts so small that BLAS leaves them to the thread that asks.

    The threads of BLAS wait for each other, which costs several times the product where other
    processes are busy; and worker processes would each start as many as there are cores.

    Args:
        a: shape (…, k, p), k large.
        b: shape (p, q).

    Examples:
        >>> a, b = np.arange(20_000.0).reshape(-1, 2), np.ones((2, 64))
        >>> np.array_equal(product(a, b), a @ b)
        True
    """
    (*stack, k, p), q = a.shape, b.shape[1]
    at_once = max(1, SMALL_PRODUCT // b.size)
    parts = k // at_once
    whole, out = parts * at_once, np.empty((*stack, k, q))
    np.matmul(
        a[..., :whole, :].reshape(*stack, parts, at_once, p),
        b,
        out=out[..., :whole, :].reshape(*stack, parts, at_once, q),
    )
    np.matmul(a[..., whole:, :], b, out=out[..., whole:, :])
    return out


@lru_cache(maxsize=64)
def _sum_and_moment(width: int) -> Floats:
    """The two columns that turn the observations of a bin into their sum and first moment."""
    place = np.arange(width, dtype=np.float64)
    return np.stack([np.ones(width), place - place.mean()]).T


@lru_cache(maxsize=256)
def _of_narrow_bins(width: int, count: int) -> Floats:
    """The columns that turn a run of equal bins into the sum of each, then the first moment."""
    sums, moments = (np.kron(np.eye(count), column[:, None]) for column in _sum_and_moment(width).T)
    return np.hstack([sums, moments])


def bin_block(block: Floats, out: Floats) -> Floats:
    """The sums and first moments of k curves of n observations along x = 1…n, in one pass.

    Args:
        block: shape (k, n).
        out: shape (B + V, k), to be filled as `Bins.data`.

    Returns:
        The largest observation of each curve, shape (k,).

    Examples:
        >>> data = np.empty((34, 1))
        >>> bin_block(np.ones((1, 36)), data).tolist()
        [1.0]
        >>> data[30:, 0].tolist()
        [1.0, 1.0, 4.0, 0.0]
    """
    k, n = block.shape
    moments = out[index_layout(n).bins - SINGLE_BINS :]
    out[: min(n, SINGLE_BINS)] = block[:, :SINGLE_BINS].T
    for first, last, at, count in _runs(n):
        run, width = block[:, first:last], (last - first) // count
        if width <= MAX_NARROW_WIDTH:
            # One product for all bins of the run: many tiny ones cost more than its zeros.
            both = product(run, _of_narrow_bins(width, count)).reshape(k, 2, count)
            out[at : at + count], moments[at : at + count] = both.transpose(1, 2, 0)
        else:
            both = run.reshape(k, count, width) @ _sum_and_moment(width)
            out[at : at + count], moments[at : at + count] = both.T
    if n > FIRST_PIECE:
        at, starts, centres = _pieces(n)
        both, rest = np.empty((k, len(centres), 2)), (n - FIRST_PIECE) % PIECE
        whole = block[:, FIRST_PIECE : n - rest].reshape(k, -1, PIECE)
        both[:, : whole.shape[1]] = product(whole, _sum_and_moment(PIECE))
        if rest:
            both[:, -1] = block[:, n - rest :] @ _sum_and_moment(rest)
        both[..., 1] += both[..., 0] * centres
        out[at : index_layout(n).bins], moments[at:] = np.add.reduceat(both, starts, axis=1).T
    return np.asarray(block.max(axis=1))


@lru_cache(maxsize=256)
def _runs(n: int) -> tuple[tuple[int, int, int, int], ...]:
    """Neighbouring bins of one width: first and last observation, first bin, number of bins."""
    start = bin_starts(n)[SINGLE_BINS:]
    width = np.diff(np.append(start, n))
    before = int(np.searchsorted(start, FIRST_PIECE))
    if not before:
        return ()
    runs = np.split(np.arange(before), np.flatnonzero(np.diff(width[:before])) + 1)
    firsts = [(int(start[run[0]]), len(run), int(run[0]), int(width[run[0]])) for run in runs]
    return tuple((first, first + k * w, SINGLE_BINS + bin_, k) for first, k, bin_, w in firsts)


@lru_cache(maxsize=256)
def _pieces(n: int) -> tuple[int, NDArray[np.int64], Floats]:
    """Of the bins that are read in pieces: the first of them; of each, the first piece.

    Of each piece, how far its middle is from that of its bin.
    """
    start = bin_starts(n)
    at = int(np.searchsorted(start, FIRST_PIECE))
    edges, first = np.append(start, n)[at:], np.arange(FIRST_PIECE, n, PIECE)
    bin_ = np.searchsorted(edges, first, side="right") - 1
    middle = (first + np.minimum(first + PIECE, n)) / 2
    centres = middle - (edges[:-1] + edges[1:])[bin_] / 2
    return at, (edges[:-1] - FIRST_PIECE) // PIECE, centres


def bin_ragged(loss: Ragged, x: Ragged | None) -> Bins:
    """The bins of k curves of any lengths, along 1…n or axes of their own, padded to the longest.

    Along an axis of its own, a curve has equally many bins to each doubling of the distance from
    its start, so that a bin is narrow as seen from there however the observations lie.
    """
    rows = [
        _by_observation_one(losses) if x is None else _along(losses, x[i])
        for i, losses in enumerate(loss)
    ]
    most = max(len(row[0]) for row in rows)
    padded = np.zeros((6, most, len(rows)))
    for i, row in enumerate(rows):
        padded[1, :, i] = row[1][-1]
        for j, values in enumerate(row):
            padded[j, : len(values), i] = values
    count, mean, spread, fourth, total, moment = padded
    layout = Layout(mean, spread, fourth, np.concatenate([count, count * spread]))
    return Bins(layout, np.concatenate([total, moment]))


def _by_observation_one(loss: Floats) -> tuple[Floats, ...]:
    """Count, mean x, spread, fourth moment, sum and first moment of each bin, along 1…n."""
    at = index_layout(len(loss))
    single, data = np.zeros(at.bins - at.wide), np.empty((len(at.weight), 1))
    bin_block(np.asarray(loss, dtype=np.float64)[None], data)
    wide = (a[:, 0] for a in (at.spread, at.fourth, data[at.bins :]))
    spread, fourth, moment = (np.append(single, values) for values in wide)
    return at.count[:, 0], at.x[:, 0], spread, fourth, data[: at.bins, 0], moment


def _along(loss: Floats, x: Floats) -> tuple[Floats, ...]:
    """The same along an axis of its own."""
    n = len(x)
    new = np.ones(n, dtype=bool)
    later = x[x > x[0]]
    if n > MAX_UNBINNED and len(later):
        place = np.floor(AXIS_BINS_PER_DOUBLING * np.log2((x - x[0]) / (later[0] - x[0]) + 1))
        new[1:] = np.diff(place) > 0
    first = np.flatnonzero(new)
    count = np.diff(np.append(first, n)).astype(np.float64)
    mean = np.add.reduceat(x, first) / count
    gap = x - mean[np.cumsum(new) - 1]
    loss = np.asarray(loss, dtype=np.float64)
    spread = np.add.reduceat(gap**2, first) / count
    fourth = np.add.reduceat(gap**4, first) / count
    return (
        count,
        mean,
        spread,
        fourth,
        np.add.reduceat(loss, first),
        np.add.reduceat(gap * loss, first),
    )


def group_by_length(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Row numbers of the curves of each length, the shortest first."""
    order = np.argsort(lengths, kind="stable")
    cuts = np.flatnonzero(np.diff(lengths[order])) + 1
    yield from (part for part in np.split(order, cuts) if len(part))
