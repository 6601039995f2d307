"""How well scores agree with the outcomes: scores × budgets × groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.curves import Axis, CurveSet, Direction, Prefixes
from earlycall.curves.budget import Budget, as_part
from earlycall.curves.outcomes import outcomes, with_outcome
from earlycall.errors import InputError
from earlycall.evaluation.agreement import RESAMPLES, agreement
from earlycall.formatting import listed
from earlycall.ranking.finished import MIN_FINISHED, Finished, learn
from earlycall.ranking.rank import DEFAULT_SCORE
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.results import Result
from earlycall.scores import Score, get, names

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUDGETS = (0.05, 0.10, 0.20)
_SCHEMA: dict[str, Any] = {
    "set": pl.String, "group": pl.String, "score": pl.String, "budget": pl.Float64,
    "n": pl.Int64, "excluded": pl.Int64, "spearman": pl.Float64, "spearman_low": pl.Float64,
    "spearman_high": pl.Float64, "kendall": pl.Float64, "top1_regret": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Evaluation(Result):
    """Agreement of scores with outcomes.

    Attributes:
        table: a row per set, group, score and budget: ``n`` runs judged, ``excluded`` ones,
            ``spearman`` with its 95 % bootstrap interval, ``kendall``, ``top1_regret``.
    """

    table: pl.DataFrame

    _figure = "agreement_map"

    def means(self) -> pl.DataFrame:
        """The mean over groups: a row per set, budget and score."""
        return self.table.group_by("set", "budget", "score", maintain_order=True).agg(
            pl.len().alias("groups"),
            pl.col("n").sum(),
            pl.col("spearman", "kendall", "top1_regret").mean(),
        )

    def summary(self) -> str:
        """Which score agrees best with the outcomes of each set, at each budget."""
        best = (
            self.means()
            .drop_nulls("spearman")
            .group_by("set", "budget", maintain_order=True)
            .agg(pl.all().sort_by("spearman", descending=True).first())
        )
        sentences = []
        for (name,), rows in best.group_by("set", maintain_order=True):
            runs: dict[str, list[str]] = {}
            for row in rows.iter_rows(named=True):
                found = f"{100 * row['budget']:.3g} % ({row['spearman']:.2f})"
                runs.setdefault(row["score"], []).append(found)
            parts = [f"{score} at {listed(at, len(at))}" for score, at in runs.items()]
            where = f"{name}: " if name else ""
            sentences.append(
                f"{where}the score that agrees best with the outcomes (Spearman) is "
                f"{', '.join(parts)} of training."
            )
        return "\n".join(sentences) or "No score could be compared with the outcomes."

    def to_dict(self) -> dict[str, Any]:
        """``rows``: the rows of the table."""
        return {"rows": self.table.to_dicts()}


def evaluate(
    sets: Any,
    *,
    scores: Sequence[str] | None = None,
    budgets: Sequence[Budget] = BUDGETS,
    metric: str | None = None,
    direction: Direction | None = None,
    axis: Axis = "observation",
    finished: int = 0,
    outcome: str | None = None,
    burn_in: int | None = None,
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
        budgets: parts of the horizon, each 0.1 or "10%".
        metric: the metric to score; by default the training loss.
        direction: whether less ("min") or more ("max") of the metric is better; by default its name
            tells. (Of the outcome, ``higher_is_better`` or the name in ``final_metric`` does.)
        axis: the axis along which curves are fitted.
        finished: how many runs of each group, drawn at random, count as finished: the default score
            learns from their outcomes, and all scores are judged on the other runs, whose outcomes
            are hidden.
        outcome: the last or best value of a metric as the outcome: ``METRIC``, ``METRIC:last`` or
            ``METRIC:best``; by default ``final``.
        burn_in: the epochs that an LCGA score ignores; by default 2, as published.
        resamples: how many bootstrap samples of the runs the intervals rest on; 0 for none.
        progress: called with (done, total) after each part of the work.

    Raises:
        InputError: if a set has no outcomes, a score is unknown, a budget outside (0, 1], or
            ``finished`` negative.

    Examples:
        >>> finals = pl.DataFrame({"run": ["a", "b", "c"], "final": [1.0, 2.0, 3.0]})
        >>> rows = [{"run": r, "step": s, "train_loss": 4.0 + i - s / 9}
        ...         for i, r in enumerate("abc") for s in range(20)]
        >>> curves = CurveSet.from_frame(pl.DataFrame(rows), finals)
        >>> evaluate(curves, scores=["last_loss"], budgets=[0.5]).table["spearman"].to_list()
        [1.0]
    """
    parts = [as_part(budget) for budget in budgets]
    if finished < 0:
        raise InputError(f"finished={finished} must be 0 or more")
    several = list(sets) if isinstance(sets, list | tuple) else [sets]
    curve_sets = [s.directed(s.metric(metric), direction) for s in map(as_curve_set, several)]
    curve_sets = [with_outcome(curves, outcome) for curves in curve_sets]
    chosen = [get(name) for name in (names() if scores is None else scores)]
    if burn_in is not None:
        chosen = [s if s.burn_in is None else get(s.name, burn_in) for s in chosen]
    known = [outcomes(c.runs, c.name, c.metrics) for c in curve_sets]
    total, done = sum(len(c.groups) for c in curve_sets) * len(parts), 0
    rows = []
    for curves, ended in zip(curve_sets, known, strict=True):
        for budget in parts:
            for judged in _judged(curves, ended, budget, metric, axis):
                able = [s for s in chosen if scores is not None or s.able(judged.prefixes)]
                rows += list(_rows(judged, able, resamples, curves.name, budget, finished))
                done += 1
                if progress is not None:
                    progress(done, total)
    return Evaluation(pl.DataFrame(rows, schema=_SCHEMA, orient="row"))


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
    seen = curves.at_full_length(metric).prefix(budget=budget, metric=metric)
    for prefixes in seen.prefixes(metric=metric, axis=axis):
        part = slice(start, start + len(prefixes))
        start = part.stop
        able = (
            np.isfinite(outcome[part])
            & prefixes.loss.all_finite()
            & (whole[part] > prefixes.loss.lengths)
        )
        rows = np.flatnonzero(able)
        yield _Judged(prefixes.take(rows), outcome[part][able], len(prefixes) - len(rows))


def _rows(
    judged: _Judged, scores: list[Score], resamples: int, name: str, budget: float, finished: int
) -> Iterable[tuple[Any, ...]]:
    drawn = np.random.default_rng(finished).permutation(len(judged.outcome))
    done, left = np.sort(drawn[:finished]), np.sort(drawn[finished:])
    past = Finished(judged.prefixes.take(done), judged.outcome[done])
    running, outcome = judged.prefixes.take(left), judged.outcome[left]
    n = len(left)
    for score in scores:
        value = np.full(n, np.nan)
        long = np.flatnonzero(running.loss.lengths >= score.shortest)
        if len(long) and finished >= MIN_FINISHED and score.name == DEFAULT_SCORE:
            value[long] = learn(running.take(long), [past], [], score).place
        elif len(long):
            value[long] = score(running.take(long)).score
        a = agreement(value, outcome, resamples=resamples)
        yield (name, judged.prefixes.group, score.name, budget, n, judged.excluded,
               a.spearman, a.low, a.high, a.kendall, a.top1_regret)  # fmt: skip
