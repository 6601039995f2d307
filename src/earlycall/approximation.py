"""The loss-curve approximation f(x) = 1/(b1 + b2·x) + b3, fitted at its global optimum.

Zhao, Frey, Gadepally, Samsi, *Loss Curve Approximations for Fast Neural Architecture Ranking &
Training Elasticity Estimation*, IPDPSW 2022: least squares on ``y = loss / max(loss)`` with
b1, b2, b3 ≥ 0.

With a = 1/b2 and c = b1/b2 the model is f = a/(x + c) + b3, linear in (a, b3) for fixed c. So the
fit is a search over c alone (variable projection: Golub and Pereyra 1973), whose optimum can be
found every time: a scan over a grid of c finds the valley, Newton's method its bottom. Long curves
are first compressed into bins, dense early and geometric later, which keep the fit to within
rounding of what the uncompressed curve gives: the model is averaged over each bin, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.bins import Bins, compress
from earlycall.curves import Prefixes, Ragged
from earlycall.errors import InputError
from earlycall.projection import Optimum, project

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

SHORTEST = 3


class Status(StrEnum):
    """What a fit turned out to be; the limits are named rather than hidden."""

    OK = "ok"
    FLAT = "flat"  # a → 0: nothing falls, f is the mean
    LINEAR = "linear"  # c → ∞: no bend within the data
    POLE = "c=0"  # b1 = 0: as steep at the start as the model can be
    SHIFTED = "shifted"  # a negative mean loss: fitted on losses lifted above 0
    SHORT = "short"  # fewer than 3 observations: no fit
    DIVERGED = "diverged"  # not all finite: no fit


@dataclass(frozen=True)
class Fits:
    """The approximations of m curves.

    The parameters describe ``loss / scale``: on the loss itself the approximation is
    ``scale · (1/(b1 + b2·x) + b3) + shift``.

    Attributes:
        b1, b2, b3: shape (m,), ≥ 0; NaN where there is no fit.
        sse: shape (m,), the sum of squared errors on the loss divided by its maximum.
        status: shape (m,), strings, see `Status`.
        n: shape (m,), the number of observations.
        scale: shape (m,), the largest loss (less ``shift``), in the units of the loss.
        shift: shape (m,), 0; where the mean loss is negative, since the published normalisation has
            no meaning there (status ``shifted``): a whole range below the smallest loss, so that
            b3 ≥ 0 leaves the curve room to fall.
    """

    b1: Floats
    b2: Floats
    b3: Floats
    sse: Floats
    status: NDArray[np.str_]
    n: NDArray[np.int64]
    scale: Floats
    shift: Floats

    def __len__(self) -> int:
        return len(self.b1)

    def __getitem__(self, i: int) -> Fit:
        b1, b2, b3, sse = (float(a[i]) for a in (self.b1, self.b2, self.b3, self.sse))
        scale, shift = float(self.scale[i]), float(self.shift[i])
        return Fit(b1, b2, b3, sse, str(self.status[i]), int(self.n[i]), scale, shift)

    def at(self, x: ArrayLike) -> Floats:
        """f(x) in the units of the loss; x of shape (m,) or (m, k) or a number for all."""
        b1, b2, x = self._aligned(x)
        with np.errstate(divide="ignore"):
            return _like(self.scale, x) * (1 / (b1 + b2 * x) + _like(self.b3, x)) + _like(
                self.shift, x
            )

    def slope(self, x: ArrayLike) -> Floats:
        """f'(x) = −b2/(b1 + b2·x)² · scale, in loss per unit of x; shapes as in `at`."""
        b1, b2, x = self._aligned(x)
        return -_like(self.scale, x) * b2 / (b1 + b2 * x) ** 2

    def curvature(self, x: ArrayLike) -> Floats:
        """f''(x) = 2·b2²/(b1 + b2·x)³ · scale, in loss per unit of x squared; shapes as in `at`."""
        b1, b2, x = self._aligned(x)
        return 2 * _like(self.scale, x) * b2**2 / (b1 + b2 * x) ** 3

    def _aligned(self, x: ArrayLike) -> tuple[Floats, Floats, Floats]:
        x = np.asarray(x, dtype=np.float64)
        x = x if x.ndim else np.full(len(self), float(x))
        return _like(self.b1, x), _like(self.b2, x), x


