"""The loss-curve approximation f(x) = 1/(b1 + b2·x) + b3, fitted at its global optimum.

Zhao, Frey, Gadepally, Samsi, *Loss Curve Approximations for Fast Neural Architecture Ranking &
Training Elasticity Estimation*, IPDPSW 2022: least squares on ``y = loss / max(loss)`` with
b1, b2, b3 ≥ 0.

With a = 1/b2 and c = b1/b2 the model is f = a/(x + c) + b3, linear in (a, b3) for fixed c. So the
fit is a search over c alone (variable projection: Golub and Pereyra 1973), whose optimum can be
found every time: a scan over a grid of c finds the valley, a polynomial between the nodes or
Newton's method its bottom. Long curves are first compressed into bins, dense early and geometric
later, which keep the fit to within rounding of what the uncompressed curve gives: the model is
averaged over each bin, too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.approximation.bins import Bins, bin_block, bin_ragged, group_by_length, index_layout
from earlycall.approximation.gradient import BURN_IN, lcga
from earlycall.approximation.gradient import GAMMA as LCGA_GAMMA
from earlycall.approximation.parameters import Parameters, Status
from earlycall.approximation.projection import Optimum, solve
from earlycall.approximation.training_speed import GAMMA as TSE_GAMMA
from earlycall.approximation.training_speed import epoch_means, tse, tse_e, tse_ema
from earlycall.curves import Axis, CurveSet, Direction, Prefixes, Ragged
from earlycall.errors import InputError
from earlycall.results import Result, draw

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from plotly.graph_objects import Figure

    Floats = NDArray[np.float64]

MIN_OBSERVATIONS = 3
ROUNDING = 1e-13
LEVEL_RANGE = 1e-11  # of its size: a curve of no larger range is level, up to rounding
EXTREME_SIZE = 1e100  # above it and below its inverse, losses are fitted in a unit of their own
MIN_MATRIX_ROWS = 8  # curves of one length, or lengths, that are worth fitting as a matrix
CACHE_VALUES = 131_072  # observations read at once, so that they stay in the cache
MAX_BATCH = 2048  # curves fitted at once
VALUES_AT_ONCE = 1 << 20  # at least, that a thread reads in one go
MAX_PARTS = 4  # of a batch, for as many threads: memory is the limit before


@dataclass(frozen=True)
class Fits(Parameters, Result):
    """The approximations of m curves.

    Attributes:
        b1, b2, b3, status, scale, shift: as in `Parameters`.
        n: shape (m,), the number of observations.
        loss, x: what was fitted; x is None for 1…n.
        epoch: the epoch of each observation, counted from 0; None where each counts as one.
        runs: the ``group`` and ``run`` of each curve; None where they have no names.
        burn_in, gamma: as in `fit_many`.
    """

    n: NDArray[np.int64]
    loss: Ragged = field(repr=False)
    x: Ragged | None = field(repr=False)
    epoch: Ragged | None = field(default=None, repr=False)
    runs: pl.DataFrame | None = field(default=None, repr=False)
    burn_in: int = BURN_IN
    gamma: float | None = None

    _figure = "fit"

    def __getitem__(self, i: int) -> Fit:
        b1, b2, b3 = (float(a[i]) for a in (self.b1, self.b2, self.b3))
        scale, shift = float(self.scale[i]), float(self.shift[i])
        sse = self._squared_error(range(len(self))[i])
        loss, x = self.loss[i], None if self.x is None else self.x[i]
        return Fit(b1, b2, b3, sse, str(self.status[i]), int(self.n[i]), scale, shift, loss, x)

    @cached_property
    def sse(self) -> Floats:
        """Sums of squared errors on the loss divided by its maximum, shape (m,).

        Computed from the losses when it is first asked for, which takes longer than the fits.
        """
        return np.array([self._squared_error(i) for i in range(len(self))])

    @cached_property
    def table(self) -> pl.DataFrame:
        """A row per curve: ``group``, ``run``, ``n``, ``b1``, ``b2``, ``b3``, ``sse``, ``status``.

        Then the published values (see `gradient.lcga` and `training_speed`): ``lcga_d1``,
        ``lcga_norm``, ``lcga_d1_ema``, ``lcga_norm_ema``, ``tse``, ``tse_e``, ``tse_ema``.
        """
        index = Ragged(self.loss.position.astype(np.float64), self.loss.offsets)
        x = Ragged(index.values + 1, index.offsets) if self.x is None else self.x
        epoch = index if self.epoch is None else self.epoch
        lcga_gamma = LCGA_GAMMA if self.gamma is None else self.gamma
        slopes = lcga(self, x, epoch, burn_in=self.burn_in, gamma=lcga_gamma)
        means = epoch_means(self.loss, epoch)
        names = {"group": ["all"] * len(self), "run": [str(i) for i in range(len(self))]}
        columns: dict[str, Any] = {
            **(names if self.runs is None else self.runs.to_dict(as_series=False)),
            "n": self.n, "b1": self.b1, "b2": self.b2, "b3": self.b3, "sse": self.sse,
            "status": self.status.tolist(),
            "lcga_d1": slopes.d1, "lcga_norm": slopes.norm,
            "lcga_d1_ema": slopes.d1_ema.value, "lcga_norm_ema": slopes.norm_ema.value,
            "tse": tse(means).value, "tse_e": tse_e(means).value,
            "tse_ema": tse_ema(means, TSE_GAMMA if self.gamma is None else self.gamma).value,
        }  # fmt: skip
        return pl.DataFrame(columns, nan_to_null=True)

    def summary(self) -> str:
        """How many curves were fitted, and what became of the others."""
        names, counts = np.unique(self.status, return_counts=True)
        counted = ", ".join(f"{n} {name}" for name, n in zip(names, counts, strict=True))
        return f"{len(self)} curve{'' if len(self) == 1 else 's'} fitted: {counted}."

    def to_dict(self) -> dict[str, Any]:
        """``runs``: the rows of the table."""
        return {"runs": self.table.to_dicts()}

    def _squared_error(self, i: int) -> float:
        if np.isnan(self.b3[i]):
            return float("nan")
        total, loss = 0.0, self.loss[i]
        for start in range(0, len(loss), CACHE_VALUES):
            part = loss[start : start + CACHE_VALUES]
            x = (
                np.arange(start + 1.0, start + len(part) + 1)
                if self.x is None
                else self.x[i][start : start + CACHE_VALUES]
            )
            with np.errstate(divide="ignore"):
                f = 1 / (self.b1[i] + self.b2[i] * x) + self.b3[i]
            error = (part - self.shift[i]) / self.scale[i] - f
            total += float(error @ error)
        return total


@dataclass(frozen=True)
class Fit:
    """The approximation of one curve; the attributes are those of `Fits`.

    ``loss`` and ``x`` are what was fitted, where it was kept (a `StreamingFit` keeps none).

    Examples:
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
    loss: Floats | None = field(default=None, repr=False, compare=False)
    x: Floats | None = field(default=None, repr=False, compare=False)

    def __call__(self, x: ArrayLike) -> Floats:
        """f(x) in the units of the loss; x of any shape."""
        with np.errstate(divide="ignore"):
            return self.scale * (1 / self._denominator(x) + self.b3) + self.shift

    predict = __call__

    def slope(self, x: ArrayLike) -> Floats:
        """f'(x) in loss per unit of x; x of any shape."""
        return -self.scale * self.b2 / self._denominator(x) ** 2

    def curvature(self, x: ArrayLike) -> Floats:
        """f''(x) in loss per unit of x squared; x of any shape."""
        return 2 * self.scale * self.b2**2 / self._denominator(x) ** 3

    def elasticity(self, x: ArrayLike) -> Floats:
        """−f'(x)·x/f(x): percent of loss removed per percent more of x; x of any shape."""
        return -self.slope(x) * np.asarray(x, dtype=np.float64) / self(x)

    def plot(self, **options: Any) -> Figure:
        """A figure of the losses, the fit and its forecast; options of `earlycall.plots.fit`.

        Raises:
            InputError: if plotly is not installed, or the losses were not kept.
        """
        return draw("fit", self, **options)

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


