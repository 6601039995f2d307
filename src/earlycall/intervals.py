"""How sure a fit is: covariance, intervals for f and f', forecasts.

The noise of a loss curve is autocorrelated and shrinks with training, so that the textbook formula
is too sure. The covariance here is the jackknife over blocks of neighbouring bins (Cameron and
Miller, *A Practitioner's Guide to Cluster-Robust Inference*, 2015: CR3): how the parameters change
when a block of the curve is left out, to first order. It needs no model of the noise. Blocks are
few, so that intervals take their quantiles from Student's distribution.

Beyond the data the hyperbola itself is the largest doubt. A forecast's interval therefore also
counts how far forecasts of one doubling went wrong within the curve, from fits of its first parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from earlycall.approximation import Fits, compressed, fit_many, fitted_together
from earlycall.bins import Bins
from earlycall.curves import Ragged

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

BLOCKS = 8  # of neighbouring bins, within which residuals may be correlated
BACK_TESTS = ((1 / 4, 1 / 2), (3 / 8, 3 / 4), (1 / 2, 1.0))
TARGET = 0.15  # of a prefix, at its end, whose mean a back-test is compared with
SHORTEST_TEST = 24


@dataclass(frozen=True)
class Uncertainty:
    """The uncertainty of m fits.

    Attributes:
        fits: the fits.
        covariance: shape (m, 3, 3), of (b1, b2, b3); a parameter at its bound counts as known, NaN
            where there is no fit.
        naive: the same by the textbook formula (independent noise of one size), for comparison.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x = np.arange(1, 201)
        >>> sure = uncertainty(fit_many([2 / (1 + 0.1 * x) + rng.normal(0, 0.05, 200)]))
        >>> low, high = sure.at(100.0)
        >>> bool(low[0] < 2 / 11 < high[0])
        True
    """

    fits: Fits
    covariance: Floats
    naive: Floats

    @property
    def se(self) -> Floats:
        """Standard errors of b1, b2 and b3, shape (m, 3)."""
        return np.asarray(np.sqrt(np.einsum("mii->mi", self.covariance)))

    def at(self, x: ArrayLike, level: float = 0.9) -> tuple[Floats, Floats]:
        """The interval of f(x) within the data, in the units of the loss.

        Args:
            x: shape (m,) or (m, k), or a number for all.
            level: the chance that the interval holds f.
        """
        return self._interval(self.fits.at(x), self._gradient(x), level)

    def slope(self, x: ArrayLike, level: float = 0.9) -> tuple[Floats, Floats]:
        """The interval of f'(x), in loss per unit of x; arguments as in `at`."""
        return self._interval(self.fits.slope(x), self._slope_gradient(x), level)

    def mean_slope(self, x: Ragged, level: float = 0.9) -> tuple[Floats, Floats]:
        """The interval of the mean of f' over some points of each curve, as in `lcga_d1`."""
        middle = np.array([self.fits[i].slope(row).mean() for i, row in enumerate(x)])
        gradient = np.stack(
            [self._slope_gradient(row[None], i)[0].mean(axis=0) for i, row in enumerate(x)]
        )
        return self._interval(middle, gradient, level)

    def forecast(self, x: ArrayLike, level: float = 0.9) -> tuple[Floats, Floats, Floats]:
        """The expected loss at x, which may lie beyond the data, and its interval.

        The half-width is √(t²·var f + (t·τ·d)²), with d the doublings of x beyond the last
        observation, τ the root mean square error of the curve's own forecasts of one doubling and t
        the quantile of Student's distribution with as many degrees of freedom as there were.

        Args:
            x: shape (m,) or (m, k), or a number for all, > 0.
            level: the chance that the interval holds the smoothed loss.

        Returns:
            The middle, low and high, each of the shape of x.
        """
        middle, gradient = self.fits.at(x), self._gradient(x)
        points = np.broadcast_to(np.asarray(x, dtype=np.float64), middle.shape)
        last = _like(self._last, middle)
        with np.errstate(invalid="ignore", divide="ignore"):
            lead = np.log2(np.maximum(points / last, 1.0))
        half = np.hypot(
            _quantile(level, BLOCKS - 1) * self._deviation(gradient),
            _quantile(level, len(BACK_TESTS)) * _like(self.doubling_error, middle) * lead,
        )
        return middle, middle - half, middle + half

    @cached_property
    def _last(self) -> Floats:
        """The end of each curve's axis, shape (m,)."""
        fits = self.fits
        return fits.n.astype(np.float64) if fits.x is None else fits.x.last()

    @cached_property
    def doubling_error(self) -> Floats:
        """τ: the root mean square error of forecasts over one doubling, in loss, shape (m,).

        From fits of the first quarter, three eighths and half of the curve. Where a curve is too
        short for that, the fall that is fitted to its last doubling.
        """
        fits, last = self.fits, self._last
        fallen = np.abs(fits.at(last / 2) - fits.at(last))
        out = np.where(fits.status == "flat", fits.scale, fallen)
        long = np.flatnonzero((fits.n >= SHORTEST_TEST) & np.isfinite(fits.b3))
        if len(long):
            squares = np.zeros(len(long))
            for seen, target in BACK_TESTS:
                squares += _back_test(fits, long, seen, target) ** 2
            out[long] = np.sqrt(squares / len(BACK_TESTS))
        return np.asarray(out)

    def _interval(self, middle: Floats, gradient: Floats, level: float) -> tuple[Floats, Floats]:
        half = _quantile(level, BLOCKS - 1) * self._deviation(gradient)
        return middle - half, middle + half

    def _deviation(self, gradient: Floats) -> Floats:
        """The standard error of what has a gradient in (b1, b2, b3), of shape (m, …, 3)."""
        variance = np.einsum("m...i,mij,m...j->m...", gradient, self.covariance, gradient)
        return np.asarray(np.sqrt(np.maximum(variance, 0)))

    def _gradient(self, x: ArrayLike) -> Floats:
        """∂f/∂(b1, b2, b3), shape of x with 3 more."""
        x = np.asarray(x, dtype=np.float64)
        x = np.full(len(self.fits), float(x)) if not x.ndim else x
        fits = self.fits
        q = _like(fits.b1, x) + _like(fits.b2, x) * x
        d1 = -1 / q**2
        return np.asarray(np.stack([d1, d1 * x, np.ones_like(q)], axis=-1) * _scale(fits, x))

    def _slope_gradient(self, x: ArrayLike, i: int | None = None) -> Floats:
        """∂f'/∂(b1, b2, b3), shape of x with 3 more (of curve i alone, if it is given)."""
        x = np.asarray(x, dtype=np.float64)
        x = np.full(len(self.fits), float(x)) if not x.ndim else x
        fits = self.fits if i is None else self.fits.part(i, i + 1)
        b2, q = _like(fits.b2, x), _like(fits.b1, x) + _like(fits.b2, x) * x
        both = np.stack([2 * b2 / q**3, 2 * b2 * x / q**3 - 1 / q**2, np.zeros_like(q)], axis=-1)
        return np.asarray(both * _scale(fits, x))


