"""How sure a fit is: covariance, intervals for f and f', forecasts.

The noise of a loss curve is autocorrelated and shrinks with training, so that the textbook formula
is too sure. The covariance here is the jackknife over blocks of neighbouring bins (Cameron and
Miller, *A Practitioner's Guide to Cluster-Robust Inference*, 2015: CR3): how the parameters change
when a block of the curve is left out, to first order. It needs no model of the noise. Blocks are
few, so that intervals take their quantiles from Student's distribution.

Beyond the data the hyperbola itself is the largest doubt. A forecast's interval therefore also
counts how far the fit misses the end of the curve, and how far forecasts of one doubling went wrong
within it, from fits of its first parts. The latter are at most three errors, so that they are
weighed against a prior as a scaled inverse χ² distribution is (Gelman et al., *Bayesian Data
Analysis*, 2013, section 2.6): half of what the loss fell in the last doubling.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from earlycall.approximation.bins import Bins
from earlycall.approximation.fit import Fits, compressed, fit_many, fitted_together
from earlycall.approximation.parameters import Status, align

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

N_BLOCKS = 8  # of neighbouring bins, within which residuals may be correlated
BACK_TESTS = ((1 / 4, 1 / 2), (3 / 8, 3 / 4), (1 / 2, 1.0))
BACK_TEST_SHARE = 0.15  # of a prefix, at its end, whose mean a back-test is compared with
MIN_BACK_TEST = 4  # observations that a back-test is fitted to
PRIOR_WEIGHT = 3.0  # back-tests that the prior counts for
PRIOR_ERROR = 0.5  # of the last doubling's fall: the prior's error of the next


@dataclass(frozen=True)
class Uncertainty:
    """The uncertainty of m fits.

    Attributes:
        fits: the fits.
        covariance: shape (m, 3, 3), of (b1, b2, b3); a parameter at its bound counts as known, NaN
            where there is no fit.
        freedom: shape (m,), degrees of freedom of the noise; where 0 (three points for three
            parameters) nothing tells its size, and intervals are infinite.
        inverse: shape (m, 3, 3), of JᵀJ on the parameters that are free.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x = np.arange(1, 201)
        >>> sure = uncertainty(fit_many([2 / (1 + 0.1 * x) + rng.normal(0, 0.05, 200)]))
        >>> low, high = sure.predict_interval(100.0)
        >>> bool(low[0] < 2 / 11 < high[0])
        True
    """

    fits: Fits
    covariance: Floats
    freedom: Floats
    inverse: Floats = field(repr=False)

    @property
    def se(self) -> Floats:
        """Standard errors of b1, b2 and b3, shape (m, 3)."""
        se = np.sqrt(np.maximum(np.einsum("mii->mi", self.covariance), 0))
        free = np.einsum("mii->mi", self.inverse) > 0
        return np.where((self.freedom == 0)[:, None] & free, np.inf, se)

    @cached_property
    def textbook(self) -> Uncertainty:
        """The same by the textbook formula, for comparison: independent noise of one size.

        Its covariance σ²(JᵀJ)⁻¹, σ² = sse/(n − p), is what scipy's ``curve_fit`` reports. Reads the
        losses again.
        """
        free = (np.einsum("mii->mi", self.inverse) > 0).sum(axis=1)
        freedom = np.maximum(self.fits.n - free, 0).astype(np.float64)
        variance = self.fits.sse / np.maximum(freedom, 1)
        return replace(self, covariance=self.inverse * variance[:, None, None], freedom=freedom)

    def predict_interval(self, x: ArrayLike, level: float = 0.9) -> tuple[Floats, Floats]:
        """The interval of f(x) within the data, in the units of the loss.

        Args:
            x: shape (m,) or (m, k), or a number for all.
            level: the chance that the interval holds f.
        """
        low, high = self.interval(self.fits.predict(x), self._gradient(x), level)
        return np.maximum(low, align(self._floor, low)), high

    def slope(self, x: ArrayLike, level: float = 0.9) -> tuple[Floats, Floats]:
        """The interval of f'(x), in loss per unit of x; arguments as in `predict_interval`."""
        return self.interval(self.fits.slope(x), self._slope_gradient(x), level)

    def interval(
        self, middle: Floats, gradient: Floats, level: float = 0.9
    ) -> tuple[Floats, Floats]:
        """The interval of any smooth function of the parameters, by the delta method.

        Args:
            middle: its value at the fit, shape (m,) or (m, k).
            gradient: its derivatives along b1, b2 and b3, the shape of ``middle`` with 3 more.
            level: the chance that the interval holds it.
        """
        half = self._half(gradient, level)
        return middle - half, middle + half

    def forecast(self, x: ArrayLike, level: float = 0.9) -> tuple[Floats, Floats, Floats]:
        """The expected loss at x, which may lie beyond the data, and its interval.

        The half-width is √(t²·var f + e² + (t'·τ·d)²), with e the `misfit` at the end of the curve,
        d the doublings of x beyond it, τ the `doubling_error`, and t, t' quantiles of Student's
        distribution with as many degrees of freedom as var f and τ have. Where no loss was
        negative, neither is the forecast's interval.

        Args:
            x: shape (m,) or (m, k), or a number for all, > 0.
            level: the chance that the interval holds the smoothed loss.

        Returns:
            The middle, low and high, each of the shape of x.
        """
        middle, gradient = self.fits.predict(x), self._gradient(x)
        points = np.broadcast_to(np.asarray(x, dtype=np.float64), middle.shape)
        last = align(self._last, middle)
        with np.errstate(invalid="ignore", divide="ignore"):
            lead = np.log2(np.maximum(points / last, 1.0))
        drift = _quantile(level, PRIOR_WEIGHT + self._tests[1]) * self.doubling_error
        beyond = np.hypot(align(self.misfit, middle), align(drift, middle) * lead)
        half = np.hypot(self._half(gradient, level), beyond)
        low = np.maximum(middle - half, align(self._floor, middle))
        return middle, low, middle + half

    @cached_property
    def _last(self) -> Floats:
        """The end of each curve's axis, shape (m,)."""
        fits = self.fits
        return fits.n.astype(np.float64) if fits.x is None else fits.x.last()

    @cached_property
    def _floor(self) -> Floats:
        """0 where no loss was negative, as far as known none will be; else −∞, shape (m,)."""
        with np.errstate(invalid="ignore"):
            return np.where(self.fits.loss.reduce(np.minimum) >= 0, 0.0, -np.inf)

    @cached_property
    def misfit(self) -> Floats:
        """By how much the fit misses the mean loss at the end of the curve, shape (m,)."""
        rows = np.flatnonzero(np.isfinite(self.fits.b3))
        out = np.full(len(self.fits), np.nan)
        if len(rows):
            at, actual = _recorded(self.fits, rows, 1.0)
            points = np.full(len(self.fits), np.nan)
            points[rows] = at
            out[rows] = np.abs(self.fits.predict(points)[rows] - actual)
        return out

    @cached_property
    def doubling_error(self) -> Floats:
        """τ: the root mean square error of forecasts over one doubling, in loss, shape (m,).

        τ² = (Σ e² + ν·(F/2)²)/(k + ν), with e the errors of up to k = 3 forecasts within the curve,
        from fits of its first quarter, three eighths and half, F the change over its last doubling
        and ν = 3.
        """
        squares, tests = self._tests
        scale = self.fits.scale
        prior = PRIOR_ERROR * self._last_doubling / scale
        mean = (squares + PRIOR_WEIGHT * prior**2) / (tests + PRIOR_WEIGHT)
        return np.asarray(scale * np.sqrt(mean))

    @cached_property
    def _last_doubling(self) -> Floats:
        """F: the fall fitted to the last doubling; of a flat fit, the change recorded over it."""
        fits, last = self.fits, self._last
        change = np.abs(fits.predict(last / 2) - fits.predict(last))
        flat = np.flatnonzero(fits.status == Status.FLAT)
        if len(flat):
            (_, before), (_, after) = (_recorded(fits, flat, end) for end in (0.5, 1.0))
            change[flat] = np.abs(after - before)
        return change

    @cached_property
    def _tests(self) -> tuple[Floats, Floats]:
        """Σ (e/scale)² of the back-tests' errors, and their number, each shape (m,)."""
        fits = self.fits
        squares, tests = np.zeros(len(fits)), np.zeros(len(fits))
        for seen, target in BACK_TESTS:
            long = np.round(seen * fits.n) >= MIN_BACK_TEST
            rows = np.flatnonzero(long & np.isfinite(fits.b3))
            if len(rows):
                squares[rows] += (_back_test(fits, rows, seen, target) / fits.scale[rows]) ** 2
                tests[rows] += 1
        return squares, tests

    def _half(self, gradient: Floats, level: float) -> Floats:
        """The half-width of the interval of what has a gradient, of shape (m, …, 3)."""
        deviation = self._deviation(gradient)
        known = align(self.freedom, deviation) > 0
        quantile = align(_quantile(level, np.maximum(self.freedom, 1)), deviation)
        fitted = np.isfinite(align(self.fits.b3, deviation))
        return np.where(known | ~fitted, quantile * deviation, np.inf)

    def _deviation(self, gradient: Floats) -> Floats:
        """The standard error of what has a gradient in (b1, b2, b3), of shape (m, …, 3)."""
        size = np.abs(gradient).max(axis=-1)  # of which the square may be too large or small
        unit = gradient / np.where(size > 0, size, 1.0)[..., None]
        variance = np.einsum("m...i,mij,m...j->m...", unit, self.covariance, unit)
        return np.asarray(size * np.sqrt(np.maximum(variance, 0)))

    def _gradient(self, x: ArrayLike) -> Floats:
        """∂f/∂(b1, b2, b3), shape of x with 3 more."""
        x = np.asarray(x, dtype=np.float64)
        x = np.full(len(self.fits), float(x)) if not x.ndim else x
        fits = self.fits
        q = align(fits.b1, x) + align(fits.b2, x) * x
        d1 = -1 / q**2
        return np.asarray(np.stack([d1, d1 * x, np.ones_like(q)], axis=-1) * _scale(fits, x))

    def _slope_gradient(self, x: ArrayLike) -> Floats:
        """∂f'/∂(b1, b2, b3), shape of x with 3 more."""
        x = np.asarray(x, dtype=np.float64)
        x = np.full(len(self.fits), float(x)) if not x.ndim else x
        b2, q = align(self.fits.b2, x), align(self.fits.b1, x) + align(self.fits.b2, x) * x
        both = np.stack([2 * b2 / q**3, 2 * b2 * x / q**3 - 1 / q**2, np.zeros_like(q)], axis=-1)
        return np.asarray(both * _scale(self.fits, x))


