"""Rank the runs of each group by a score of their prefixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import numpy as np
import polars as pl

from earlycall.curves import Axis, CurveSet, Direction, Prefixes
from earlycall.curves.budget import Budget, as_part
from earlycall.curves.horizon import UNKNOWN_END, Horizon, Source, assumptions
from earlycall.errors import InputError, first_few
from earlycall.formatting import capitalised, common_ending, listed, percent, plain
from earlycall.ranking.certainty import (
    SURE,
    Verdict,
    chance_of_best,
    near_the_top,
    normal_cdf,
    smallest_set,
    verdict,
)
from earlycall.ranking.comparability import not_comparable, other_loss
from earlycall.ranking.finished import (
    cut,
    ends_by,
    finished_runs,
    finished_within,
    learn,
    others,
    with_own_outcomes,
)
from earlycall.ranking.over import SettingRanking, by_setting
from earlycall.ranking.schedule import phases
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.results import Result
from earlycall.scores import Score, Scored, get
from earlycall.scores.ranks import normal_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_SCORE = "outlook"
TOP = 3
TIED = "cannot be told from the first at this budget"
FINISHED = "finished"
FINISHED_SD = 0.1  # of the place of a finished run among runs that are still going on
WIDENED = 1.5  # standard errors of runs in a phase that early losses say little about
_SCHEMA = pl.Schema({
    "group": pl.String, "run": pl.String, "rank": pl.Int64, "score": pl.Float64,
    "raw": pl.Float64, "se": pl.Float64, "status": pl.String, "reason": pl.String,
    "p_first": pl.Float64, "p_top": pl.Float64, "moved": pl.Int64,
})  # fmt: skip


@dataclass(frozen=True)
class Ranking(Result):
    """Runs ranked within their groups.

    Attributes:
        table: a row per run: ``group``, ``run``, ``rank`` (from 1; null where a run cannot be
            ranked), ``score`` (larger is better), ``raw``, ``se``, ``status`` (``ok``,
            ``diverged``, ``short``, ``missing``, ``unscored``; ``warm-up``, ``kink`` and
            ``incomparable`` runs are ranked, with a wider ``se``) and ``reason``; ``p_first`` and
            ``p_top``, the probabilities that the outcome is the best, and among the best ``top``;
            ``moved``, the places that a running run rose through what finished ones taught.
        score: the name of the score.
        metric: the loss that was scored.
        budget: the part of the horizon that was asked for, None for all that was logged.
        cost: what the budget is a part of.
        horizons: the step at which training of each group would end; the largest one logged where
            that is unknown.
        horizon_from: how the end of each group is known: ``given``, ``settings``, ``finished
            runs``, or None where it is not.
        warnings: what makes the runs of a group hard to compare, a sentence each.
        verdicts: how sure each group's ranking is, where the score says how sure it is.
        top: how many are the best that ``p_top`` speaks of.
        prefixes: what was scored.
        learned_from: how many finished runs each group's ranking learned from.

    Examples:
        >>> ranking = rank({"a": [3.0, 2.0, 1.0], "b": [3.0, 2.5, 2.4]}, score="last_loss")
        >>> ranking.table.select("run", "rank").rows()
        [('a', 1), ('b', 2)]
    """

    table: pl.DataFrame
    score: str
    metric: str
    budget: float | None
    horizons: dict[str, float]
    warnings: tuple[str, ...]
    verdicts: dict[str, Verdict]
    top: int
    cost: str
    prefixes: tuple[Prefixes, ...] = field(repr=False)
    learned_from: dict[str, int] = field(default_factory=dict)
    horizon_from: dict[str, Source | None] = field(default_factory=dict)

    _figure = "ranking"

    @property
    def direction(self) -> Direction:
        """Whether less ("min") or more ("max") of the metric is better."""
        return self.prefixes[0].direction

    def best(self, group: str | None = None) -> str | None:
        """The run ranked first (of a group), None where none can be ranked."""
        table = self.table if group is None else self.table.filter(pl.col("group") == group)
        first = table.filter(pl.col("rank") == 1)["run"]
        return first[0] if len(first) else None

    def keep(self, group: str) -> tuple[str, ...]:
        """The runs of a group of which one ends first with 95 %; none where that is not known."""
        return self.verdicts[group].keep if group in self.verdicts else ()

    def stop(self, group: str) -> tuple[str, ...]:
        """The runs of a group to stop: those outside of `keep`, and those that have diverged.

        What has ended, cannot be compared with the others or has no rank is not among them.

        Examples:
            >>> x = np.arange(1, 101)
            >>> curves = {"a": 1 + 2 / x, "b": 1.5 + 2 / x, "c": np.where(x < 9, 2 / x, np.nan)}
            >>> rank(curves, budget=0.2).stop("all")
            ('c',)
        """
        return self._stops.get(group, ())

    @cached_property
    def _stops(self) -> dict[str, tuple[str, ...]]:
        """The runs to stop, by group."""
        stops = {}
        for (name,), rows in self.table.group_by("group", maintain_order=True):
            group = str(name)
            hopeless = pl.lit(False)
            if keep := self.keep(group):
                ranked = pl.col("rank").is_not_null() & (pl.col("status") != "incomparable")
                hopeless = ranked & ~pl.col("run").is_in(keep)
            ended = pl.col("run").is_in(self._ended(group))
            diverged = pl.col("status") == "diverged"
            stops[group] = tuple(rows.filter((hopeless & ~ended) | diverged)["run"].to_list())
        return stops

    def _ended(self, group: str) -> list[str]:
        """The runs of a group that are known to have no training left."""
        finished = (pl.col("group") == group) & (pl.col("reason") == FINISHED)
        ended = self.table.filter(finished)["run"].to_list()
        for p in self.prefixes:
            if p.group == group:
                ended += [p.runs[i] for i in np.flatnonzero(p.ended)]
        return ended

    @property
    def notes(self) -> tuple[str, ...]:
        """The warnings."""
        return self.warnings

    def sentences(self, group: str) -> list[str]:
        """Who leads a group, how sure that is, what was learned, and whom to keep and to stop."""
        rows = self.table.filter(pl.col("group") == group)
        first = rows.row(0, named=True)
        if first["rank"] is None:
            return [f"None of the {rows.height} runs can be ranked: {first['reason']}."]
        seen = "all that was logged"
        if self.budget is not None:
            whole = "training" if self.horizon_from.get(group) else "what was logged"
            seen = f"the first {100 * self.budget:.3g} % of {whole}"
        learned = self.learned_from.get(group, 0)
        if learned:
            seen += f" and from {learned} finished run{'' if learned == 1 else 's'}"
        ending = common_ending(rows["run"].to_list())
        leader = f"From {seen}, {plain(first['run'].removesuffix(ending))} leads {rows.height} runs"
        if first["p_first"] is not None:
            leader += (
                f", with a chance of {percent(first['p_first'])} to end first and of "
                f"{percent(first['p_top'])} to end among the best {self.top}"
            )
        said = [f"{leader}."]
        if group in self.verdicts:
            said.append(f"{capitalised(str(self.verdicts[group]))}.")
        if self.horizon_from.get(group) is None:
            said.append(f"{capitalised(UNKNOWN_END)}.")
        if learned:
            said.append(_what_changed(rows, learned, ending))
        return said + self._keeping(rows, group, ending)

    def _keeping(self, rows: pl.DataFrame, group: str, ending: str) -> list[str]:
        """Whom to keep and to stop, where anything can be said of it."""
        keep, stop = ([r.removesuffix(ending) for r in f(group)] for f in (self.keep, self.stop))
        sure = f"{percent(SURE)} sure to hold the best"
        if not stop:
            going = set(self.keep(group)).difference(self._ended(group))
            if not going or len(keep) < rows.height:
                return []
            return [f"Stop none yet: to be {sure}, all {rows.height} are needed."]
        diverged = rows.filter(pl.col("status") == "diverged").height
        what = f" ({diverged} diverged)" if diverged else ""
        if not keep:
            return [f"Stop {listed(stop)}{what}."]
        these = "this one" if len(keep) == 1 else f"these {len(keep)}"
        others = "the other" if len(keep) + len(stop) == rows.height else "another"
        count = f" {len(stop)}" if len(stop) > 1 else ""
        return [
            f"Keep {these}, {sure}: {listed(keep)}; stop {others}{count}{what}: {listed(stop)}."
        ]

    def summary(self) -> str:
        """Who leads each group, how sure that is, and whom to keep and to stop."""
        alone = len(self.horizons) == 1
        groups = [("" if alone else f"{g}: ") + " ".join(self.sentences(g)) for g in self.horizons]
        return "\n".join(groups)

    def to_dict(self) -> dict[str, Any]:
        """``runs``, the rows of the table, and what they were ranked by."""
        return self.facts() | {"runs": self.table.to_dicts()}

    def facts(self) -> dict[str, Any]:
        """What the runs were ranked by, and what can be said of each group."""
        return {
            "score": self.score,
            "budget": self.budget,
            "cost": self.cost,
            "horizon": _shared(self.horizons),
            "horizon_from": _shared(self.horizon_from),
            "metric": self.metric,
            "direction": self.direction,
            "learned_from": self.learned_from,
            "warnings": list(self.warnings),
            "verdicts": {group: str(verdict) for group, verdict in self.verdicts.items()},
            "keep": {group: list(self.keep(group)) for group in self.horizons},
            "stop": {group: list(self.stop(group)) for group in self.horizons},
        }


def _shared(by_group: Mapping[str, Any]) -> Any:
    """What all groups have in common, else what each has."""
    values = list(dict.fromkeys(by_group.values()))
    return values[0] if len(values) == 1 else by_group


class Options(TypedDict, total=False):
    """The options of `rank`, for type checkers."""

    score: str
    metric: str | None
    direction: Direction | None
    budget: Budget | None
    steps: float | None
    epochs: int | None
    horizon: float | None
    group: str | None
    axis: Axis
    cost: str
    top: int
    finished: Any
    outcome: str | None
    burn_in: int | None


@overload
def rank(curves: Any, *, over: None = None, **options: Unpack[Options]) -> Ranking: ...
@overload
def rank(
    curves: Any, *, over: str | Sequence[str], **options: Unpack[Options]
) -> SettingRanking: ...
def rank(
    curves: Any,
    *,
    score: str = DEFAULT_SCORE,
    metric: str | None = None,
    direction: Direction | None = None,
    budget: Budget | None = None,
    steps: float | None = None,
    epochs: int | None = None,
    horizon: float | None = None,
    group: str | None = None,
    axis: Axis = "observation",
    cost: str = "step",
    top: int = TOP,
    finished: Any = None,
    outcome: str | None = None,
    burn_in: int | None = None,
    over: str | Sequence[str] | None = None,
) -> Ranking | SettingRanking:
    """Rank runs from the first part of their loss curves and from finished runs.

    Where runs of a group have finished (their outcome is known and their curve reaches the horizon)
    while others are running, the default score learns from them by itself.

    Args:
        curves: a `CurveSet`, or what `as_curve_set` makes one from.
        score: the name of a score (see `earlycall.scores.names`).
        metric: the metric to score; by default the training loss.
        direction: whether less ("min") or more ("max") of the metric is better; by default its name
            tells.
        budget: use the observations with step ≤ budget × horizon: 0.1 or "10%".
        steps: use the observations with step ≤ steps.
        epochs: use the observations of the first epochs.
        horizon: the step at which training would end; by default as the settings of the runs say
            (``step_hint``, ``hp.max_steps``, ``hp.epochs`` …), else the length of finished runs of
            the group. Where neither is known, a budget is a part of the largest step logged.
        group: rank only the runs of this group.
        axis: the axis along which curves are fitted.
        cost: what the budget is a part of (see `CurveSet.prefix`): with ``joules``, runs are
            compared at the same energy.
        top: how many are the best, for ``p_top``.
        finished: whole curves of finished runs with outcomes (``final``), in any form that
            ``curves`` may have: of the same groups, by name, or of others, which count for less.
        outcome: the last or best value of a metric as the outcome of finished runs: ``METRIC``,
            ``METRIC:last`` or ``METRIC:best``; by default ``final``.
        burn_in: the epochs that an LCGA score ignores; by default 2, as published.
        over: rank settings by the mean over their runs that differ in this setting alone, such as
            "hp.seed", with the interval between them.

    Returns:
        The ranking; of settings with ``over``. Ties share a rank; diverged runs share the last one.

    Raises:
        InputError: if an argument or the curves cannot be used, or whether less or more of the
            metric is better is not known.
    """
    if over is None and finished is None and isinstance(curves, str | Path):
        from earlycall.ranking.in_parts import ranked_parts
        from earlycall.readers.scan import UnsuitableError, scanned

        parts = ranked_parts(
            scanned(curves), score=score, metric=metric, direction=direction, budget=budget,
            steps=steps, epochs=epochs, horizon=horizon, group=group, axis=axis, cost=cost, top=top,
            outcome=outcome, burn_in=burn_in,
        )  # fmt: skip
        with suppress(UnsuitableError):
            if parts is not None:
                return parts.whole()
    curves = as_curve_set(curves)
    if group is not None:
        curves = curves.select(group=group)
    _need_two_runs(curves)
    ranked = rank_part(
        curves, score=score, metric=metric, direction=direction, budget=budget, steps=steps,
        epochs=epochs, horizon=horizon, axis=axis, cost=cost, top=top, finished=finished,
        outcome=outcome, burn_in=burn_in,
    )  # fmt: skip
    assumed = assumptions(ranked.ends, counted=budget is not None and cost == "step")
    ranking = joined([ranked.ranking], (*ranked.ranking.warnings, *assumed))
    return ranking if over is None else by_setting(ranking, curves, over)


@dataclass(frozen=True)
class RankedPart:
    """Some groups of a set, ranked.

    Attributes:
        ranking: of these groups, without what was assumed of their ends.
        ends: where training of each ends.
    """

    ranking: Ranking
    ends: Mapping[str, Horizon]


def joined(rankings: Sequence[Ranking], notes: Sequence[str]) -> Ranking:
    """The ranking of all groups from those of some, with what is to be noted."""
    return replace(
        rankings[0],
        table=pl.concat([ranking.table for ranking in rankings]),
        horizons={g: h for ranking in rankings for g, h in ranking.horizons.items()},
        warnings=tuple(notes),
        verdicts={g: said for ranking in rankings for g, said in ranking.verdicts.items()},
        prefixes=tuple(p for ranking in rankings for p in ranking.prefixes),
        learned_from={g: n for ranking in rankings for g, n in ranking.learned_from.items()},
        horizon_from={g: s for ranking in rankings for g, s in ranking.horizon_from.items()},
    )


def rank_part(
    curves: CurveSet,
    *,
    score: str,
    metric: str | None,
    direction: Direction | None,
    budget: Budget | None,
    steps: float | None,
    epochs: int | None,
    horizon: float | None,
    axis: Axis,
    cost: str,
    top: int,
    finished: Any = None,
    outcome: str | None,
    burn_in: int | None,
) -> RankedPart:
    """Rank the runs of some groups of a set; arguments as of `rank`."""
    chosen = get(score, burn_in)
    part = None if budget is None else as_part(budget)
    metric = curves.metric(metric)
    curves = curves.directed(metric, direction)
    past: list[CurveSet] = []
    own_outcomes: list[str] = []
    if finished is not None:
        others_only, own_outcomes = others(
            finished_runs(as_curve_set(finished), outcome), curves, metric
        )
        past = [others_only] if len(others_only) else []
    if past and horizon is None:
        curves = replace(curves, horizons=ends_by(past[0], curves, metric))
    curves = with_own_outcomes(curves, outcome, metric, horizon=horizon, past=bool(past))
    seen = curves.prefix(
        budget=part, steps=steps, epochs=epochs, horizon=horizon, metric=metric, cost=cost
    )
    prefixes = seen.prefixes(metric=metric, axis=axis)
    own = None
    if score == DEFAULT_SCORE:
        own = finished_within(replace(curves, horizons=seen.horizons), metric)
    elif finished is not None:
        raise InputError(f"{score} does not learn from finished runs; leave out the score")
    learned_from = {}
    ranked = {}
    for p in prefixes:
        ranked[p.group], learned_from[p.group] = _rank_group(p, chosen, top, past, own)
    warnings = [sentence for p in prefixes for sentence in not_comparable(p)]
    if past:
        warnings += [_nothing_learned(g, len(past[0])) for g, n in learned_from.items() if not n]
    if own_outcomes:
        warnings.append(_their_own(own_outcomes, len(past[0]) if past else 0))
    ranking = Ranking(
        table=pl.concat([table for table, _ in ranked.values()]),
        score=score,
        metric=metric,
        budget=part,
        horizons={p.group: p.horizon for p in prefixes},
        warnings=tuple(warnings),
        verdicts={group: said for group, (_, said) in ranked.items() if said is not None},
        top=top,
        cost=cost,
        prefixes=tuple(prefixes),
        learned_from=learned_from,
        horizon_from={p.group: p.horizon_from for p in prefixes},
    )
    return RankedPart(ranking, seen.horizons)


def statuses(prefixes: Prefixes, shortest: int = 1) -> tuple[list[str], list[str | None]]:
    """The status of each run before it is scored, and the reason why it is not ``ok``.

    Args:
        prefixes: m runs.
        shortest: how many observations a score needs.
    """
    lengths, finite = prefixes.loss.lengths, prefixes.loss.all_finite()
    out = ["ok"] * len(prefixes)
    reasons: list[str | None] = [None] * len(prefixes)
    for i in np.flatnonzero((lengths < max(shortest, 1)) | ~finite).tolist():
        length = lengths[i]
        if not length:
            out[i], reasons[i] = "missing", f"no {prefixes.metric} was logged"
        elif not finite[i]:
            bad = int(np.argmin(np.isfinite(prefixes.loss[i])))
            value, step = prefixes.values[i][bad], prefixes.step[i][bad]
            out[i], reasons[i] = "diverged", f"{prefixes.metric} is {value:g} at step {step:g}"
        else:
            ones = "" if length == 1 else "s"
            out[i], reasons[i] = "short", f"{length} observation{ones}, the score needs {shortest}"
    return out, reasons


def ranks(score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Ranks from 1 for the largest score; equal scores share the smallest of their ranks.

    Scores count as equal when they agree to 12 digits of the largest, so that rounding does not
    decide.

    Examples:
        >>> ranks(np.array([0.5, 2.0, 0.5])).tolist()
        [2, 1, 2]
    """
    largest = np.max(np.abs(score), initial=0.0)
    digits = 12 - int(np.ceil(np.log10(largest))) if 0 < largest < np.inf else 12
    rounded = np.round(score, digits) if -290 < digits < 290 else score
    _, place, counts = np.unique(-rounded, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - counts + 1)[place.reshape(-1)], dtype=np.int64)


