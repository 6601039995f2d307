"""Learning from finished runs: the places that runs like these gained or lost by the end.

A Gaussian process on *places gained*. All runs of a group, the finished ones cut to what was seen
of the running ones, are placed by the score; p is a run's place as a normal score. In the order in
which they ended, the finished runs take the places that they held, y; each gained g = y − p, so
that the mean of g is 0 whichever runs were finished. A running run is placed at

    q = p + k · (K + N)⁻¹ · g,      k(i, j) = exp(−d(i, j)) · (1 in one group, ½ between groups)

where d is half the mean distance of what the prefixes look like, in normal scores, and half that of
their settings (``hp.*``, ``arch.*``). N is diagonal: 0.15 for runs of the same group, 1 for those
of others, whose outcomes say less. With no finished run q = p: the order of the score.

Length scale 1 and noise 0.15 lie on the plateau of a grid of sixteen pairs; leaving out any of four
public sets, the other three choose 1 and 0.1 to 0.2. ``docs/finished_measured.md`` says what was
measured, and what was not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from earlycall.curves import CurveSet, Direction, Prefixes
from earlycall.curves.horizon import Horizon
from earlycall.curves.outcomes import is_summary, outcomes, with_outcome
from earlycall.errors import InputError
from earlycall.scores import Score
from earlycall.scores.outlook import Standing, averaged
from earlycall.scores.ranks import mean_ranks, normal_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NOISE = 0.15  # variance of places gained that no likeness explains, in units of what it does
NOISE_ELSEWHERE = 1.0
BETWEEN_GROUPS = 0.5
PLACE_WEIGHT = 3  # features that the place itself counts as
DIFFERENT = 2.0  # distance of two values of a setting that is no number
PRIOR_RUNS = 100.0  # finished runs whose errors count as much as what the score says of itself
MIN_FINISHED = 2  # one run can only hold its own place
MAX_ELSEWHERE = 1000
MAX_VALUES = 200  # of a setting that is no number
SHARED, BLOCK, MAX_BLOCKED = 90, 48, 200  # rows of a matrix that is inverted
ALIKE = 2  # finished runs that a reason names
LIKE = "like "  # how such a reason begins


@dataclass(frozen=True)
class Finished:
    """Runs of one group whose outcomes are known, cut to what was seen of the running ones.

    Attributes:
        prefixes: k runs.
        outcome: shape (k,), larger is better.
    """

    prefixes: Prefixes
    outcome: Floats

    def take(self, rows: NDArray[np.int64]) -> Finished:
        """Only some of the runs, by their increasing row numbers."""
        return Finished(self.prefixes.take(rows), self.outcome[rows])


@dataclass(frozen=True)
class Learned:
    """Where m running runs should end, as normal scores of places in their group.

    Attributes:
        place: shape (m,), the expected place.
        sd: shape (m,), its standard deviation.
        finished: shape (k,), the places of the group's own finished runs.
        left_out: shape (k,), where each of them should end by what became of all others.
        early: shape (m + k,), the places of all by the score alone.
        like: for each running run, the finished runs of its group that moved it most, by row: those
            of which likeness × places gained is largest, in the direction in which it moved.
        gained: shape (k,), the places that each of them gained, as a number of runs.
        count: how many finished runs were learned from, those of other groups included.
    """

    place: Floats
    sd: Floats
    finished: Floats
    left_out: Floats
    early: Floats
    like: NDArray[np.int64]
    gained: Floats
    count: int

    def reason(self, i: int, names: Sequence[str]) -> str | None:
        """Which finished runs a running one resembles, and what became of them."""
        if not self.like.shape[1]:
            return None
        like = self.like[i]
        like = like[np.sign(self.gained[like]) == np.sign(self.gained[like[0]])]
        gained = round(float(self.gained[like].mean()))
        alike = " and ".join(names[j] for j in like)
        where = "at"
        if gained:
            where = f"{abs(gained)} place{'' if abs(gained) == 1 else 's'} "
            where += "above" if gained > 0 else "below"
        return f"{LIKE}{alike}, which ended {where} their early standing"


def finished_runs(curves: CurveSet, outcome: str | None = None) -> CurveSet:
    """The runs of a set whose outcome is known.

    Args:
        curves: finished runs.
        outcome: as `with_outcome` takes it.

    Raises:
        InputError: if there are none.
    """
    curves = with_outcome(curves, outcome)
    outcome_of = outcomes(curves.runs, curves.name, curves.metrics)
    known = curves.filter(pl.Series(np.isfinite(outcome_of)))
    if not len(known):
        raise InputError(f"{curves.name or 'the finished runs'}: no run has a finite outcome")
    return known


def others(past: CurveSet, curves: CurveSet, metric: str) -> tuple[CurveSet, list[str]]:
    """The finished runs that are not among the ranked ones, and the names of those that are.

    One run is what has one group and name, and in both the same losses as far as both go: its own
    outcome would be learned from, else.
    """
    keys = ["group", "run"]
    shared = past.runs.select(keys).join(curves.runs.select(keys), on=keys, how="inner")
    if not shared.height or metric not in past.metrics:
        return past, []
    mine, theirs = (
        of.frame().join(shared, on=keys, how="semi").drop_nulls(metric)
        .select(*keys, "step", loss=pl.col(metric).cast(pl.Float32)) for of in (curves, past)
    )  # fmt: skip
    both = mine.join(theirs, on=[*keys, "step"], suffix=" there")
    alike = both.filter(pl.col("loss").eq_missing(pl.col("loss there"))).group_by(keys).len("alike")
    counts = mine.group_by(keys).len("here").join(theirs.group_by(keys).len("there"), on=keys)
    same = counts.join(alike, on=keys).filter(pl.col("alike") == pl.min_horizontal("here", "there"))
    if not same.height:
        return past, []
    kept = (
        past.runs.select(keys)
        .join(same.with_columns(same=True), on=keys, how="left", maintain_order="left")["same"]
        .is_null()
    )
    names = past.runs.filter(~kept)["run"].to_list()
    return past.filter(kept), names


def ends_by(past: CurveSet, curves: CurveSet, metric: str) -> dict[str, Horizon]:
    """Where training of each group ends, by past runs of the same group where it is else unknown.

    Those tell it unless a run has already gone beyond them.
    """
    ends = {group: curves.end(group, metric) for group in curves.groups}
    for group in set(past.groups) & {g for g, end in ends.items() if end.source is None}:
        length = past.select(group=group).at_full_length(metric).horizon(group)
        if length >= ends[group].step:
            ends[group] = replace(ends[group], step=length, source="finished runs")
    return ends


def with_own_outcomes(
    curves: CurveSet,
    outcome: str | None,
    metric: str,
    *,
    horizon: float | None = None,
    past: bool = False,
) -> CurveSet:
    """The set with the outcomes of those of its runs that have reached the end of their training.

    Args:
        curves: runs of which some may have finished.
        outcome: as `with_outcome` takes it.
        metric: the loss that is scored.
        horizon: where training ends; by default as `CurveSet.end` has it.
        past: whether other finished runs are given, so that these need not be known.

    Raises:
        InputError: if which runs have finished is not known, since the end of training is not.
    """
    if outcome is None:
        return curves
    named = with_outcome(curves, outcome) if not past or _has(curves, outcome) else None
    if named is None or is_summary(curves, outcome):
        return curves if named is None else named
    ended: list[NDArray[np.bool_]] = []
    for prefixes in curves.prefix(horizon=horizon, metric=metric).prefixes(metric=metric):
        left = prefixes.steps_left
        if left is None and not past:
            raise InputError(
                f"which runs have finished, and have {outcome} as their outcome, is not known, "
                "since the end of training is not: give --horizon, or finished runs by --finished"
            )
        ended.append(np.zeros(len(prefixes), dtype=bool) if left is None else left <= 0)
    return with_outcome(curves, outcome, np.concatenate(ended))


def _has(curves: CurveSet, outcome: str) -> bool:
    try:
        with_outcome(curves, outcome)
    except InputError:
        return False
    return True


def finished_within(curves: CurveSet, metric: str) -> CurveSet | None:
    """The finished runs of the groups in which others are still running, None where there are none.

    Finished is what has an outcome and reaches the horizon; running, what has neither.
    """
    if "final" not in curves.runs.columns:
        return None
    final = curves.runs["final"].cast(pl.Float64, strict=False).fill_null(np.nan)
    known = np.isfinite(final.to_numpy())
    wanted = np.zeros(len(curves), dtype=bool)
    start = 0
    for prefixes in curves.prefixes(metric=metric):
        mine = slice(start, start + len(prefixes))
        start = mine.stop
        left = prefixes.steps_left
        ended = np.zeros(len(prefixes), dtype=bool) if left is None else left <= 0
        running = ~known[mine] & ~ended & prefixes.loss.all_finite() & (prefixes.loss.lengths > 0)
        wanted[mine] = known[mine] & ended & running.any()
    if not wanted.any():
        return None
    found = curves.filter(pl.Series(wanted))
    try:
        outcomes(found.runs, found.name)
    except InputError:  # whether more is better is not known
        return None
    return found


def cut(
    past: CurveSet, metric: str, direction: Direction, running: Prefixes
) -> tuple[list[Finished], list[Finished]]:
    """The finished runs of the group, and those of others, at the budget of the running ones.

    That is the last step of a running one before which half of them would have logged again.
    """
    past = past.directed(metric, direction)
    first, last = running.step.first(), running.step.last()
    gap = np.where(last > first, (last - first) / np.maximum(running.step.lengths - 1, 1), last)
    end = min(float(last.max()), float(np.nextafter(np.median(last + gap), -np.inf)))
    same: list[Finished] = []
    elsewhere: list[Finished] = []
    for group in past.groups:
        part = past.select(group=group)
        mine = group == running.group
        whole = running.horizon if mine else part.at_full_length(metric).horizon(group)
        steps = end * whole / running.horizon if running.horizon > 0 else end
        if steps <= 0:
            continue
        prefixes = part.prefix(steps=steps, metric=metric).prefixes(metric=metric)[0]
        outcome = outcomes(part.runs, part.name)
        able = np.isfinite(outcome) & prefixes.loss.all_finite() & (prefixes.loss.lengths > 0)
        if able.sum() >= MIN_FINISHED:
            one = Finished(replace(prefixes, horizon=whole), outcome).take(np.flatnonzero(able))
            (same if mine else elsewhere).append(one)
    return same, elsewhere


def learn(
    running: Prefixes, same: Sequence[Finished], elsewhere: Sequence[Finished], score: Score
) -> Learned:
    """Place running runs by their score and by what became of finished ones that are like them.

    Args:
        running: m runs with finite losses.
        same: finished runs of the group.
        elsewhere: finished runs of other groups, a part of the group's weight each.
        score: a score that says how sure it is.
    """
    most = MAX_ELSEWHERE // max(len(elsewhere), 1)
    elsewhere = [f.take(_spread(len(f.outcome), most)) for f in elsewhere]
    groups = [_joined([running, *(f.prefixes for f in same)]), *(f.prefixes for f in elsewhere)]
    outcome = [np.concatenate([np.empty(0), *(f.outcome for f in same)])]
    return learn_from(groups, [*outcome, *(f.outcome for f in elsewhere)], score)


def learn_from(groups: Sequence[Prefixes], outcome: Sequence[Floats], score: Score) -> Learned:
    """As `learn`, of runs that lie together already.

    Args:
        groups: the group's m running runs and then its k finished ones; finished runs of others.
        outcome: of the finished runs of each, larger is better.
        score: a score that says how sure it is.
    """
    from scipy.spatial.distance import cdist

    scored = [score(prefixes) for prefixes in groups]
    early = [normal_scores(np.round(s.score, 12)) for s in scored]
    known = [p[len(p) - len(y) :] for p, y in zip(early, outcome, strict=True)]
    late = [_taken(p, y) for p, y in zip(known, outcome, strict=True)]
    gain = np.concatenate([y - p for y, p in zip(late, known, strict=True)])

    k, count = len(outcome[0]), len(gain)
    m = len(groups[0]) - k
    group = np.repeat(np.arange(len(groups)), [len(y) for y in outcome])
    x = _coordinates(groups, early)
    x_running, x_finished = x[:m], x[m:]
    near = np.exp(-cdist(x_running, x_finished, "cityblock"))
    near *= np.where(group == 0, 1.0, BETWEEN_GROUPS)
    among = np.exp(-cdist(x_finished, x_finished, "cityblock"))
    among *= np.where(group[:, None] == group, 1.0, BETWEEN_GROUPS)
    among[np.diag_indices(count)] += np.where(group == 0, NOISE, NOISE_ELSEWHERE)
    inverse = _inverse(among)
    gained = near @ (inverse @ gain)
    place = early[0][:m] + gained
    single = near.astype(np.float32)  # of variances seven digits will do
    explained = np.einsum("ij,ij->i", single @ inverse.astype(np.float32), single)
    unexplained = np.maximum(1 + NOISE - explained.astype(np.float64), NOISE)

    rho = float(np.median(np.sqrt(np.maximum(1 - 3 * scored[0].se[:m] ** 2, 0))))
    prior = 2 * (1 - rho) / (1 + NOISE)  # the variance of g where p and y correlate by rho
    variance = (gain @ inverse @ gain + PRIOR_RUNS * prior) / (count + PRIOR_RUNS)
    spread = max(float(np.sqrt(np.mean(place**2))), 1e-9)
    left = float(variance * unexplained.mean())
    rho = float(np.clip((1 + spread**2 - left) / (2 * spread), 0.05, 0.98))
    everyone = np.sort(np.concatenate([place, known[0]]))
    above = [len(everyone) - np.searchsorted(everyone, p, "right") for p in (known[0], late[0])]
    alike = min(k, ALIKE)
    moving = near[:, :k] * gain[:k] * np.sign(gained)[:, None]
    like = np.argpartition(-moving, alike - 1, axis=1) if alike else np.empty((m, 0), np.int64)
    like = like[:, :alike]
    like = np.take_along_axis(
        like, np.argsort(-np.take_along_axis(moving, like, axis=1), axis=1), axis=1
    )
    return Learned(
        place=rho * place / spread,
        sd=np.sqrt((1 - rho**2) * unexplained / unexplained.mean()),
        finished=late[0],
        left_out=(rho / spread) * (known[0] + (gain - inverse @ gain / np.diag(inverse))[:k]),
        early=early[0],
        like=like,
        gained=(above[0] - above[1]).astype(np.float64),
        count=count,
    )


def _inverse(matrix: Floats) -> Floats:
    """The inverse of a positive definite matrix.

    By blocks where it is small: from 100 rows on, LAPACK shares the work between threads, which
    wait for each other ten times as long as the work takes.
    """
    if not SHARED <= len(matrix) <= MAX_BLOCKED:
        return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    first = np.linalg.inv(matrix[:BLOCK, :BLOCK])
    across = matrix[:BLOCK, BLOCK:]
    left = first @ across
    rest = _inverse(matrix[BLOCK:, BLOCK:] - across.T @ left)
    beside = -left @ rest
    whole = np.empty_like(matrix)
    whole[:BLOCK, :BLOCK] = first - beside @ left.T
    whole[:BLOCK, BLOCK:] = beside
    whole[BLOCK:, :BLOCK] = beside.T
    whole[BLOCK:, BLOCK:] = rest
    return whole


def _taken(place: Floats, outcome: Floats) -> Floats:
    """The places of runs, taken in the order in which they ended; ties share theirs.

    Where all began alike, as networks do before their first step, any place was theirs.
    """
    if len(place) and not np.ptp(place):
        return normal_scores(outcome)
    at = mean_ranks(outcome) - 1
    ordered = np.sort(place)
    return (ordered[np.floor(at).astype(np.int64)] + ordered[np.ceil(at).astype(np.int64)]) / 2


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """At most so many of n rows, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _joined(parts: Sequence[Prefixes]) -> Prefixes:
    """The runs of several prefixes of one group, one after the other."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *map(len, parts)])
    frames = [
        p.frame.with_columns(run_id=pl.col("run_id").cast(pl.Int64) + int(start))
        for p, start in zip(parts, starts[:-1], strict=True)
    ]
    return replace(
        parts[0],
        runs=tuple(run for p in parts for run in p.runs),
        frame=pl.concat(frames, how="diagonal_relaxed"),
        settings=pl.concat([p.settings for p in parts], how="diagonal_relaxed"),
    )


def _coordinates(groups: Sequence[Prefixes], early: Sequence[Floats]) -> Floats:
    """Points whose city-block distance is the distance of runs, the first group's runs first."""
    looks = np.concatenate([_looks(g, p) for g, p in zip(groups, early, strict=True)])
    looks /= looks.shape[1]
    tables = [g.settings for g in groups]
    settings = _settings(
        tables[0] if len(tables) == 1 else pl.concat(tables, how="diagonal_relaxed")
    )
    if not settings:
        return looks
    numbers = [np.concatenate(early)[:, None], *settings]  # settings act by place
    return np.hstack([looks / 2, *(x / (2 * len(numbers)) for x in numbers)])