def fit_many(
    curves: Any,
    x: Any = None,
    *,
    epochs: int | None = None,
    burn_in: int = BURN_IN,
    gamma: float | None = None,
    metric: str | None = None,
    direction: Direction | None = None,
    group: str | None = None,
    axis: Axis = "observation",
) -> Fits:
    """Fit many curves at once, each at the global least-squares optimum.

    Long curves (a million losses or more of one length) are read by a thread for each core that
    the process may use, at most four; the rest is done in the thread that asks, and the fits do
    not depend on how many cores there are.

    Args:
        curves: a 2-D array (m, n), a list of m arrays of any lengths, a `Ragged`, `Prefixes` (which
            bring their own axis), or a `CurveSet`.
        x: for arrays: None for 1…n; an array (n,) for all curves of that length; or a list of m
            arrays.
        epochs: of a curve set: T, fit the first epochs only; by default all that was logged.
        burn_in: B, the epochs that LCGA ignores, in the table.
        gamma: γ of both moving averages in the table; by default 0.999 (LCGA) and 0.9 (TSE).
        metric: of a curve set, by default its training loss.
        direction: whether less ("min") or more ("max") of the metric is better; by default its name
            tells.
        group: of a curve set, the only group to fit.
        axis: of a curve set, the axis along which it is fitted.

    Raises:
        InputError: if x does not fit the losses, or the curve set has no such metric, group or
            axis.

    Examples:
        >>> x = np.arange(1, 51)
        >>> fits = fit_many(np.stack([3 / (1 + x) + 1, 2 / (1 + 0.1 * x)]))
        >>> (fits.b3 * fits.scale).round(6).tolist()
        [1.0, 0.0]
        >>> fits.table.select("run", "status", pl.col("lcga_d1").round(4)).rows()
        [('0', 'ok', -0.0165), ('1', 'ok', -0.0264)]
    """
    if isinstance(curves, CurveSet):
        if x is not None:
            raise InputError("x is for arrays; of a curve set, name the axis: axis='seconds'")
        chosen = curves if group is None else curves.select(group=group)
        metric = chosen.metric(metric)
        chosen = chosen.directed(metric, direction).prefix(epochs=epochs, metric=metric)
        prefixes = chosen.prefixes(metric=metric, axis=axis)
        loss, along = Ragged.join([p.loss for p in prefixes]), None
        if axis != "observation":
            along = Ragged.join([p.x for p in prefixes])
        epoch = Ragged.join([p.epoch for p in prefixes])
        fits = replace(
            _fit_ragged(loss, along), runs=chosen.runs.select("group", "run"), epoch=epoch
        )
    elif (epochs, metric, direction, group, axis) != (None, None, None, None, "observation"):
        raise InputError("epochs, metric, direction, group and axis are for curve sets")
    elif isinstance(curves, Prefixes):
        along = None if curves.axis == "observation" else curves.x
        fits = _fit_ragged(curves.loss, along)
    else:
        fits = _fit_ragged(*_as_ragged(curves, x))
    return replace(fits, burn_in=burn_in, gamma=gamma)


