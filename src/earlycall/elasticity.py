"""Training elasticity: how many percent more cost still buy how many percent less loss.

After Zhao, Frey, Gadepally, Samsi, *Loss Curve Approximations for Fast Neural Architecture Ranking
& Training Elasticity Estimation*, IPDPSW 2022. With L(c) the loss at cost c, G(c) = L(start) − L(c)
the gain, and c0 the cost of the first observation:

- loss elasticity ε_L = −(dL/dc)·c/L: percent of loss removed per percent more cost;
- gain elasticity ε_G = (dG/dc)·(c − c0)/G: percent more gain per percent more cost since the first
  observation. It does not change when the loss is shifted or scaled, or the unit of cost changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from earlycall.approximation.fit import Fit, fit_many
from earlycall.curves import CurveSet, Direction
from earlycall.curves.columns import is_validation
from earlycall.curves.prefixes import costs_of
from earlycall.errors import InputError
from earlycall.formatting import capitalised, common_ending, plain
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.results import Result, draw
from earlycall.stopping.gain import THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from plotly.graph_objects import Figure

    Floats = NDArray[np.float64]
    Measures = dict[str, Any]

STOP, GO, UNSURE = "stop", "keep going", "unsure"  # how an advice begins
MAX_POINTS = 200  # longer curves are averaged, against the noise of single steps
MIN_OBSERVATIONS = 5  # for a slope with an interval
LATE_FRACTION = 5  # the local estimate looks at the last fifth of the points,
MIN_LATE_POINTS = 8  # but at 8 at least, or at half of a shorter curve
Z_95 = 1.96  # normal deviate of a 95 % interval
AGREEMENT_SLACK = 0.1  # of elasticity, by which fit and local estimate may differ
MAX_LOST = 0.1  # of the gain, beyond which a loss that has risen again is overfitting
MIN_GAIN = 5.0  # deviations of the noise; less is no gain
ROUNDING = 1e-12  # of the largest loss
UNIT_SLACK = 1e-6  # by which rounding may move the elasticity of a straight line from 1
AFTER_DROP = ", by what followed a sudden drop"
CAME_BACK = "the loss has risen, but fell to new lows after such rises before"
FIT_DISAGREES = ", though the fitted curve disagrees"
MIN_DROP = 0.05  # of the gain, that a sudden fall after a plateau must make
_KEYS = ("group", "run", "cost", "loss_elasticity", "gain_elasticity", "low", "high", "regime",
         "advice", "shape", "at", "loss", "gain", "fit_loss_elasticity", "fit_gain_elasticity",
         "agree", "arc_loss_elasticity", "arc_gain_elasticity", "marginal_gain",
         "next_percent", "threshold_cost", "metric")  # fmt: skip


@dataclass(frozen=True)
class Elasticity:
    """The training elasticity of one curve at its end; `elasticity` takes many runs.

    Attributes:
        loss: shape (n,), as recorded.
        cost: shape (n,), not falling.
        unit: what the cost is called.
        threshold: the gain elasticity below which the advice is to stop.
        measures: as in `Elasticities.table`; only ``shape`` and ``advice`` of a curve that
            is too short or diverged.

    Examples:
        >>> found = Elasticity.of(1 + 4 / np.arange(1, 101))
        >>> round(found.measures["gain_elasticity"], 2), found.measures["regime"]
        (0.01, 'inelastic')
        >>> print(found)
        stop: 1 % more cost brings 0.011 % more gain (0.011 to 0.012)
    """

    loss: Floats = field(repr=False)
    cost: Floats = field(repr=False)
    unit: str
    threshold: float
    measures: Measures

    @classmethod
    def of(
        cls,
        loss: ArrayLike,
        cost: ArrayLike | None = None,
        *,
        unit: str = "step",
        threshold: float = THRESHOLD,
    ) -> Elasticity:
        """Measure one curve.

        Args:
            loss: shape (n,).
            cost: shape (n,), not falling; by default 1…n.
            unit: what the cost is called.
            threshold: a gain elasticity.

        Raises:
            InputError: if the two differ in length, or the cost falls or is not finite.
        """
        y = np.asarray(loss, dtype=np.float64)
        x = np.arange(1.0, y.size + 1) if cost is None else np.asarray(cost, dtype=np.float64)
        if y.ndim != 1 or x.shape != y.shape:
            raise InputError(f"a loss and a cost for each moment, got {y.shape} and {x.shape}")
        if not np.isfinite(x).all() or np.any(np.diff(x) < 0):
            raise InputError("a cost is finite and the sum since the start of the run; it falls")
        return cls(y, x, unit, threshold, measure(y, x, threshold=threshold, unit=unit))

    def plot(self, **options: Any) -> Figure:
        """A figure of the loss and the elasticity; options of `earlycall.plots.elasticity_along`.

        Raises:
            InputError: if plotly is not installed.
        """
        about: dict[str, Any] = {"unit": self.unit, "threshold": self.threshold}
        return draw("elasticity_along", self.cost, self.loss, **(about | options))

    def __str__(self) -> str:
        return str(self.measures["advice"])


@dataclass(frozen=True)
class Elasticities(Result):
    """The training elasticity of runs at the end of their curves.

    Attributes:
        table: a row per run: ``group``, ``run``, ``cost``, ``loss_elasticity``, ``gain_elasticity``
            with its interval ``low``, ``high``; ``regime`` (elastic: above 1; unit: not to be told
            from 1; inelastic: below 1; rising: the loss rises; None: no gain to measure);
            ``advice``, which begins with *stop* (the interval lies below the threshold, or the loss
            rises), *keep going* (it lies above) or *unsure*, with the reason; ``shape`` (falling,
            drop, plateau, flat, overfitting, rising, cyclic, non-monotone, short, diverged);
            ``at``, the last cost; ``loss`` and ``gain`` there; the fit's elasticities there, and
            whether they ``agree``; ``arc_…``, the midpoint forms between the middle and the end of
            the curve; ``marginal_gain`` per unit of cost; ``next_percent``, the cost of the next
            1 % of gain; ``threshold_cost``, at which the fit's gain elasticity falls below the
            threshold.
        curves: what was measured.
        metric: the loss that is watched.
        cost: what it is measured along.
        threshold: the gain elasticity below which the advice is to stop.
    """

    table: pl.DataFrame
    curves: CurveSet = field(repr=False)
    metric: str
    cost: str
    threshold: float

    _figure = "elasticity"

    def summary(self) -> str:
        """How many runs should stop, and which gains most from going on."""
        if self.table.height == 1:
            return f"{capitalised(self.table['advice'][0])}."
        words = self.table["advice"].str.split(": ").list.first()
        counts = {word: int((words == word).sum()) for word in (STOP, GO, UNSURE)}
        said = f"Of {self.table.height} runs, stop {counts[STOP]} and keep {counts[GO]} going"
        said += f"; of {counts[UNSURE]} it is unsure." if counts[UNSURE] else "."
        going = self.table.filter(words == GO).drop_nulls("gain_elasticity")
        if not going.height:
            return said
        first = going.sort("gain_elasticity", descending=True).row(0, named=True)
        name = first["run"].removesuffix(common_ending(self.table["run"].to_list()))
        return (
            f"{said} {plain(name)} gains most from going on: 1 % more cost brings "
            f"{first['gain_elasticity']:.2g} % more gain."
        )

    def to_dict(self) -> dict[str, Any]:
        """``runs``: the rows of the table."""
        return {"runs": self.table.to_dicts()}


def elasticity(
    curves: Any,
    *,
    cost: str = "step",
    metric: str | None = None,
    direction: Direction | None = None,
    threshold: float = THRESHOLD,
    group: str | None = None,
) -> Elasticities:
    """The training elasticity of each run at the end of its curve.

    The local estimate is the median of the slopes between all pairs of points (Theil–Sen) in the
    last fifth of the curve, taken at the middle of it, with Sen's 95 % interval; a learning-rate
    drop bounds that part. Beside it stands the estimate of the fitted approximation at the last
    cost, and whether the two agree.

    Args:
        curves: whatever `earlycall.rank` takes.
        cost: step, epoch, seconds, joules or usd.
        metric: the loss that is watched; by default the validation loss where the set has one,
            else the training loss.
        direction: whether less ("min") or more ("max") of the metric is better; by default its name
            tells.
        threshold: the gain elasticity below which the advice is to stop.
        group: measure only the runs of this group.

    Raises:
        InputError: if the metric or the cost is not there, or the direction is not known.

    Examples:
        >>> found = elasticity({"a": 1 + 4 / np.arange(1, 101)})
        >>> row = found.table.row(0, named=True)
        >>> row["regime"], round(row["gain_elasticity"], 2), row["agree"]
        ('inelastic', 0.01, True)
        >>> found.summary()
        'Stop: 1 % more cost brings 0.011 % more gain (0.011 to 0.012).'
    """
    if not 0 < threshold < np.inf:
        raise InputError(
            f"threshold {threshold:g} must be an elasticity above 0, such as {THRESHOLD:g}"
        )
    chosen = as_curve_set(curves)
    if group is not None:
        chosen = chosen.select(group=group)
    watched = chosen.watched(metric)
    chosen = chosen.directed(watched, direction)
    rows = []
    for prefixes in chosen.prefixes(metric=watched):
        pairs = list(zip(prefixes.loss, costs_of(prefixes, cost), strict=True))
        options: dict[str, Any] = {
            "threshold": threshold,
            "validation": is_validation(watched),
            "unit": cost,
        }
        for run, found in zip(prefixes.runs, _measured(pairs, **options), strict=True):
            if "loss" in found:
                found["loss"] *= prefixes.sign
            facts = {"group": prefixes.group, "run": run, "cost": cost, "metric": watched}
            rows.append(facts | found)
    named = ("group", "run", "cost", "regime", "advice", "shape", "metric")
    schema: dict[str, Any] = {k: pl.String if k in named else pl.Float64 for k in _KEYS}
    table = pl.DataFrame(rows, schema=schema | {"agree": pl.Boolean})
    return Elasticities(table, chosen, watched, cost, threshold)


@dataclass(frozen=True)
class _Late:
    """The robust line through the late part of a curve, taken at the middle of that part."""

    cost: float
    loss: float
    fall: float  # of the loss, per unit of cost
    low: float  # the interval of the fall
    high: float
    after: int  # points after the middle


def measure(
    loss: Floats,
    cost: Floats,
    *,
    threshold: float = THRESHOLD,
    validation: bool = False,
    unit: str = "cost",
) -> Measures:
    """The measures of one curve, as in `Elasticities.table`.

    Args:
        loss: shape (n,), as recorded.
        cost: shape (n,), not falling.
        threshold: a gain elasticity.
        validation: whether a rising loss is to be called overfitting.
        unit: what the advice calls the cost.

    Examples:
        >>> measure(np.array([3.0, 2.0, 1.5, 1.6, 1.8, 2.1, 2.4]), np.arange(7.0))["regime"]
        'rising'
    """
    return _measured([(loss, cost)], threshold=threshold, validation=validation, unit=unit)[0]


@np.errstate(over="ignore", invalid="ignore")  # losses near the largest number
def _measured(pairs: list[tuple[Floats, Floats]], *, unit: str, **options: Any) -> list[Measures]:
    """The measures of the losses and costs of some runs, all fitted at once."""
    out: list[Measures] = [_unmeasured(loss, cost, unit) for loss, cost in pairs]
    able = [i for i, found in enumerate(out) if not found]
    points = [_points(*pairs[i]) for i in able]
    bent = [k for k, (_, x) in enumerate(points) if x[0] >= 0]  # the fit takes no cost below 0
    fits = fit_many([points[k][0] for k in bent], [points[k][1] for k in bent])
    fitted: dict[int, Fit] = {k: fits[j] for j, k in enumerate(bent)}
    for k, i in enumerate(able):
        out[i] = _at_the_end(*points[k], fitted.get(k), unit=unit, **options)
        out[i]["at"] = float(pairs[i][1][-1])
    return out


def _unmeasured(loss: Floats, cost: Floats, unit: str) -> Measures:
    """What can be said of a curve that cannot be measured; nothing of one that can."""
    bad = np.flatnonzero(~np.isfinite(loss))
    if len(bad):
        said = f"{STOP}: the loss is not finite at {unit} {cost[bad[0]]:.6g}"
        return {"shape": "diverged", "advice": said}
    apart = len(np.unique(cost))
    if apart < MIN_OBSERVATIONS:
        seen = f"{apart} observation{'' if apart == 1 else 's'}"
        return {"shape": "short", "advice": f"{UNSURE}: {seen}, too few to tell"}
    return {}


def _at_the_end(
    y: Floats,
    x: Floats,
    fitted: Fit | None,
    *,
    threshold: float,
    validation: bool,
    unit: str,
) -> Measures:
    """The measures of the points of a curve."""
    drop = _drop(y)
    late = _late(y[drop:], x[drop:])
    start, origin = float(y[0]), float(x[0])
    gain = start - late.loss
    out: dict[str, Any] = {
        "loss": float(y[-1]), "gain": start - float(y[-1]),
        "loss_elasticity": late.fall * late.cost / late.loss if late.loss > 0 else None,
        "marginal_gain": late.fall,
    }  # fmt: skip
    if gain > 0:
        by = (late.cost - origin) / gain
        out |= {"gain_elasticity": late.fall * by, "low": late.low * by, "high": late.high * by}
    out |= _arc(y, x) | _from_fit(fitted, late, y, x, threshold)
    out["shape"] = _shape(y, late, drop, validation)
    out["regime"] = _regime(out, late)
    since = f"{unit} {x[int(np.argmin(y))]:.6g}"
    out["advice"] = _advice(out, threshold, since, len(y))
    return out


def _points(loss: Floats, cost: Floats) -> tuple[Floats, Floats]:
    """A curve as at most 200 means, without observations at the same cost."""
    last = np.append(np.diff(cost) > 0, True)
    loss, cost = loss[last], cost[last]
    cuts = np.linspace(0, len(loss), min(len(loss), MAX_POINTS) + 1).astype(np.int64)
    counts = np.diff(cuts)
    return np.add.reduceat(loss, cuts[:-1]) / counts, np.add.reduceat(cost, cuts[:-1]) / counts


def _late(y: Floats, x: Floats) -> _Late:
    """Theil–Sen through the last fifth of the points, with Sen's interval."""
    size = min(max(MIN_LATE_POINTS, len(y) // LATE_FRACTION), max(MIN_OBSERVATIONS, len(y) // 2))
    y, x = y[-size:], x[-size:]
    first, second = np.triu_indices(size, 1)
    falls = np.sort((y[first] - y[second]) / (x[second] - x[first]) + 0.0)
    width = Z_95 * np.sqrt(size * (size - 1) * (2 * size + 5) / 18)
    below = max(int((len(falls) - width) / 2), 0)
    fall, middle = float(np.median(falls)), float((x[0] + x[-1]) / 2)
    level = float(np.median(y + fall * (x - middle)))
    return _Late(middle, level, fall, float(falls[below]), float(falls[-1 - below]), size // 2)


def _drop(y: Floats) -> int:
    """Where the late part may start: after the last sudden fall from a plateau, else at 0.

    A plateau is w points, about as low as any before, whose median is not far below that of the
    2·w points before them; the fall is from there to the median of the next w.
    """
    w, m = max(3, len(y) // 20), len(y)
    i = np.arange(3 * w, m - max(MIN_OBSERVATIONS, w) + 1)
    if not len(i):
        return 0
    short = np.median(sliding_window_view(y, w), axis=1)
    before, plateau = np.median(sliding_window_view(y, 2 * w), axis=1)[i - 3 * w], short[i - w]
    fall = plateau - short[i]
    gain = y[0] - np.minimum.accumulate(y[::-1])[::-1][i]
    least = np.maximum(4 * np.median(np.abs(np.diff(y))), MIN_DROP * gain)
    level = plateau - np.minimum.accumulate(y)[i - 1] <= least
    found = np.flatnonzero(level & (least > 0) & (fall > np.maximum(least, 4 * (before - plateau))))
    return int(i[found[-1]]) if len(found) else 0


def _arc(y: Floats, x: Floats) -> dict[str, float | None]:
    """Midpoint elasticities between the middle and the end of the curve, each a median of 3."""
    half = len(y) // 2
    early, end = float(np.median(y[half - 1 : half + 2])), float(np.median(y[-3:]))
    from_cost, to_cost, origin = float(x[half]), float(x[-1]), float(x[0])
    gains = 2 * float(y[0]) - early - end
    since = (from_cost + to_cost - 2 * origin) / (to_cost - from_cost)
    spent = (from_cost + to_cost) / (to_cost - from_cost)
    return {
        "arc_loss_elasticity": (early - end) / (early + end) * spent if early + end > 0 else None,
        "arc_gain_elasticity": (early - end) / gains * since if gains > 0 else None,
    }


def _from_fit(
    fitted: Fit | None, late: _Late, y: Floats, x: Floats, threshold: float
) -> dict[str, Any]:
    """What the approximation says at the last cost, and whether the local estimate agrees.

    For f = a/(x + c) + b3 the gain elasticity is (c0 + c)/(x + c): 1 at the start, and below a
    threshold θ from x = (c0 + c)/θ − c on.
    """
    if fitted is None or fitted.b2 <= 0 or not np.isfinite(fitted.b3):
        falls = late.fall * (late.cost - x[0]) > AGREEMENT_SLACK * max(float(y[0]) - late.loss, 0)
        return {"agree": not falls, "next_percent": _next(None, late, y, x)}
    shift = fitted.b1 / fitted.b2

    def elasticity(at: float) -> float:
        return float((x[0] + shift) / (at + shift))

    gain = float(y[0]) - late.loss
    by = (late.cost - float(x[0])) / gain if gain > 0 else np.nan
    there = elasticity(late.cost)
    agree = bool(late.low * by - AGREEMENT_SLACK <= there <= late.high * by + AGREEMENT_SLACK)
    level = float(fitted(x[-1]))
    return {
        "fit_loss_elasticity": float(fitted.elasticity(x[-1])) if level > 0 else None,
        "fit_gain_elasticity": elasticity(float(x[-1])),
        "agree": agree,
        "next_percent": _next(fitted if agree else None, late, y, x),
        "threshold_cost": max(float((x[0] + shift) / threshold - shift), float(x[0])),
    }


def _next(fitted: Fit | None, late: _Late, y: Floats, x: Floats) -> float | None:
    """The cost of the next 1 % of gain: by the fit, else along the local slope; None for never."""
    wanted = 0.01 * (float(y[0]) - late.loss)
    if wanted <= 0 or late.fall <= 0:
        return None
    if fitted is None:
        return wanted / late.fall
    left = (float(fitted(x[-1])) - wanted - fitted.shift) / fitted.scale - fitted.b3
    return float((1 / left - fitted.b1) / fitted.b2 - x[-1]) if left > 0 else None


def _shape(y: Floats, late: _Late, drop: int, validation: bool) -> str:
    """What kind of curve it is, by name."""
    spread = float(y.max() - y.min())
    rises = late.high < 0 and y[-1] > y.min() + 0.02 * spread
    if rises or _far_above_best(y, late, validation):
        if _came_back_before(y):
            return "cyclic"
        return "overfitting" if validation and y.min() < y[0] else "rising"
    if _is_flat(y, late):
        return "flat"
    if drop:
        return "drop"
    noise = float(np.median(np.abs(np.diff(y))))
    calm = np.median(sliding_window_view(y, MIN_OBSERVATIONS), axis=1)
    rises = float((calm - np.minimum.accumulate(calm)).max())
    if rises > max(0.1 * spread, 6 * noise):
        return "non-monotone"
    return "falling" if late.low > 0 else "plateau"


def _far_above_best(y: Floats, late: _Late, validation: bool) -> bool:
    """Whether much of the gain was lost again, whatever the last few values do.

    A training loss that clearly falls again, as after a spike, is no such case. Everything is
    relative to the gain, so that a shift of the loss changes nothing. The best is that until the
    middle of the late part, where its level is taken: a loss that falls ever faster is best after.
    """
    before = sliding_window_view(y[: len(y) - late.after], 3)
    best = float(np.median(before, axis=1).min())  # no single outlier
    risen = late.loss - best
    far = risen > max(MAX_LOST * (float(y[0]) - best), 6 * _deviation(y), _rounding(y))
    return bool(far and (validation or late.low <= 0))


def _came_back_before(y: Floats) -> bool:
    """Whether the loss fell to a new low after such a rise before, as it does in warm restarts.

    Such a rise is at least 0.8 times as high as the present one, and half as long.
    """
    calm = np.median(sliding_window_view(y, 3), axis=1)
    best = int(np.argmin(calm))
    risen, since = float(calm[best:].max() - calm[best]), len(calm) - 1 - best
    lows = np.flatnonzero(calm[: best + 1] <= np.minimum.accumulate(calm[: best + 1]))
    return any(
        since <= 2 * (b - a) and calm[a:b].max() - calm[a] >= 0.8 * risen
        for a, b in pairwise(lows.tolist())
        if b - a > 1
    )


def _is_flat(y: Floats, late: _Late) -> bool:
    """Whether the gain is no more than noise or rounding."""
    largest = max(MIN_GAIN * _deviation(y), _rounding(y))
    return bool(y[0] - y.min() <= largest and late.low <= 0)


def _deviation(y: Floats) -> float:
    """The deviation of independent normal errors, whatever the trend.

    By the median of |second differences|, which is 1.65 of it.
    """
    return float(np.median(np.abs(np.diff(y, 2)))) / 1.65


def _rounding(y: Floats) -> float:
    return ROUNDING * float(np.abs(y).max())


def _regime(out: dict[str, Any], late: _Late) -> str | None:
    """elastic, unit, inelastic or rising."""
    if out["shape"] in ("overfitting", "rising"):
        return "rising"
    if out.get("gain_elasticity") is None or out["shape"] == "flat":
        return "rising" if late.high < 0 else None
    if out["low"] > 1 + UNIT_SLACK:
        return "elastic"
    return "inelastic" if out["high"] < 1 - UNIT_SLACK else "unit"


def _advice(out: dict[str, Any], threshold: float, best_at: str, n: int) -> str:
    """What to do, and the reason in a clause.

    Args:
        out: the measures.
        threshold: a gain elasticity.
        best_at: where the loss was best.
        n: how many points there are.
    """
    more = out.get("gain_elasticity")
    if out["regime"] == "rising":
        why = "overfitting" if out["shape"] == "overfitting" else "getting worse"
        return f"{STOP}: {why} since {best_at}"
    if out["shape"] == "cyclic":
        return f"{UNSURE}: {CAME_BACK}"
    if out["shape"] == "flat" or more is None:
        word = STOP if n >= 2 * MIN_LATE_POINTS else UNSURE
        return f"{word}: no gain to speak of since the start"
    reason = f"1 % more cost brings {more:.2g} % more gain ({out['low']:.2g} to {out['high']:.2g})"
    if out["shape"] == "drop":
        reason += AFTER_DROP
    elif not out["agree"]:
        reason += FIT_DISAGREES
    word = STOP if out["high"] < threshold else GO if out["low"] >= threshold else UNSURE
    return f"{word}: {reason}"