def _looks(prefixes: Prefixes, place: Floats) -> Floats:
    """What prefixes look like, in normal scores: levels, falls, noise, shape and place."""
    raw = Standing(prefixes.loss, prefixes.step)
    here = averaged(prefixes.loss, prefixes.step)
    quarter, half = here.at_part(1 / 4), here.at_part(1 / 2)
    start, now = here.loss.first(), here.last
    y, row = raw.loss.values, raw.loss.row
    with np.errstate(over="ignore", invalid="ignore"):
        bend = np.abs(np.diff(y, 2)) * (row[2:] == row[:-2])
        noise = np.bincount(row[2:], bend, len(place)) / np.maximum(raw.loss.lengths - 2, 1)
        span = np.abs(start - now) + 1e-12
        features = [
            start, quarter, half, now, here.after_first()[0], raw.after_first()[1], half - now,
            quarter - half, noise, noise / span, (start - quarter) / span, here.step.last(),
        ]  # fmt: skip
    scores = normal_scores(np.nan_to_num(np.array(features), nan=0.0))
    return np.column_stack([scores.T, *[place] * PLACE_WEIGHT])


def _settings(table: pl.DataFrame) -> list[Floats]:
    """A matrix per setting: its normal scores where it is a number, else a column per value."""
    found = []
    for column in table.iter_columns():
        if not column.name.startswith(("hp.", "arch.")) or column.name.endswith("seed"):
            continue
        number = column.cast(pl.Float64, strict=False).to_numpy()
        known = np.isfinite(number)
        if 2 * known.sum() > len(number):
            middle = np.median(number[known])
            if np.ptp(number[known]) > 0:
                found.append(normal_scores(np.where(known, number, middle))[:, None])
        elif 1 < column.n_unique() <= min(len(column) / 2, MAX_VALUES):
            codes = column.cast(pl.String).fill_null("").rank("dense").to_numpy() - 1
            found.append(np.eye(int(codes.max()) + 1)[codes.astype(np.int64)] * DIFFERENT / 2)
    return found