def uncertainty(fits: Fits) -> Uncertainty:
    """The covariance of m fits, from the bins of their losses.

    Args:
        fits: as `earlycall.fit_many` gives them.
    """
    m = len(fits)
    covariance, inverse = (np.full((m, 3, 3), np.nan) for _ in range(2))
    freedom = np.full(m, np.nan)
    for rows in fitted_together(fits.loss, fits.x):
        able = rows[np.isfinite(fits.b3[rows])]
        if len(able):
            bins, _ = compressed(fits.loss, fits.x, able)
            bins.normalise(fits.shift[able], fits.scale[able])
            covariance[able], inverse[able], freedom[able] = _sandwich(fits, able, bins)
    return Uncertainty(fits, covariance, freedom, inverse)


def _sandwich(fits: Fits, rows: NDArray[np.int64], bins: Bins) -> tuple[Floats, Floats, Floats]:
    """The covariance of (b1, b2, b3) of k curves, (JᵀJ)⁻¹ and the degrees of freedom."""
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
    weighted = count[..., None] * jacobian
    used = (count > 0).sum(axis=1)
    blocks = np.minimum(N_BLOCKS, used)
    covariance, inverse = _jackknife(jacobian, weighted, residual, used, free)
    return covariance, inverse, np.minimum(blocks - 1, used - free.sum(axis=1)).astype(np.float64)