def uncertainty(fits: Fits) -> Uncertainty:
    """The covariance of m fits, from the bins of their losses.

    Args:
        fits: as `earlycall.fit_many` gives them.
    """
    m = len(fits)
    covariance, naive = (np.full((m, 3, 3), np.nan) for _ in range(2))
    for rows in fitted_together(fits.loss, fits.x):
        able = rows[np.isfinite(fits.b3[rows])]
        if len(able):
            bins, _ = compressed(fits.loss, fits.x, able)
            bins.normalise(fits.shift[able], fits.scale[able])
            covariance[able], naive[able] = _sandwich(fits, able, bins)
    return Uncertainty(fits, covariance, naive)


def _sandwich(fits: Fits, rows: NDArray[np.int64], bins: Bins) -> tuple[Floats, Floats]:
    """The covariance of (b1, b2, b3) of k curves, robust and naive, each of shape (k, 3, 3)."""
    B, layout = bins.layout.bins, bins.layout
    x, w = layout.x.T, layout.count.T  # (k or 1, B)
    b1, b2, b3 = (a[rows][:, None] for a in (fits.b1, fits.b2, fits.b3))
    with np.errstate(divide="ignore", invalid="ignore"):
        q = b1 + b2 * x
        f = 1 / q + b3
        d1 = -1 / q**2
    count = np.broadcast_to(w, f.shape)
    residual = np.where(count > 0, bins.data[:B].T / np.where(count > 0, count, 1) - f, 0.0)
    jacobian = np.stack([d1, d1 * x, np.ones_like(f)], axis=-1)
    free = _free(fits, rows)
    jacobian = np.where(free[:, None] & np.isfinite(jacobian), jacobian, 0.0)
    bread = np.einsum("kb,kbi,kbj->kij", count, jacobian, jacobian)
    inverse = _inverse(bread, free)
    score = (count * residual)[..., None] * jacobian
    used, p = (count > 0).sum(axis=1), free.sum(axis=1)
    n = fits.n[rows].astype(np.float64)
    squares = (count * residual**2).sum(axis=1) * (n / used) / np.maximum(n - p, 1)
    return _jackknife(bread, score, jacobian, count, free), inverse * squares[:, None, None]


