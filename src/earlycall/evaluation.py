"""How well scores agree with the outcomes: scores × budgets × groups."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.curves import Axis, CurveSet, Direction, Prefixes
from earlycall.curves.columns import direction as direction_of
from earlycall.errors import CurveWarning, InputError
from earlycall.ranking import as_curve_set
from earlycall.ranks import mean_ranks
from earlycall.scores import Score, get, names

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure

BUDGETS = (0.05, 0.10, 0.20)
RESAMPLES = 200
_TRUTHS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
_SCHEMA: dict[str, Any] = {
    "set": pl.String, "group": pl.String, "score": pl.String, "budget": pl.Float64,
    "n": pl.Int64, "excluded": pl.Int64, "spearman": pl.Float64, "spearman_low": pl.Float64,
    "spearman_high": pl.Float64, "kendall": pl.Float64, "top1_regret": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """How well one score agrees with the outcomes of n runs.

    Attributes:
        spearman: rank correlation, in [-1, 1]; 0 for a score that tells no run from another, None
            where the outcomes are all equal or fewer than 3.
        low: lower end of the bootstrap interval (95 %) of ``spearman``.
        high: upper end of it.
        kendall: Kendall's τ-b, in [-1, 1].
        top1_regret: (best − outcome of the run ranked first) / (best − median).
    """

    spearman: float | None
    low: float | None
    high: float | None
    kendall: float | None
    top1_regret: float | None


@dataclass(frozen=True)
class Evaluation:
    """Agreement of scores with outcomes.

    Attributes:
        table: a row per set, group, score and budget: ``n`` runs judged, ``excluded`` ones,
            ``spearman`` with its 95 % bootstrap interval, ``kendall``, ``top1_regret``.
    """

    table: pl.DataFrame

    def summary(self) -> pl.DataFrame:
        """The mean over groups: a row per set, budget and score."""
        return self.table.group_by("set", "budget", "score", maintain_order=True).agg(
            pl.len().alias("groups"),
            pl.col("n").sum(),
            pl.col("spearman", "kendall", "top1_regret").mean(),
        )

    def plot(self, **options: Any) -> Figure:
        """A heat map of scores and budgets; options of `earlycall.plots.agreement_map`.

        Raises:
            InputError: if plotly is not installed, or there is nothing to draw.
        """
        from earlycall.plots import agreement_map

        return agreement_map(self, **options)

    def _repr_html_(self) -> str | None:
        """As notebooks show it; None, for the plain form, where Jinja2 is not installed."""
        from earlycall.report.notebook import evaluation_html

        return evaluation_html(self)


def evaluate(
    sets: Any,
    *,
    scores: Sequence[str] | None = None,
    budgets: Sequence[float] = BUDGETS,
    metric: str | None = None,
    direction: Direction | None = None,
    axis: Axis = "observation",
    resamples: int = RESAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Compare what scores say of prefixes with the outcomes of finished runs.

    A prefix is the observations with step ≤ budget × horizon, and at least the first 3. Excluded,
    and counted: runs without a finite outcome, with a prefix that is not finite, or with nothing
    left to train after it. A run that a score cannot tell counts as the worst.

    Args:
        sets: a curve set with ``final`` outcomes, or several.
        scores: names of scores; by default all that the logged metrics allow.
        budgets: parts of the horizon, each in (0, 1].
        metric: the metric to score; by default the training loss.
        direction: whether less ("min") or more ("max") of the metric is better; by default its name
            tells. (Of the outcome, ``higher_is_better`` or the name in ``final_metric`` does.)
        axis: the axis along which curves are fitted.
        resamples: how many bootstrap samples of the runs the intervals rest on; 0 for none.
        progress: called with (done, total) after each part of the work.

    Raises:
        InputError: if a set has no outcomes, a score is unknown or a budget outside (0, 1].

    Examples:
        >>> finals = pl.DataFrame({"run": ["a", "b", "c"], "final": [1.0, 2.0, 3.0]})
        >>> rows = [{"run": r, "step": s, "train_loss": 4.0 + i - s / 9}
        ...         for i, r in enumerate("abc") for s in range(20)]
        >>> curves = CurveSet.from_frame(pl.DataFrame(rows), finals)
        >>> evaluate(curves, scores=["last_loss"], budgets=[0.5]).table["spearman"].to_list()
        [1.0]
    """
    several = list(sets) if isinstance(sets, list | tuple) else [sets]
    curve_sets = [s.directed(s.metric(metric), direction) for s in map(as_curve_set, several)]
    chosen = [get(name) for name in (names() if scores is None else scores)]
    known = [outcomes(curves.runs, curves.name) for curves in curve_sets]
    total, done = sum(len(c.groups) for c in curve_sets) * len(budgets), 0
    rows = []
    for curves, outcome in zip(curve_sets, known, strict=True):
        for budget in budgets:
            for judged in _judged(curves, outcome, budget, metric, axis):
                able = [s for s in chosen if scores is not None or s.able(judged.prefixes)]
                rows += list(_rows(judged, able, resamples, curves.name, budget))
                done += 1
                if progress is not None:
                    progress(done, total)
    return Evaluation(pl.DataFrame(rows, schema=_SCHEMA, orient="row"))