def _rank_group(
    prefixes: Prefixes, score: Score, top: int, past: list[CurveSet], own: CurveSet | None
) -> tuple[tuple[pl.DataFrame, Verdict | None], int]:
    status, reasons = statuses(prefixes, score.shortest)
    able = np.flatnonzero(np.array([s == "ok" for s in status]))
    m = len(prefixes)
    value, raw, se, p_first, p_top, moved = (np.full(m, np.nan) for _ in range(6))
    said, learned_from = None, 0
    if len(able):
        taken = prefixes.take(able)
        scored = score(taken)
        if scored.rank_stability is not None:
            expected = normal_scores(np.round(scored.score, 12))
            rho = np.sqrt(np.maximum(1 - 3 * scored.se**2, 0))
            place, sd = np.median(rho) * expected, np.sqrt(1 - rho**2)
            found = _learned(taken, score, past, own, reasons, able)
            if found is not None:
                place, sd, learned_from = found
                going = np.flatnonzero(sd > FINISHED_SD)
                moved[able[going]] = ranks(scored.score[going]) - ranks(place[going])
                scored = replace(
                    scored,
                    score=2 * normal_cdf(place / np.sqrt(1 + np.median(sd) ** 2)) - 1,
                    se=sd / np.sqrt(3),
                )
            going = np.flatnonzero(sd > FINISHED_SD)
            place[going], sd[going] = near_the_top(place[going], sd[going])
        value[able], raw[able] = scored.score, scored.raw
        for row, reason in enumerate(scored.reasons):
            if reason:
                reasons[able[row]] = reason
        for row in np.flatnonzero(np.isnan(scored.score)).tolist():
            i = able[row]
            status[i], reasons[i] = "unscored", scored.reasons[row] or f"{score.name} cannot tell"
        widened = _explain(taken, able, status, reasons)
        se[able] = scored.se * widened
        if scored.rank_stability is not None:
            p_first[able] = chance_of_best(place, sd * widened, 1)
            p_top[able] = chance_of_best(place, sd * widened, top)
            said = _verdict(taken, scored, se[able])
            if said is not None:
                keep = smallest_set(p_first[able])
                said = replace(said, keep=tuple(taken.runs[i] for i in keep))
            _name_ties(able, value, status, reasons, said)
    place = np.full(m, np.nan)
    told = ~np.isnan(value)
    place[told] = ranks(value[told])
    place[np.array([s == "diverged" for s in status])] = told.sum() + 1
    table = pl.DataFrame(
        {
            "group": [prefixes.group] * m, "run": prefixes.runs,
            "rank": pl.Series(place).fill_nan(None), "score": value, "raw": raw, "se": se,
            "status": status, "reason": reasons, "p_first": p_first, "p_top": p_top,
            "moved": moved,
        },
        nan_to_null=True,
    )  # fmt: skip
    return (table.cast(_SCHEMA).sort("rank", "run", nulls_last=True), said), learned_from