def _as_ragged(curves: Any, x: Any) -> tuple[Ragged, Ragged | None]:
    """The losses and the axis, None for 1…n, as ragged arrays."""
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
    out: dict[str, Any] = {k: np.full(m, np.nan) for k in ("b1", "b2", "b3", "scale", "shift")}
    status = np.full(m, Status.SHORT, dtype="U8")
    for rows in fitted_together(loss, x):
        part = _fit_part(loss, x, rows)
        for name, values in out.items():
            values[rows] = getattr(part, name)
        status[rows] = part.status
    size = np.maximum(np.abs(out["scale"]), np.abs(out["shift"]))
    usual = (size > 1 / EXTREME_SIZE) & (size < EXTREME_SIZE)
    for i in np.flatnonzero(~usual & (status != Status.SHORT)).tolist():
        if not np.isfinite(loss[i]).all():
            continue
        unit = exponent(float(np.abs(loss[i]).max()))
        own = Ragged.of([np.ldexp(loss[i], -unit)])
        part = _fit_part(own, x and Ragged.of([x[i]]), np.array([0])).times_power_of_two(unit)
        for name, values in out.items():
            values[i] = getattr(part, name)[0]
        status[i] = part.status[0]
    return Fits(**out, status=status, n=loss.lengths, loss=loss, x=x)