def agreement(
    score: NDArray[np.float64], outcome: NDArray[np.float64], *, resamples: int = RESAMPLES
) -> Agreement:
    """How well a score agrees with the outcomes, both oriented so that larger is better.

    Args:
        score: shape (n,); NaN counts as worse than all others.
        outcome: shape (n,), finite.
        resamples: how many bootstrap samples of the runs the interval rests on; 0 for none.

    Examples:
        >>> a = agreement(np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]))
        >>> round(a.spearman, 3), round(a.top1_regret, 3)
        (0.8, 0.667)
    """
    from scipy.stats import kendalltau

    n = len(outcome)
    told = np.where(np.isnan(score), np.nanmin(score, initial=0.0) - 1, score)
    regret = _top1_regret(told, outcome)
    if n < 3 or np.ptp(outcome) == 0:
        return Agreement(None, None, None, None, regret)
    if np.ptp(told) == 0:
        return Agreement(0.0, 0.0, 0.0, 0.0, regret)
    pairs = np.stack([mean_ranks(told), mean_ranks(outcome)])
    low = high = None
    if resamples:
        low, high = np.quantile(_bootstrap(pairs, resamples), [0.025, 0.975]).tolist()
    spearman = float(np.asarray(np.corrcoef(pairs))[0, 1])
    tau = float(kendalltau(told, outcome).statistic)
    return Agreement(spearman, low, high, tau, regret)


@dataclass(frozen=True)
class _Judged:
    """The runs of a group that can be judged at a budget."""

    prefixes: Prefixes
    outcome: NDArray[np.float64]
    excluded: int


def _judged(
    curves: CurveSet,
    outcome: NDArray[np.float64],
    budget: float,
    metric: str | None,
    axis: Axis,
) -> Iterable[_Judged]:
    metric = curves.metric(metric)
    recorded = pl.col(metric).filter(pl.col(metric).is_not_nan()).len()
    counted = curves.observations.group_by("run_id").agg(recorded.alias("n"))
    whole = np.zeros(len(curves), dtype=np.int64)
    whole[counted["run_id"].to_numpy()] = counted["n"].to_numpy()
    start = 0
    for prefixes in curves.prefix(budget=budget, metric=metric).prefixes(metric=metric, axis=axis):
        part = slice(start, start + len(prefixes))
        start = part.stop
        able = (
            np.isfinite(outcome[part])
            & prefixes.loss.all_finite()
            & (whole[part] > prefixes.loss.lengths)
        )
        rows = np.flatnonzero(able)
        yield _Judged(prefixes.take(rows), outcome[part][able], len(prefixes) - len(rows))


