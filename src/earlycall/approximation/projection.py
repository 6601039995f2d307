"""Variable projection: the global least-squares fit of A·q + b, q = s/(x + c), s = c + x1.

For fixed c the model is linear in A = f(x1) − b3 ≥ 0 and b = b3 ≥ 0, so that the sum of squares is
a function of t = log s alone. A scan over t finds the valley, for all curves by one matrix product;
Newton's method finds its bottom, held in the bracket of the scan. In t the basis function has
simple derivatives: q' = q(1 − q).

Golub and Pereyra, *The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems
Whose Variables Separate*, SIAM J. Numer. Anal. 1973.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from earlycall.approximation.bins import Bins, Layout, index_layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

N_GRID = 32
MAX_SHIFT = 1e3  # times the end of the curve: the largest c that is tried
MAX_NEWTON_STEPS = 60
TOLERANCE = 1e-8  # of the squared error, that one more step would gain
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
    space = _space()
    parts = [
        _project(bins.take(slice(start, start + MAX_BATCH)), space)
        for start in range(0, k, MAX_BATCH)
    ]
    t, A, b = (np.concatenate(column) for column in zip(*parts, strict=True))
    s = np.exp(t)
    c = s - _origin(bins.layout)
    return Optimum(np.where(c > 1e-7 * s, c, 0.0), s, A, b)


def _project(bins: Bins, space: _Workspace) -> tuple[Floats, Floats, Floats]:
    return _newton(bins, *_scan(bins, space), space)


def _origin(layout: Layout) -> Floats:
    """What c is counted from: s = c + x1, or s = c where the axis starts at 0; shape (k or 1,)."""
    first = layout.x[0]
    return np.asarray(np.where(first > 0, first, 0.0))


def _grid(layout: Layout) -> Floats:
    """The grid of t = log s from c = 0 to far beyond the data, shape (N_GRID, k or 1)."""
    first, last = layout.x[0], layout.x.max(axis=0)
    unit = np.maximum(last - first, 1e-300) / layout.bins
    low = np.log(np.where(first > 0, first, 1e-3 * unit))
    high = np.log(_origin(layout) + MAX_SHIFT * np.maximum(last, 1e-300))
    grid: Floats = low + (high - low) * np.linspace(0, 1, N_GRID)[:, None]
    return grid


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
    if weight.shape[1] == 1:
        return np.asarray(weight[:, 0] @ values)
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
    """The scan of all curves of one length: what depends on no loss, each of shape (N_GRID, 1).

    Attributes:
        t: the grid.
        unit: shape (N_GRID, B + V): the basis less its mean, of length 1, so that its product with
            the losses is √ of what a free fit explains.
        length: √ of the sum of squares of the basis less its mean.
        q: the sum of the basis.
        qq: its sum of squares.
    """

    t: Floats
    unit: Floats
    length: Floats
    q: Floats
    qq: Floats


@lru_cache(maxsize=256)
def _table(n: int) -> _Table:
    layout = index_layout(n)
    t = _grid(layout)
    space = _Workspace()
    space.evaluate(layout, t[:, 0])
    q = _dot(space.q[: layout.bins], layout.count)
    qq = space.dot(space.q, space.q, layout.weight)
    length = np.sqrt(np.maximum(qq - q * q / n, 1e-300))
    space.q[: layout.bins] -= q / n
    unit = np.ascontiguousarray((space.q / length).T)
    return _Table(t, unit, length[:, None], q[:, None], qq[:, None])


def _explained_together(bins: Bins, table: _Table) -> Floats:
    """What is explained beyond the mean, on the grid that curves of one length share."""
    y, n = bins.total(), bins.layout.n
    z: Floats = table.unit @ bins.data
    below = z * (table.q / table.length) > y  # where b3 would be negative
    through = z * table.length
    through += y * (table.q / n)
    through *= through
    through /= table.qq
    through -= y * y / n
    np.maximum(z, 0, out=z)
    z *= z
    np.copyto(z, through, where=below)
    return z


def _scan(bins: Bins, space: _Workspace) -> tuple[Floats, Floats, Floats]:
    """The neighbours on the grid of the best t, and the best t between them; each of shape (k,)."""
    k, at = bins.data.shape[1], bins.layout
    if at.n:
        table = _table(at.n)
        grid, explained = (
            np.broadcast_to(table.t, (N_GRID, k)),
            _explained_together(bins, table),
        )
    else:
        grid, explained = _grid(at), np.empty((N_GRID, k))
        for g in range(N_GRID):
            space.evaluate(at, grid[g])
            sums = _sums(bins, space)
            explained[g] = _ssr_reduction(sums, *_linear(sums))
    best, curve = np.argmax(explained, axis=0), np.arange(k)
    low, high = np.maximum(best - 1, 0), np.minimum(best + 1, N_GRID - 1)
    guess = grid[best, curve] + (grid[1] - grid[0]) * _vertex(explained, best)
    return grid[low, curve], grid[high, curve], guess


def _vertex(values: Floats, best: NDArray[np.int64]) -> Floats:
    """Where the quartic through the five values around the best is largest, in steps from it."""
    centre, curve = np.clip(best, 2, N_GRID - 3), np.arange(values.shape[1])
    e = [values[centre + i, curve] for i in (-2, -1, 0, 1, 2)]
    d1 = (e[0] - 8 * e[1] + 8 * e[3] - e[4]) / 12
    d2 = (-e[0] + 16 * e[1] - 30 * e[2] + 16 * e[3] - e[4]) / 12
    d3 = (-e[0] + 2 * e[1] - 2 * e[3] + e[4]) / 2
    d4 = e[0] - 4 * e[1] + 6 * e[2] - 4 * e[3] + e[4]
    u = np.zeros(len(best))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(3):
            slope = d1 + u * (d2 + u * (d3 / 2 + u * d4 / 6))
            u = u - slope / (d2 + u * (d3 + u * d4 / 2))
    return np.where((best == centre) & (np.abs(u) <= 1), u, 0.0)


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


def _newton(
    bins: Bins, low: Floats, high: Floats, t: Floats, space: _Workspace
) -> tuple[Floats, Floats, Floats]:
    """Where the sum of squares stops falling along t, within the bracket; t, A and b there."""
    found, A, b = t.copy(), t.copy(), t.copy()
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
        worth = ~inside | to_kink | (np.abs(d.gain) * moved**3 > TOLERANCE * error)
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