def _learned(
    taken: Prefixes,
    score: Score,
    past: list[CurveSet],
    own: CurveSet | None,
    reasons: list[str | None],
    able: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], int] | None:
    """Places of runs by what finished ones became, their deviations, how many those were.

    Own finished runs are placed where they ended. None where there are no finished runs.
    """
    names = np.array(taken.runs, dtype=object)
    ended = np.zeros(len(taken), dtype=bool)
    if own is not None and taken.group in own.groups:
        ended = np.isin(names, own.select(group=taken.group).runs["run"].to_numpy())
        past = [own, *past]
    running = taken.take(np.flatnonzero(~ended))
    cuts = [cut(p, taken.metric, taken.direction, running) for p in past] if len(running) else []
    same, elsewhere = ([f for c in cuts for f in c[i]] for i in (0, 1))
    if not same and not elsewhere:
        return None
    found = learn(running, same, elsewhere, score)
    place, sd = np.empty(len(taken)), np.full(len(taken), FINISHED_SD)
    place[~ended], sd[~ended] = found.place, found.sd
    where = dict(zip((r for f in same for r in f.prefixes.runs), found.finished, strict=True))
    place[ended] = [where.get(name, 0.0) for name in names[ended]]
    past_names = [run for f in same for run in f.prefixes.runs]
    for i, row in enumerate(able[~ended].tolist()):
        reasons[row] = found.reason(i, past_names)
    for row in able[ended].tolist():
        reasons[row] = FINISHED
    return place, sd, found.count