def exponent(size: float) -> int:
    """Of the power of two in which losses up to this size are fitted; 0 but for extreme sizes.

    Examples:
        >>> exponent(3.0), exponent(0.0), exponent(1e300), exponent(5e-324)
        (0, 0, 997, -1073)
    """
    usual = 1 / EXTREME_SIZE < size < EXTREME_SIZE
    return 0 if usual or not math.isfinite(size) else math.frexp(size)[1]


def fitted_together(loss: Ragged, x: Ragged | None) -> Iterator[NDArray[np.int64]]:
    """Rows to fit together: of one length where enough share it, as many as fit the cache."""
    alone, lengths = [], list(group_by_length(loss.lengths))
    for rows in lengths:
        n = int(loss.lengths[rows[0]])
        if n < MIN_OBSERVATIONS:
            continue
        if x is None and (len(rows) >= MIN_MATRIX_ROWS or len(lengths) <= MIN_MATRIX_ROWS):
            yield from np.split(rows, range(MAX_BATCH, len(rows), MAX_BATCH))
        else:
            alone.append(rows)
    if alone:
        rest = np.concatenate(alone)
        yield from np.split(rest, range(MAX_BATCH, len(rest), MAX_BATCH))


def _fit_part(loss: Ragged, x: Ragged | None, rows: NDArray[np.int64]) -> Parameters:
    bins, top = compressed(loss, x, rows)
    return fit_bins(bins, top, lambda i: float(loss[int(rows[i])].min()))


def compressed(loss: Ragged, x: Ragged | None, rows: NDArray[np.int64]) -> tuple[Bins, Floats]:
    """The bins of some curves and the largest loss of each, shape (k,)."""
    n = int(loss.lengths[rows[0]])
    with np.errstate(invalid="ignore", over="ignore"):
        if x is None and (loss.lengths[rows] == n).all():
            top, data = _read(loss, rows, n)
            return Bins(index_layout(n), data), top
        kept = _take(loss, rows)
        bins = bin_ragged(kept, None if x is None else _take(x, rows))
        return bins, kept.reduce(np.maximum)