def _jackknife(
    jacobian: Floats,
    weighted: Floats,
    residual: Floats,
    used: NDArray[np.int64],
    free: NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """(G − 1)/G Σ δ δᵀ over the blocks, δ = (H − H_g)⁻¹ S_g being what leaving out one changes.

    Also H⁻¹. Each curve's own bins are cut into blocks, not those it is padded with.
    """
    k, B, _ = jacobian.shape
    curve, blocks = np.arange(k), np.minimum(N_BLOCKS, used)
    outer, score = np.zeros((k, B + 1, 3, 3)), np.zeros((k, B + 1, 3))
    np.cumsum(weighted[..., None] * jacobian[:, :, None], axis=1, out=outer[:, 1:])
    np.cumsum(weighted * residual[..., None], axis=1, out=score[:, 1:])
    bread, out = outer[:, -1], np.zeros((k, 3, 3))
    for g in range(N_BLOCKS):
        start, stop = (used * np.minimum(i, blocks) // blocks for i in (g, g + 1))
        own, part = (a[curve, stop] - a[curve, start] for a in (outer, score))
        change = np.einsum("kij,kj->ki", _inverse(bread - own, free), part)
        out += change[:, :, None] * change[:, None, :]
    return np.asarray(out * ((blocks - 1) / blocks)[:, None, None]), _inverse(bread, free)


def _quantile(level: float, freedom: Floats) -> Floats:
    """How many standard errors an interval of Student's distribution reaches to each side."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(freedom, (1 + level) / 2))


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
    first = [(i, round(seen * int(fits.n[i]))) for i in rows.tolist()]
    x = fits.x
    axes = None if x is None else [x[i][:n] for i, n in first]
    at, actual = _recorded(fits, rows, target)
    return np.asarray(fit_many([fits.loss[i][:n] for i, n in first], axes).predict(at) - actual)


def _recorded(fits: Fits, rows: NDArray[np.int64], target: float) -> tuple[Floats, Floats]:
    """The mean x and loss of the last observations until ``target`` of each curve."""
    at, actual = [], []
    for i in rows.tolist():
        n = int(fits.n[i])
        end = max(1, round(target * n))
        part = slice(end - max(1, int(BACK_TEST_SHARE * end)), end)
        x = np.arange(1.0, n + 1) if fits.x is None else fits.x[i]
        at.append(x[part].mean())
        actual.append(fits.loss[i][part].mean())
    return np.array(at), np.array(actual)


def _scale(fits: Fits, x: Floats) -> Floats:
    return np.asarray(align(fits.scale, x)[..., None])