def _explain(
    taken: Prefixes, able: NDArray[np.int64], status: list[str], reasons: list[str | None]
) -> NDArray[np.float64]:
    """Note what makes single runs hard to judge; by how much their standard errors widen."""
    widened = np.ones(len(able))
    left, last = taken.steps_left, taken.step.last()
    early = taken.ended if left is None else taken.ended & (left > 0)
    noted = zip(early.tolist(), able.tolist(), phases(taken), other_loss(taken), strict=True)
    for row, (ended, i, phase, unlike) in enumerate(noted):
        if not (ended or phase or unlike) or status[i] != "ok" or reasons[i] == FINISHED:
            continue
        if unlike is not None:
            status[i], reasons[i] = "incomparable", unlike
        elif phase is not None:
            status[i], reasons[i] = phase.status, phase.reason
        else:
            reasons[i] = f"ended at step {last[row]:g}"
        if status[i] != "ok":
            widened[row] = WIDENED
    return widened


def _nothing_learned(group: str, finished: int) -> str:
    runs = "1 finished run" if finished == 1 else f"{finished} finished runs"
    return (
        f"{group}: nothing was learned from {runs}: it takes two or more of one group, with finite "
        "losses as far as the running ones have come"
    )


def _their_own(names: list[str], left: int) -> str:
    """Which finished runs are ranked themselves, and how many others are learned from."""
    runs = "a finished run is" if len(names) == 1 else f"{len(names)} finished runs are"
    itself = "itself" if len(names) == 1 else "themselves"
    learned = f"the {left} other{'s are' if left > 1 else ' is'} learned from"
    return (
        f"{runs} among the ranked ones {itself} and not learned from: {first_few(names)}; "
        f"{learned if left else 'no other is left'}"
    )


