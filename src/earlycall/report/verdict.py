"""The verdict in plain words: who leads, how sure that is, who should stop, what that saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from earlycall.curves import CurveSet, Prefixes
from earlycall.curves.outcomes import outcomes
from earlycall.formatting import common_ending, duration, percent, plain
from earlycall.ranking.rank import Ranking
from earlycall.scores.ranks import rank_correlation

MIN_LEFT = 0.005  # part of the training below which there is nothing left to stop


@dataclass(frozen=True)
class GroupVerdict:
    """What can be said of the runs of a group.

    Attributes:
        group: its name.
        runs: how many there are.
        best: the run that leads, None where none can be ranked.
        leader: what it is called in words.
        chance: that it ends first, None where the score does not say.
        stop: the runs to stop, as `Ranking.stop` has them.
        saved: the part of the whole group's training that stopping them now saves, None where the
            end of training is unknown.
        seconds: what that saves, None where no time was logged, or the end is unknown.
        left: the part of the group's training that is still to come, None where that is unknown.
        sentences: the verdict in words.
    """

    group: str
    runs: int
    best: str | None
    leader: str
    chance: float | None
    stop: tuple[str, ...]
    saved: float | None
    seconds: float | None
    left: float | None
    sentences: tuple[str, ...]


def verdicts(ranking: Ranking, curves: CurveSet | None = None) -> list[GroupVerdict]:
    """The verdict on each group of a ranking; with its curves, how that turned out."""
    return [_verdict(ranking, prefixes, curves) for prefixes in ranking.prefixes]


def _verdict(ranking: Ranking, prefixes: Prefixes, curves: CurveSet | None) -> GroupVerdict:
    table = ranking.table.filter(pl.col("group") == prefixes.group)
    best = ranking.best(prefixes.group)
    stop = ranking.stop(prefixes.group)
    saved, seconds = saving(prefixes, stop)
    ending = common_ending(table["run"].to_list())
    verdict = GroupVerdict(
        group=prefixes.group,
        runs=len(prefixes),
        best=best,
        leader="" if best is None else plain(best.removesuffix(ending)),
        chance=None if best is None else table["p_first"][0],
        stop=stop,
        saved=saved,
        seconds=seconds,
        left=saving(prefixes, prefixes.runs)[0],
        sentences=(),
    )
    sentences = ranking.sentences(prefixes.group)
    if best is not None:
        sentences += _stopping(verdict)
        if curves is not None:
            sentences += _outcome(table, verdict, curves, ranking.keep(prefixes.group))
    return replace(verdict, sentences=tuple(sentences))


def saving(prefixes: Prefixes, runs: Sequence[str]) -> tuple[float | None, float | None]:
    """What stopping some runs of a group now saves.

    Returns:
        The part of the training of the whole group, and seconds, None where no time was logged;
        neither where the end of training is unknown.
    """
    steps = prefixes.steps_left
    if steps is None:
        return None, None
    stopped = np.isin(np.array(prefixes.runs, dtype=object), np.array(runs, dtype=object))
    part = float(steps[stopped].sum() / max(prefixes.horizon * len(prefixes), 1e-300))
    if not prefixes.has("seconds"):
        return part, None
    spent, at = prefixes.ragged("seconds"), prefixes.ragged("step", where="seconds")
    with np.errstate(divide="ignore", invalid="ignore"):
        pace = (spent.last() - spent.first()) / (at.last() - at.first())
    known = np.isfinite(pace) & (pace > 0)
    seconds = float((steps * pace)[stopped & known].sum())
    return part, seconds if known.any() else None


def _stopping(verdict: GroupVerdict) -> list[str]:
    if verdict.left is not None and verdict.left < MIN_LEFT:
        return ["The runs have reached the end of their training, so there is nothing to stop."]
    if not verdict.stop or verdict.saved is None:
        return []
    them = "it" if len(verdict.stop) == 1 else "them"
    time = "" if verdict.seconds is None else f" ({duration(verdict.seconds)})"
    return [
        f"Stopping {them} here saves {percent(verdict.saved)} of the training of all runs{time}."
    ]


def _outcome(
    table: pl.DataFrame, verdict: GroupVerdict, curves: CurveSet, keep: tuple[str, ...]
) -> list[str]:
    """How the verdict turned out, where it is known how the runs ended."""
    if "final" not in curves.runs.columns:
        return []
    known = curves.runs.with_columns(outcome=pl.Series(outcomes(curves.runs, curves.name)))
    known = known.filter((pl.col("group") == verdict.group) & pl.col("outcome").is_finite())
    mine = known.filter(pl.col("run") == verdict.best)
    both = table.join(known.select("run", "outcome"), on="run").drop_nulls("score")
    if not mine.height or known.height < 3:
        return []
    place = int((known["outcome"] > mine["outcome"][0]).sum()) + 1
    agreed = ""
    if both.height > 2 and both["outcome"].n_unique() > 1:
        rho = rank_correlation(both["score"].to_numpy(), both["outcome"].to_numpy())
        agreed = f"; scores and outcomes correlate by {rho:.2f} (Spearman)"
    held = ""
    if verdict.stop and place > 1:
        best = known.filter(pl.col("outcome") == known["outcome"].max())["run"]
        held = f", and the best was {'' if best.is_in(keep).any() else 'not '}among those to keep"
    return [f"As it turned out, it ended {_ordinal(place)} of {known.height}{held}{agreed}."]


def _ordinal(place: int) -> str:
    if place <= 3:
        return ("first", "second", "third")[place - 1]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{'th' if 10 < place % 100 < 14 else ending}"
