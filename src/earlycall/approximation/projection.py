"""Variable projection: the global least-squares fit of A·q + b, q = s/(x + c), s = c + x1.

For fixed c the model is linear in A = f(x1) − b3 ≥ 0 and b = b3 ≥ 0, so that the sum of squares is
a function of t = log s alone. A scan over t finds the valley, for all curves by one matrix product;
Newton's method finds its bottom, held in the bracket of the scan. In t the basis function has
simple derivatives: q' = q(1 − q).

Curves of one length share the scan, and what it explains is a smooth function of t, known between
the nodes from a polynomial (`peaks`), with a bound on what that may miss. Newton's method, on the
basis itself, is left for the curves that the bound does not settle, very smooth ones, and for
curves along axes of their own.

Golub and Pereyra, *The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems
Whose Variables Separate*, SIAM J. Numer. Anal. 1973.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from earlycall.approximation.bins import Bins, Layout, index_layout, product
from earlycall.approximation.peaks import OFFSETS, REACH, VALUE, Peak, find_peak

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SPACING = 0.2  # of the grid of t for curves of one length, at most
SLOPE_ERROR = 3e-8  # along t, of polynomials through its nodes; of the length of the losses
N_GRID = 32  # values of t for curves that each have their own axis
MAX_SHIFT = 1e3  # times the end of the curve: the largest c that is tried
MAX_NEWTON_STEPS = 60
TOLERANCE = 1e-8  # of the squared error, that a peak between nodes may miss
NEWTON_TOLERANCE = 1e-10  # of the squared error, that one more step would gain
PRECISION = 3e-4  # of the last step, after which the error is of the order of its square
MAX_LINEAR_STEP = 0.03  # steps, after which the linear parameters follow from their derivatives
MAX_BATCH = 1024  # curves, so that the workspace stays small


@dataclass(frozen=True)
class Optimum:
    """The best A·s/(x + c) + b of k curves.

    Attributes:
        c: shape (k,), ≥ 0.
        s: shape (k,), c + x1.
        A: shape (k,), ≥ 0; 0 where nothing falls.
        b: shape (k,), ≥ 0.
    """

    c: Floats
    s: Floats
    A: Floats
    b: Floats


def solve(bins: Bins) -> Optimum:
    """Fit k curves, compressed into bins."""
    k = bins.data.shape[1]
    if bins.layout.n:
        t, A, b = _peaks_of_scan(bins)
    else:
        t, A, b = np.empty((3, k))
        for part in _batches(np.arange(k)):
            own = bins.take(part)
            t[part], A[part], b[part] = _newton(own, *_scan(own))
    s = np.exp(t)
    c = s - _origin(bins.layout)
    return Optimum(np.where(c > 1e-7 * s, c, 0.0), s, A, b)


def _origin(layout: Layout) -> Floats:
    """What c is counted from: s = c + x1, or s = c where the axis starts at 0; shape (k or 1,)."""
    first = layout.x[0]
    return np.asarray(np.where(first > 0, first, 0.0))


def _ends(layout: Layout) -> tuple[Floats, Floats]:
    """The ends of the range of t = log s, from c = 0 to far beyond the data, shape (k or 1,)."""
    first, last = layout.x[0], layout.x.max(axis=0)
    unit = np.maximum(last - first, 1e-300) / layout.bins
    low = np.log(np.where(first > 0, first, 1e-3 * unit))
    return low, np.log(_origin(layout) + MAX_SHIFT * np.maximum(last, 1e-300))


class _Workspace(threading.local):
    """Room for the basis and its derivatives, kept by each thread: fresh memory costs time.

    After `evaluate` it holds, for k curves, ``q`` of shape (B + V, k): the mean of q in each bin,
    then its slope in each wide one; after `differentiate` also ``d1`` and ``d2``, its derivatives
    along t (the second without the terms of the bins' width, which it does not need).
    """

    def __init__(self) -> None:
        self._rooms = [np.empty(0) for _ in range(10)]

    def evaluate(self, layout: Layout, t: Floats) -> None:
        """The basis at t, of shape (k,)."""
        k, s = len(t), np.exp(t)
        B, V = layout.bins, layout.wide
        views = []
        for i, rows in enumerate((B, B, *4 * (B + V,), *4 * (V,))):
            if self._rooms[i].size < rows * k:
                self._rooms[i] = np.empty(rows * k)
            views.append(self._rooms[i][: rows * k].reshape(rows, k))
        self.r, self.plain, self.q, self.d1, self.d2, self.room, *self.wide = views
        np.add(layout.x, s - _origin(layout), out=self.r)
        np.reciprocal(self.r, out=self.r)
        np.multiply(self.r, s, out=self.plain)
        self.q[:B] = self.plain
        if V:
            rr, pr, work, _ = self.wide
            np.multiply(self.r[B - V :], self.r[B - V :], out=rr)
            np.multiply(self.plain[B - V :], self.r[B - V :], out=pr)
            # mean: p·(1 + r²·spread + r⁴·fourth)
            np.multiply(rr, layout.fourth, out=work)
            work += layout.spread
            work *= rr
            work += 1
            self.q[B - V : B] *= work
            # slope: −p·r·(1 + ratio·r²)
            np.multiply(rr, -layout.ratio, out=work)
            work -= 1
            np.multiply(work, pr, out=self.q[B:])

    def differentiate(self, layout: Layout) -> None:
        """The derivatives of the basis along t, after `evaluate`."""
        B, V = layout.bins, layout.wide
        p, d1, d2, room = self.plain, self.d1[:B], self.d2[:B], self.room[:B]
        np.multiply(p, p, out=d1)
        np.subtract(p, d1, out=d1)
        np.multiply(p, -2, out=room)
        room += 1
        np.multiply(d1, room, out=d2)
        if V:
            pw, (rr, pr, w1, w2) = p[B - V :], self.wide
            # mean: + p·r²·spread·(1 − 3p)
            np.multiply(pw, -3, out=w1)
            w1 += 1
            w1 *= pw
            w1 *= rr
            w1 *= layout.spread
            d1[B - V :] += w1
            # slope: p·r·(2p − 1 + ratio·r²·(4p − 1)) and p·r·(6p(1 − p) − 1)
            np.multiply(pw, 4, out=w1)
            w1 -= 1
            w1 *= rr
            w1 *= layout.ratio
            np.multiply(pw, 2, out=w2)
            w2 -= 1
            w1 += w2
            np.multiply(w1, pr, out=self.d1[B:])
            np.multiply(pw, pw, out=w1)
            np.subtract(pw, w1, out=w1)
            w1 *= 6
            w1 -= 1
            np.multiply(w1, pr, out=self.d2[B:])

    def dot(self, a: Floats, b: Floats, weight: Floats) -> Floats:
        """Σ weight·a·b over the bins, shape (k,)."""
        return _dot(np.multiply(a, b, out=self.room), weight)


@cache
def _space() -> _Workspace:
    return _Workspace()


def _dot(values: Floats, weight: Floats) -> Floats:
    """Σ weight·values over the bins, shape (k,)."""
    return np.asarray(np.einsum("ek,ek->k", weight, values))


@dataclass(frozen=True)
class _Sums:
    """What the linear problem needs, each of shape (k,)."""

    n: Floats
    q: Floats
    qq: Floats
    y: Floats
    yq: Floats


def _sums(bins: Bins, space: _Workspace) -> _Sums:
    at, q = bins.layout, space.q
    return _Sums(
        n=at.count.sum(axis=0),
        q=_dot(q[: at.bins], at.count),
        qq=space.dot(q, q, at.weight),
        y=bins.total(),
        yq=_dot(q, bins.data),
    )


def _linear(m: _Sums) -> tuple[Floats, Floats]:
    """The best A ≥ 0 and b ≥ 0 for given q."""
    variance = m.qq - m.q * m.q / m.n
    with np.errstate(divide="ignore", invalid="ignore"):
        A = np.where(variance > 0, (m.yq - m.y * m.q / m.n) / variance, 0.0)
        A = np.maximum(A, 0.0)
        b = (m.y - A * m.q) / m.n
        through = np.where(m.qq > 0, m.yq / m.qq, 0.0)
    return np.where(b >= 0, A, np.maximum(through, 0.0)), np.maximum(b, 0.0)


def _ssr_reduction(m: _Sums, A: Floats, b: Floats) -> Floats:
    """By how much A·q + b lowers the sum of squares below that of 0."""
    fitted: Floats = A * (2 * m.yq - A * m.qq) + b * (2 * m.y - b * m.n) - 2 * A * b * m.q
    return fitted


@dataclass(frozen=True)
class _Table:
    """The scan of all curves of one length, over a grid of G values of t: what depends on no loss.

    Attributes:
        t: shape (G,).
        free: shape (B + V, G): the basis less its mean, of length 1, so that its product with the
            losses is the square root of what a fit with free b explains beyond their mean.
        through: shape (B + V, G): the basis itself, of length 1: the same of a fit with b = 0.
        length, mean: shape (P, G), around each t the polynomials of the length of the basis less
            its mean, and of the mean.
        inverse: shape (B + V, 1), by which squares of the losses' sums and moments count.
    """

    t: Floats
    free: Floats
    through: Floats
    length: Floats
    mean: Floats
    inverse: Floats

    @property
    def step(self) -> float:
        """From one t to the next."""
        return float(self.t[1] - self.t[0])

    @property
    def last(self) -> int:
        """The node of the largest t that is tried; the smallest is REACH."""
        return len(self.t) - 1 - REACH

    @property
    def pull(self) -> Floats:
        """By how much b falls with what is explained, shape (G,)."""
        return np.asarray(self.mean[0] / self.length[0])

    def at(self, peak: Peak) -> Floats:
        """The t of peaks."""
        return np.asarray(self.t[peak.node] + self.step * peak.u)


@lru_cache(maxsize=256)
def _table(n: int) -> _Table:
    layout, space = index_layout(n), _Workspace()
    low, high = (float(end[0]) for end in _ends(layout))
    steps = math.ceil((high - low) / SPACING)
    # Polynomials go through nodes beyond the ends, too; c < 0 is harmless so near to 0.
    t: Floats = np.asarray(low + (high - low) / steps * np.arange(-REACH, steps + REACH + 1))
    space.evaluate(layout, t)
    weight, basis = layout.weight, space.q.copy()
    through = basis / np.sqrt(space.dot(basis, basis, weight))
    mean = _dot(basis[: layout.bins], layout.count) / n
    basis[: layout.bins] -= mean
    length: Floats = np.sqrt(space.dot(basis, basis, weight))
    with np.errstate(divide="ignore"):
        inverse = np.where(weight > 0, 1 / weight, 0.0)
    around = np.clip(np.arange(len(t)), REACH, len(t) - 1 - REACH) + OFFSETS[:, None]
    return _Table(t, basis / length, through, VALUE @ length[around], VALUE @ mean[around], inverse)


def _is_the_fit(peak: Peak, table: _Table, square: Floats) -> NDArray[np.bool_]:
    """Whether the peak between nodes is the optimum, up to TOLERANCE of the squared error.

    At the optimum the slope is 0; that of the polynomial is wrong by at most SLOPE_ERROR times the
    length of the losses, of which `square` is the square.
    """
    error = SLOPE_ERROR * table.step * np.sqrt(np.maximum(square, 0))
    at_end = (peak.node == REACH) & (peak.slope < -error)
    at_end |= (peak.node == table.last) & (peak.slope > error)
    error += np.abs(peak.slope)
    missed, left = peak.value * error * error, square - peak.value * peak.value
    return np.asarray((at_end & (peak.u == 0)) | (missed <= -TOLERANCE * left * peak.bend))


def _peaks_of_scan(bins: Bins) -> tuple[Floats, Floats, Floats]:
    """The best t, A and b of curves of one length: the peaks of their scan, between its nodes."""
    n, table, data = bins.layout.n, _table(bins.layout.n), bins.data
    mean, square = bins.total() / n, np.einsum("ek,ek,ek->k", data, data, table.inverse)
    free = product(data.T, table.free)
    peak = find_peak(free, _largest(free))
    t, node = table.at(peak), peak.node
    A = np.maximum(peak.value / peak.at(table.length), 0.0)
    b = mean - A * peak.at(table.mean)
    found = (A == 0) | _is_the_fit(peak, table, square - n * mean * mean)
    # What explains most with a free b is the fit, unless that b is negative.
    below = np.flatnonzero(b < 0)
    if len(below):
        free, mean, square = free[below], mean[below], square[below]
        through = product(data[:, below].T, table.through)
        explained = np.sqrt(np.maximum(free, 0) ** 2 + n * mean[:, None] ** 2)
        np.copyto(explained, through, where=free * table.pull > mean[:, None])
        peak = find_peak(through, _largest(explained))
        length, average = peak.at(table.length), peak.at(table.mean)
        bound = peak.of(free) * average >= mean * length
        node[below] = peak.node
        t[below] = np.where(bound, table.at(peak), table.t[peak.node])
        A[below] = peak.value / np.sqrt(length * length + n * average * average)
        b[below] = 0.0
        found[below] = bound & _is_the_fit(peak, table, square)
    for rest in _batches(np.flatnonzero(~found)):
        low, high = (table.t[np.clip(node[rest] + i, REACH, table.last)] for i in (-1, 1))
        t[rest], A[rest], b[rest] = _newton(bins.take(rest), low, high, t[rest])
    return t, A, b


def _largest(values: Floats) -> NDArray[np.int64]:
    """The node of the largest value of each row, but for those at its ends."""
    return np.asarray(values[:, REACH:-REACH].argmax(axis=1) + REACH)


def _batches(curves: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [curves[i : i + MAX_BATCH] for i in range(0, len(curves), MAX_BATCH)]


def _scan(bins: Bins) -> tuple[Floats, Floats, Floats]:
    """The neighbours on the grid of the best t, and the best t between them; each of shape (k,)."""
    k, at, space = bins.data.shape[1], bins.layout, _space()
    low, high = _ends(at)
    grid, explained = low + (high - low) * np.linspace(0, 1, N_GRID)[:, None], np.empty((k, N_GRID))
    for g in range(N_GRID):
        space.evaluate(at, grid[g])
        sums = _sums(bins, space)
        explained[:, g] = _ssr_reduction(sums, *_linear(sums))
    best, curve = np.argmax(explained, axis=1), np.arange(k)
    low, high = np.maximum(best - 1, 0), np.minimum(best + 1, N_GRID - 1)
    peak = find_peak(explained, np.clip(best, REACH, N_GRID - 1 - REACH))
    guess = grid[best, curve] + (grid[1] - grid[0]) * np.where(peak.node == best, peak.u, 0)
    return grid[low, curve], grid[high, curve], guess


@dataclass(frozen=True)
class _NewtonTerms:
    """How the sum of squares changes along t, each of shape (k,).

    Attributes:
        h: Σ w (y − f)·q', positive while the sum of squares falls.
        slope: dh/dt.
        kink: how far it is to where b reaches 0, at which the slope jumps; infinite where it is
            not ahead.
        gain: h times A: half of what a small step along t gains.
        explained: by how much the fit lowers the sum of squares below that of 0.
        sums, first, second: the sums of the linear problem, and their derivatives.
    """

    h: Floats
    slope: Floats
    kink: Floats
    gain: Floats
    explained: Floats
    sums: _Sums
    first: _Sums
    second: _Sums

    def linear_after(self, step: Floats) -> tuple[Floats, Floats]:
        """The linear parameters after a small step along t, to third order in it."""
        half = step * step / 2
        m, d, dd = self.sums, self.first, self.second
        q, qq, yq = (
            getattr(m, k) + step * getattr(d, k) + half * getattr(dd, k) for k in ("q", "qq", "yq")
        )
        return _linear(_Sums(m.n, q, qq, m.y, yq))


def _newton(bins: Bins, low: Floats, high: Floats, t: Floats) -> tuple[Floats, Floats, Floats]:
    """Where the sum of squares stops falling along t, within the bracket; t, A and b there."""
    space, found, A, b = _space(), t.copy(), t.copy(), t.copy()
    at, total = np.arange(len(t)), np.zeros(0)
    for _ in range(MAX_NEWTON_STEPS):
        d = _descent(bins, t, space)
        if not len(total):
            weight = np.where(bins.layout.weight > 0, bins.layout.weight, np.inf)
            total = space.dot(bins.data, bins.data, 1 / weight)
        falling = d.h > 0
        low, high = np.where(falling, t, low), np.where(falling, high, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(d.slope < 0, -d.h / d.slope, np.where(falling, np.inf, -np.inf))
        # Beyond the kink the slope is another: stop there first.
        to_kink = falling & (step > d.kink)
        new = t + np.where(to_kink, d.kink * (1 + 1e-9), step)
        inside = (new >= low) & (new <= high)
        new = np.where(inside, new, (low + high) / 2)
        found[at] = new
        A[at], b[at] = d.linear_after(new - t)
        # The next step will be of the order of the square of this one, and gain as much less.
        moved, error = np.abs(new - t), np.maximum(total[at] - d.explained, 0)
        worth = ~inside | to_kink | (np.abs(d.gain) * moved**3 > NEWTON_TOLERANCE * error)
        moving = np.flatnonzero(
            (moved > PRECISION) & (worth | (moved > MAX_LINEAR_STEP)) & (d.h != 0)
        )
        if not len(moving):
            break
        at, t, low, high = at[moving], new[moving], low[moving], high[moving]
        bins = bins.take(moving)
    return found, A, b


def _descent(bins: Bins, t: Floats, space: _Workspace) -> _NewtonTerms:
    layout, data = bins.layout, bins.data
    space.evaluate(layout, t)
    space.differentiate(layout)
    m = _sums(bins, space)
    A, b = _linear(m)
    q, d1, d2, w = space.q, space.d1, space.d2, layout.weight
    first = _Sums(
        n=m.n,
        q=_dot(d1[: layout.bins], layout.count),
        qq=2 * space.dot(q, d1, w),
        y=m.y,
        yq=_dot(d1, data),
    )
    second = _Sums(
        n=m.n,
        q=_dot(d2[: layout.bins], layout.count),
        qq=2 * (space.dot(q, d2, w) + space.dot(d1, d1, w)),
        y=m.y,
        yq=_dot(d2, data),
    )
    h = first.yq - A * first.qq / 2 - b * first.q
    bend = second.yq - A * second.qq / 2 - b * second.q
    along, across = A * first.qq / 2, A * first.q
    dA, db = _linear_slope(m, h, along, across, b > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = bend - np.where(A > 0, (dA * along + db * across) / A, 0.0)
        kink = np.where((b > 0) & (db < 0), -b / db, np.inf)
    return _NewtonTerms(h, slope, kink, A * h, _ssr_reduction(m, A, b), m, first, second)


def _linear_slope(
    m: _Sums, h: Floats, along: Floats, across: Floats, free: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """dA/dt and db/dt, from differentiating the normal equations."""
    right = h - along
    det = m.qq * m.n - m.q * m.q
    with np.errstate(divide="ignore", invalid="ignore"):
        dA = np.where(free, (right * m.n + across * m.q) / det, right / m.qq)
        db = np.where(free, (-across * m.qq - right * m.q) / det, 0.0)
    return dA, db