def _jackknife(
    bread: Floats, score: Floats, jacobian: Floats, count: Floats, free: NDArray[np.bool_]
) -> Floats:
    """(G − 1)/G Σ δ δᵀ over the blocks, δ = (H − H_g)⁻¹ S_g being what leaving out one changes."""
    B = count.shape[1]
    blocks = min(BLOCKS, max(B - 3, 1))
    cuts = [B * g // blocks for g in range(blocks + 1)]
    out = np.zeros_like(bread)
    for start, stop in pairwise(cuts):
        part = jacobian[:, start:stop]
        own = np.einsum("kb,kbi,kbj->kij", count[:, start:stop], part, part)
        change = np.einsum("kij,kj->ki", _inverse(bread - own, free), score[:, start:stop].sum(1))
        out += change[:, :, None] * change[:, None, :]
    return np.asarray(out * (blocks - 1) / blocks)


def _quantile(level: float, freedom: int) -> float:
    """How many standard errors an interval of Student's distribution reaches to each side."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, freedom))


def _free(fits: Fits, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of (b1, b2, b3) are free, shape (k, 3): the others are at their bounds.

    A flat fit is f = 1/b1: its level is free.
    """
    flat = fits.b2[rows] == 0
    return np.stack([fits.b1[rows] > 0, ~flat, ~flat & (fits.b3[rows] > 0)], axis=1)


def _inverse(bread: Floats, free: NDArray[np.bool_]) -> Floats:
    """The inverse on the free parameters, 0 elsewhere; scaled, as they differ by magnitudes."""
    size = np.sqrt(np.einsum("kii->ki", bread))
    size = np.where(size > 0, size, 1.0)
    scaled = bread / (size[:, :, None] * size[:, None, :])
    scaled += np.where(free, 0.0, 1.0)[:, :, None] * np.eye(3)
    out = np.linalg.pinv(scaled, rcond=1e-12, hermitian=True)
    out *= free[:, :, None] * free[:, None, :]
    return np.asarray(out / (size[:, :, None] * size[:, None, :]))


def _back_test(fits: Fits, rows: NDArray[np.int64], seen: float, target: float) -> Floats:
    """Forecast less what came, at ``target`` of each curve, of the fit of its first ``seen``."""
    first, actual, at = [], [], []
    for i in rows.tolist():
        n = len(fits.loss[i])
        end = max(3, round(target * n))
        part = slice(max(0, end - max(1, int(TARGET * end))), end)
        x = np.arange(1.0, n + 1) if fits.x is None else fits.x[i]
        first.append(slice(0, max(3, round(seen * n))))
        actual.append(fits.loss[i][part].mean())
        at.append(x[part].mean())
    losses = [fits.loss[i][s] for i, s in zip(rows.tolist(), first, strict=True)]
    axes = None if fits.x is None else [
        fits.x[i][s] for i, s in zip(rows.tolist(), first, strict=True)
    ]  # fmt: skip
    return np.asarray(fit_many(losses, axes).at(np.array(at)) - np.array(actual))


def _scale(fits: Fits, x: Floats) -> Floats:
    return np.asarray(_like(fits.scale, x)[..., None])


def _like(values: Floats, x: Floats) -> Floats:
    return values[:, None] if x.ndim == 2 else values