def fit_bins(bins: Bins, top: Floats, lowest: Callable[[int], float]) -> Parameters:
    """Fit k curves that were compressed into bins (which are normalised in place).

    Args:
        bins: the curves.
        top: shape (k,), the largest loss of each.
        lowest: from the number of a curve to its smallest loss, asked for where it is needed.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        total = bins.total()
    finite = (np.abs(total) < EXTREME_SIZE**2) & (np.abs(top) < EXTREME_SIZE**2)
    total, top = (np.where(finite, values, 0.0) for values in (total, top))
    mean, slack = total / bins.layout.count.sum(axis=0), LEVEL_RANGE * np.abs(top)
    shift, low = np.zeros(len(top)), np.full(len(top), -np.inf)
    # The mean of a level curve is at its top: of few others is the smallest loss asked for.
    for i in np.flatnonzero(finite & ((total < 0) | (top - mean <= slack))):
        low[i] = lowest(int(i))
    level = finite & (top - low <= slack)
    below = total < 0
    shift[below] = np.where(level, low, 2 * low - top)[below]
    scale = np.where(level, np.abs(top), top - shift)
    scale = np.where(scale > 0, scale, 1.0)
    if not finite.all():
        bins = Bins(bins.layout, np.where(finite, bins.data, 0.0))
    bins.normalise(shift, scale)
    part = _parameters(solve(bins), bins, shift, scale)
    if level.any():
        part = _level(part, level, np.clip(mean, low, top))
    if finite.all():
        return part
    gone = {k: np.where(finite, getattr(part, k), np.nan) for k in
            ("b1", "b2", "b3", "scale", "shift")}  # fmt: skip
    return Parameters(**gone, status=np.where(finite, part.status, Status.DIVERGED))


def _level(part: Parameters, level: NDArray[np.bool_], mean: Floats) -> Parameters:
    """The parameters with those of level curves exact: f is the mean."""
    with np.errstate(divide="ignore", invalid="ignore"):
        b1 = np.where(level, part.scale / (mean - part.shift), part.b1)
    b2, b3 = (np.where(level, 0.0, b) for b in (part.b2, part.b3))
    status = np.where(level, Status.FLAT, part.status)
    return Parameters(b1, b2, b3, part.scale, part.shift, status)


def _read(loss: Ragged, rows: NDArray[np.int64], n: int) -> tuple[Floats, Floats]:
    """The largest loss and the bins of curves of one length; where they are long, on all cores."""
    at_once = max(1, VALUES_AT_ONCE // n, -(-len(rows) // MAX_PARTS))
    top = np.empty(len(rows))
    data = np.empty((len(index_layout(n).weight), len(rows)))

    def read(start: int) -> None:
        part = slice(start, start + at_once)
        top[part] = bin_block(_block(loss, rows[part], n), data[:, part])

    starts = range(0, len(rows), at_once)
    if len(starts) > 1:
        list(_threads().map(read, starts))
    else:
        read(0)
    return top, data


def _block(loss: Ragged, rows: NDArray[np.int64], n: int) -> Floats:
    """Curves of one length as an array (k, n), without a copy where they lie side by side."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first == len(rows) - 1:
        block = loss.values[loss.offsets[first] : loss.offsets[last + 1]].reshape(-1, n)
    else:
        block = loss.values[loss.offsets[rows][:, None] + np.arange(n)]
    return block.astype(np.float64, copy=False)


def _parameters(best: Optimum, bins: Bins, shift: Floats, scale: Floats) -> Parameters:
    """b1, b2, b3 and the status, from A, c and b."""
    a = best.A * best.s
    mean = bins.total() / bins.layout.count.sum(axis=0)
    flat = ROUNDING * best.b >= best.A
    flat |= a <= 0
    with np.errstate(divide="ignore"):
        b1 = np.where(flat, 1 / mean, best.c / np.where(flat, 1, a))
        b2 = np.where(flat, 0.0, 1 / np.where(flat, 1, a))
    linear = best.c > 100 * bins.layout.x.max(axis=0)
    named = [flat, linear, best.c == 0, shift != 0]
    status = np.select(named, [Status.FLAT, Status.LINEAR, Status.POLE, Status.SHIFTED], Status.OK)
    return Parameters(b1, b2, np.where(flat, 0.0, best.b), scale, shift, status)


@cache
def _threads() -> ThreadPoolExecutor:
    """One for each core that this process may use."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 1
    return ThreadPoolExecutor(cores, thread_name_prefix="earlycall-read")


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_threads.cache_clear)


def _take(rows: Ragged, keep: NDArray[np.int64]) -> Ragged:
    if np.array_equal(keep, np.arange(len(rows))):
        return rows
    return Ragged.of([rows[i] for i in keep])