def outcomes(runs: pl.DataFrame, name: str = "") -> NDArray[np.float64]:
    """The outcome of each run, oriented so that larger is better; NaN where unknown.

    Whether more is better says the column ``higher_is_better``; where there is none, the name in
    ``final_metric``; where there is none either, less is taken as better, with a warning.

    Raises:
        InputError: if the table of runs has no column ``final``, or does not say whether less or
            more of an outcome is better.
    """
    what = name or "the curve set"
    if "final" not in runs.columns:
        raise InputError(
            f"{what} has no outcomes: add a column 'final' to runs.parquet or runs.csv, a row per "
            "run"
        )
    final = runs["final"].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return np.where(_more_is_better(runs, np.isfinite(final), what), final, -final)


def _more_is_better(runs: pl.DataFrame, known: NDArray[np.bool_], what: str) -> NDArray[np.bool_]:
    """Whether more of each run's outcome is better; false where there is no outcome."""
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, runs.height)
    said = runs["higher_is_better"] if "higher_is_better" in runs.columns else nothing
    named = runs["final_metric"] if "final_metric" in runs.columns else nothing
    said, named = said.cast(pl.String).str.to_lowercase(), named.cast(pl.String)
    if not said.count() and not named.count():
        warnings.warn(
            f"{what}: 'final' is taken as a loss, less being better; a column 'final_metric' or "
            "'higher_is_better' would say so",
            CurveWarning,
            stacklevel=4,
        )
        return np.zeros(runs.height, dtype=bool)
    by_name = {name: direction_of(name) for name in named.drop_nulls().unique()}
    up = {name: way == "max" for name, way in by_name.items() if way is not None}
    more = _mapped(said, _TRUTHS).fill_null(_mapped(named, up))
    unknown = known & more.is_null().to_numpy()
    if unknown.any():
        i = int(np.argmax(unknown))
        outcome = "its outcome" if named[i] is None else f"its outcome {named[i]!r}"
        raise InputError(
            f"{what}, run {runs['run'][i]!r}: whether less or more of {outcome} is better is not "
            "known; say so by a column 'higher_is_better' (true or false) in the table of runs"
        )
    return more.fill_null(value=False).to_numpy()


def _mapped(values: pl.Series, truths: dict[str, bool]) -> pl.Series:
    return values.replace_strict(truths, default=None, return_dtype=pl.Boolean)


def _rows(
    judged: _Judged, scores: list[Score], resamples: int, name: str, budget: float
) -> Iterable[tuple[Any, ...]]:
    n = len(judged.outcome)
    for score in scores:
        value = np.full(n, np.nan)
        long = np.flatnonzero(judged.prefixes.loss.lengths >= score.shortest)
        if len(long):
            value[long] = score(judged.prefixes.take(long)).score
        a = agreement(value, judged.outcome, resamples=resamples)
        yield (name, judged.prefixes.group, score.name, budget, n, judged.excluded,
               a.spearman, a.low, a.high, a.kendall, a.top1_regret)  # fmt: skip


def _bootstrap(pairs: NDArray[np.float64], resamples: int) -> NDArray[np.float64]:
    """Correlations of resampled pairs of ranks, shape (resamples,).

    The ranks are those within all runs; ranking anew within each sample changes little and costs
    much. The samples are the same in every call.
    """
    n = pairs.shape[1]
    sample = np.random.default_rng(0).integers(0, n, (resamples, n))
    centred = pairs - pairs.mean(axis=1, keepdims=True)
    a, b = centred[0][sample], centred[1][sample]
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.where(scale > 0, scale, np.inf))


def _top1_regret(score: NDArray[np.float64], outcome: NDArray[np.float64]) -> float | None:
    """(best − chosen) / (best − median), the chosen being the mean of those tied for first."""
    if not len(outcome):
        return None
    best, chosen = outcome.max(), outcome[score == score.max()].mean()
    spread = best - np.median(outcome)
    return float((best - chosen) / spread) if spread > 0 else None
