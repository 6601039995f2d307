"""Variable projection: the global least-squares fit of A·q + b, q = s/(x + c), s = c + x1.

For fixed c the model is linear in A = f(x1) − b3 ≥ 0 and b = b3 ≥ 0, so that the sum of squares is
a function of t = log s alone. A scan over t finds the valley, Newton's method its bottom, held in
the bracket of the scan. In t the basis function has simple derivatives: q' = q(1 − q).

Golub and Pereyra, *The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems
Whose Variables Separate*, SIAM J. Numer. Anal. 1973.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earlycall.bins import Bins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GRID = 40
FARTHEST = 1e3
STEPS = 60
PRECISION = 1e-9


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


def project(bins: Bins, near: Floats | None = None) -> Optimum:
    """Fit k curves of positive losses, compressed into bins.

    Args:
        bins: the curves.
        near: shape (k,), a c that is almost right, instead of a scan.
    """
    first = bins.x[:, :1]
    t = _range(bins)
    if near is None:
        low, high, found = _scan(bins, first, t)
    else:
        lowest, highest = t[:, 0], t[:, -1]
        found = np.clip(np.log(near + _origin(first)[:, 0]), lowest, highest)
        low, high = np.maximum(found - 0.1, lowest), np.minimum(found + 0.1, highest)
    t = _newton(bins, first, low, high, found)
    A, b = _linear(_sums(bins, _basis(bins, first, t)))
    s = np.exp(t)
    c = s - _origin(first)[:, 0]
    return Optimum(np.where(c > 1e-9 * s, c, 0.0), s, A, b)


def _origin(first: Floats) -> Floats:
    """What c is counted from: s = c + x1, or s = c where the axis starts at 0."""
    return np.where(first > 0, first, 0.0)


def _range(bins: Bins) -> Floats:
    """The grid of t = log s, shape (k or 1, GRID): from c = 0 to far beyond the data."""
    first, last = bins.x[:, :1], bins.x.max(axis=1, keepdims=True)
    unit = np.maximum(last - first, 1e-300) / bins.x.shape[1]
    low = np.log(np.where(first > 0, first, 1e-3 * unit))
    high = np.log(_origin(first) + FARTHEST * np.maximum(last, 1e-300))
    grid: Floats = low + (high - low) * np.linspace(0, 1, GRID)
    return grid


def _basis(bins: Bins, first: Floats, t: Floats) -> Floats:
    """The basis function averaged over each bin, shape (k, B); t of shape (k,)."""
    s = np.exp(t)[:, None]
    q = s / (bins.x + (s - _origin(first)))
    averaged: Floats = q + (bins.spread / s**2) * q**3
    return averaged


@dataclass(frozen=True)
class _Sums:
    """The sums that the linear problem needs, each of shape (k,) or (k, GRID)."""

    n: Floats
    q: Floats
    qq: Floats
    y: Floats
    yq: Floats


def _sums(bins: Bins, q: Floats) -> _Sums:
    w = bins.weight
    return _Sums(
        n=w.sum(axis=1),
        q=(w * q).sum(axis=1),
        qq=(w * q * q).sum(axis=1),
        y=bins.total.sum(axis=1),
        yq=(bins.total * q).sum(axis=1),
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


def _explained(m: _Sums, A: Floats, b: Floats) -> Floats:
    """By how much A·q + b lowers the sum of squares below that of the mean."""
    fitted = A * (2 * m.yq - A * m.qq) + b * (2 * m.y - b * m.n) - 2 * A * b * m.q
    return fitted - m.y * m.y / m.n


def _scan(bins: Bins, first: Floats, grid: Floats) -> tuple[Floats, Floats, Floats]:
    """The grid's best t for each curve, between its neighbours; each of shape (k,)."""
    k = len(bins.total)
    explained = np.empty((k, GRID))
    for g in range(GRID):
        m = _sums(bins, _basis(bins, first, grid[:, g]))
        explained[:, g] = _explained(m, *_linear(m))
    best = np.argmax(explained, axis=1)
    rows = np.arange(k) if len(grid) == k else np.zeros(k, dtype=np.int64)
    low = grid[rows, np.maximum(best - 1, 0)]
    high = grid[rows, np.minimum(best + 1, GRID - 1)]
    return low, high, grid[rows, best]


def _newton(bins: Bins, first: Floats, low: Floats, high: Floats, t: Floats) -> Floats:
    """Where the sum of squares stops falling along t, within the bracket.

    h(t) = Σ w (y − f)·q' has the sign of the descent: positive while the sum of squares falls.
    """
    found, at = t.copy(), np.arange(len(t))
    for _ in range(STEPS):
        h, slope = _descent(bins, first, t)
        falling = h > 0
        low, high = np.where(falling, t, low), np.where(falling, high, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = t - h / slope
        inside = (step > low) & (step < high) & (slope < 0)
        new = np.where(inside, step, (low + high) / 2)
        found[at] = new
        moving = np.flatnonzero((np.abs(new - t) > PRECISION) & (h != 0))
        if not len(moving):
            break
        at, t, low, high = at[moving], new[moving], low[moving], high[moving]
        bins, first = bins.take(moving), first if len(first) == 1 else first[moving]
    return found


def _descent(bins: Bins, first: Floats, t: Floats) -> tuple[Floats, Floats]:
    """The descent h and dh/dt, each of shape (k,)."""
    s = np.exp(t)[:, None]
    q = s / (bins.x + (s - _origin(first)))
    u = bins.spread / s**2
    cube = u * q**3
    d1 = q * (1 - q) + cube * (1 - 3 * q)
    d2 = q * (1 - q) * (1 - 2 * q)
    q = q + cube
    m = _sums(bins, q)
    A, b = (v[:, None] for v in _linear(m))
    w = bins.weight
    residual = bins.total - w * (A * q + b)
    h = (residual * d1).sum(axis=1)
    wd1 = w * d1
    along, across = (wd1 * q).sum(axis=1), wd1.sum(axis=1)
    dA, db = _linear_slope(m, h, A[:, 0] * along, A[:, 0] * across, b[:, 0] > 0)
    slope = (
        (residual * d2).sum(axis=1) - dA * along - A[:, 0] * (wd1 * d1).sum(axis=1) - db * across
    )
    return h, slope


def _linear_slope(
    m: _Sums, h: Floats, along: Floats, across: Floats, free: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """dA/dt and db/dt, from differentiating the normal equations."""
    right = h - along
    det = m.qq * m.n - m.q * m.q
    with np.errstate(divide="ignore", invalid="ignore"):
        dA = np.where(free, (right * m.n + across * m.q) / det, right / m.qq)
        db = np.where(free, (-across * m.qq - right * m.q) / det, 0.0)
    return np.nan_to_num(dA), np.nan_to_num(db)