def _what_changed(rows: pl.DataFrame, learned: int, ending: str) -> str:
    """What finished runs changed in a ranking, in a sentence."""
    rows = rows.drop_nulls("moved").sort("rank").with_columns(after=pl.int_range(1, pl.len() + 1))
    them = "a finished run" if learned == 1 else f"{learned} finished runs"
    if not (rows["moved"] != 0).any():
        return f"What {them} taught changed no place."
    names = rows.with_columns(pl.col("run").str.strip_suffix(ending))
    most = names.sort(pl.col("moved").abs(), descending=True, maintain_order=True).row(
        0, named=True
    )
    way = "up" if most["moved"] > 0 else "down"
    first = names.sort(pl.col("after") + pl.col("moved"), maintain_order=True)["run"][0]
    leads = f"{plain(first)} would lead"
    if first == names["run"][0]:
        leads = f"{plain(first)} would lead, too"
    mean = float(np.abs(rows["moved"].to_numpy()).mean())
    return (
        f"Learning from {them} moved runs by {mean:.2g} places on average, "
        f"{plain(most['run'])} most ({way} {abs(most['moved'])}); without it {leads}."
    )


def _name_ties(
    able: NDArray[np.int64],
    value: NDArray[np.float64],
    status: list[str],
    reasons: list[str | None],
    said: Verdict | None,
) -> None:
    """Give the runs that cannot be told from the first that reason, where they have no other."""
    if said is None:
        return
    order = able[np.argsort(-value[able], kind="stable")]
    for i in order[1 : said.n_tied].tolist():
        if status[i] == "ok" and reasons[i] is None:
            reasons[i] = TIED


def _verdict(taken: Prefixes, scored: Scored, se: NDArray[np.float64]) -> Verdict | None:
    """How sure the ranking is, where two or more runs were scored."""
    if len(taken) < 2 or scored.rank_stability is None:
        return None
    order = np.argsort(-scored.score, kind="stable")
    budget = None
    if taken.horizon_from is not None:
        end = float(np.median(taken.step.last()))
        budget = min(end / taken.horizon, 1.0) if taken.horizon > 0 else 1.0
    return verdict(scored.score[order], se[order], scored.rank_stability, budget, scored.agreement)


def _need_two_runs(curves: CurveSet) -> None:
    sizes = curves.runs.group_by("group", maintain_order=True).len()
    if sizes["len"].max() == 1:
        if sizes.height == 1:
            why = f"only one run ({curves.runs['run'][0]!r}); ranking compares two or more"
        else:
            named = ", ".join(repr(g) for g in sizes["group"][:3])
            why = (
                f"{sizes.height} groups with one run each ({named}); runs are compared within a "
                "group: give the runs that may be compared the same group"
            )
        raise InputError(f"{curves.name or 'the curve set'}: {why}")