@dataclass(frozen=True)
class Fit:
    """The approximation of one curve; the attributes are those of `Fits`.

    Example:
        >>> f = fit(2 / (1 + 0.1 * np.arange(1, 101)) + 0.5)
        >>> round(float(f(1000)), 4), f.status
        (0.5198, 'ok')
    """

    b1: float
    b2: float
    b3: float
    sse: float
    status: str
    n: int
    scale: float
    shift: float

    def __call__(self, x: ArrayLike) -> Floats:
        """f(x) in the units of the loss; x of any shape."""
        with np.errstate(divide="ignore"):
            return self.scale * (1 / self._denominator(x) + self.b3) + self.shift

    def slope(self, x: ArrayLike) -> Floats:
        """f'(x) in loss per unit of x; x of any shape."""
        return -self.scale * self.b2 / self._denominator(x) ** 2

    def curvature(self, x: ArrayLike) -> Floats:
        """f''(x) in loss per unit of x squared; x of any shape."""
        return 2 * self.scale * self.b2**2 / self._denominator(x) ** 3

    def elasticity(self, x: ArrayLike) -> Floats:
        """−f'(x)·x/f(x): percent of loss removed per percent more of x; x of any shape."""
        return -self.slope(x) * np.asarray(x, dtype=np.float64) / self(x)

    def _denominator(self, x: ArrayLike) -> Floats:
        return np.asarray(self.b1 + self.b2 * np.asarray(x, dtype=np.float64))


def fit(losses: ArrayLike, x: ArrayLike | None = None) -> Fit:
    """Fit one curve.

    Args:
        losses: shape (n,).
        x: shape (n,), increasing or repeated and ≥ 0; by default 1…n, as published.

    Raises:
        InputError: if x does not fit the losses.
    """
    return fit_many([np.asarray(losses)], None if x is None else [np.asarray(x)])[0]


def fit_many(curves: Any, x: Any = None) -> Fits:
    """Fit many curves at once, each at the global least-squares optimum.

    Args:
        curves: a 2-D array (m, n), a list of m arrays of any lengths, a `Ragged`, or `Prefixes`
            (which bring their own axis).
        x: None for 1…n; an array (n,) for all curves of that length; or a list of m arrays.

    Raises:
        InputError: if x does not fit the losses.

    Example:
        >>> x = np.arange(1, 51)
        >>> fits = fit_many(np.stack([3 / (1 + x) + 1, 2 / (1 + 0.1 * x)]))
        >>> (fits.b3 * fits.scale).round(6).tolist()
        [1.0, 0.0]
    """
    loss, axis = _as_ragged(curves, x)
    return _fit_ragged(loss, axis)


def _as_ragged(curves: Any, x: Any) -> tuple[Ragged, Ragged | None]:
    """The losses and the axis, None for 1…n, as ragged arrays."""
    if isinstance(curves, Prefixes):
        return curves.loss, None if curves.axis == "observation" else curves.x
    loss = curves if isinstance(curves, Ragged) else _rows(curves)
    if x is None:
        return loss, None
    if not isinstance(x, Ragged):
        shared = isinstance(x, np.ndarray) and x.ndim == 1
        x = Ragged.of([x] * len(loss) if shared else list(x))
    if not np.array_equal(x.lengths, loss.lengths):
        raise InputError(f"x must have a value per loss: {x.lengths} for {loss.lengths}")
    if not np.all(np.isfinite(x.values)) or np.any(x.values < 0):
        raise InputError("x must be finite and at least 0")
    falls = (np.diff(x.values) < 0) & (np.diff(x.row) == 0)
    if falls.any():
        raise InputError(f"x must not fall along a curve; it does in curve {x.row[falls.argmax()]}")
    return loss, x


def _rows(curves: Any) -> Ragged:
    if isinstance(curves, np.ndarray) and curves.ndim == 2:
        m, n = curves.shape
        flat = curves.reshape(-1)
        return Ragged(flat, np.arange(m + 1, dtype=np.int64) * n)
    if isinstance(curves, np.ndarray):
        raise InputError(f"curves must be (m, n) or a list of curves, got shape {curves.shape}")
    return Ragged.of(list(curves))


def _fit_ragged(loss: Ragged, x: Ragged | None) -> Fits:
    m = len(loss)
    top, bottom = loss.reduce(np.maximum), loss.reduce(np.minimum)
    finite = np.isfinite(top) & np.isfinite(bottom)
    status = np.where(finite, "ok", "diverged").astype("U8")
    status[loss.lengths < SHORTEST] = "short"
    able = np.flatnonzero(status == "ok")
    mean = loss.reduce(np.add) / np.maximum(loss.lengths, 1)
    shift = np.where(mean < 0, bottom - (top - bottom), 0.0)
    scale = np.where(top - shift > 0, top - shift, 1.0)
    b1, b2, b3, sse = (np.full(m, np.nan) for _ in range(4))
    for part, bins in compress(_take(loss, able), None if x is None else _take(x, able)):
        rows = able[part]
        weight = bins.weight
        total = (bins.total - weight * shift[rows, None]) / scale[rows, None]
        best = project(Bins(weight, bins.x, bins.spread, total))
        if bins.weight.max() > 1:
            best = _polish(best, _take(loss, rows), None if x is None else _take(x, rows),
                           shift[rows], scale[rows])  # fmt: skip
        b1[rows], b2[rows], b3[rows], status[rows] = _parameters(best, bins, total)
    status[(shift < 0) & (status == "ok")] = "shifted"
    scale = np.where(finite, scale, np.nan)
    shift = np.where(finite, shift, np.nan)
    for i in able.tolist():
        grid = np.arange(1, loss.lengths[i] + 1) if x is None else x[i]
        y = (loss[i] - shift[i]) / scale[i]
        with np.errstate(divide="ignore"):
            sse[i] = np.sum((y - 1 / (b1[i] + b2[i] * grid) - b3[i]) ** 2)
    return Fits(b1, b2, b3, sse, status, loss.lengths, scale, shift)


def _polish(best: Optimum, loss: Ragged, x: Ragged | None, shift: Floats, scale: Floats) -> Optimum:
    """The optimum on the uncompressed curves of equal length, from that on their bins."""
    parts = []
    n = int(loss.lengths[0])
    at_once = max(1, 200_000 // n)
    for start in range(0, len(loss), at_once):
        rows = slice(start, min(start + at_once, len(loss)))
        block = np.stack([loss[i] for i in range(rows.start, rows.stop)])
        y = (block - shift[rows, None]) / scale[rows, None]
        axis = np.arange(1.0, n + 1)[None] if x is None else x[start][None]
        whole = Bins(np.ones_like(axis), axis, np.zeros_like(axis), y)
        parts.append(project(whole, near=best.c[rows]))
    return Optimum(*(np.concatenate([getattr(p, k) for p in parts]) for k in ("c", "s", "A", "b")))


def _parameters(best: Optimum, bins: Bins, total: Floats) -> tuple[Floats, ...]:
    """b1, b2, b3 and the status, from A, c and b."""
    a = best.A * best.s
    mean = total.sum(axis=1) / bins.weight.sum(axis=1)
    flat = a <= 0
    with np.errstate(divide="ignore"):
        b1 = np.where(flat, 1 / mean, best.c / np.where(flat, 1, a))
        b2 = np.where(flat, 0.0, 1 / np.where(flat, 1, a))
    b3 = np.where(flat, 0.0, best.b)
    linear = best.c > 100 * bins.x.max(axis=1)
    status = np.select([flat, linear, best.c == 0], ["flat", "linear", "c=0"], "ok")
    return b1, b2, b3, status


def _take(rows: Ragged, keep: NDArray[np.int64]) -> Ragged:
    if len(keep) == len(rows):
        return rows
    return Ragged.of([rows[i] for i in keep])


def _like(parameter: Floats, x: Floats) -> Floats:
    """A parameter of shape (m,) made to broadcast against x of shape (m,) or (m, k)."""
    return parameter[:, None] if x.ndim == 2 else parameter
