"""Successive halving by any score: which runs may go on when they reach a rung."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import scipy.spatial  # noqa: F401  # which learning needs: no decision should wait for it

from earlycall.curves import Prefixes
from earlycall.errors import InputError
from earlycall.ranking.finished import Finished, Learned, learn, learn_from
from earlycall.ranking.past import Past
from earlycall.ranking.rank import DEFAULT_SCORE, ranks
from earlycall.scores import get
from earlycall.scores.ranks import rank_correlation

if TYPE_CHECKING:
    from numpy.typing import NDArray

Losses = Mapping[float, float]  # a loss by the resource (steps, epochs, seconds) spent until then
Settings = Mapping[str, Any]

MAX_COMPARED = 64  # runs at a rung, spread evenly over their last losses, so that it takes ms
MIN_LEARNED = 5  # finished runs
BEST = 0.1  # of the past: what is worse at a rung than all of these were does not go on


@dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving (ASHA), with a score in place of the last loss.

    Rungs lie at min_resource·η^k. When a run first reports at or beyond a rung, it is ranked by
    its score among all runs that came so far, each cut off there, and goes on if it is among the
    best ⌊n/η⌋ of the n, or the best. A run that cannot be scored goes on; a diverged one does not.

    The default score learns from runs that are trained to their end, as `earlycall.rank` does: from
    those of this search, where their outcomes are given, and from those of an earlier one; but only
    where each of them is placed better by the others than by the score alone.

    An earlier search (``past``) is a warm start: its runs stand at each rung as if they had been
    the first of this one, each up to the rung to which it would have come; and what is worse at a
    rung than all of the tenth of them that ended best were there does not go on. The best so far of
    this search does, if it is the first to get there, or has so many behind it that one may be
    expected to: however good the past was, something is to be found.

    Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020, which
    compares the last loss.

    Attributes:
        score: the name of a score.
        min_resource: the first rung, in the unit in which runs report (steps, epochs, seconds).
        reduction_factor: η, above 1; one run in η goes on.
        max_resource: where training ends: no rung lies at or beyond it, and scores that look ahead
            look so far. None where it is unknown.
        past: an earlier search on the same task: a `Past`, or what `Past.of` takes.

    Raises:
        InputError: if a value cannot be used, or no score has this name.

    Examples:
        >>> halving = Halving("last_loss", min_resource=2, reduction_factor=2)
        >>> runs = {"a": {1: 0.9, 2: 0.5}, "b": {1: 0.8, 2: 0.6}}
        >>> halving.goes_on("a", runs), halving.goes_on("b", runs)
        (True, False)
    """

    score: str = DEFAULT_SCORE
    min_resource: float = 1
    reduction_factor: float = 4
    max_resource: float | None = None
    past: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        get(self.score)
        if self.past is not None and self.score != DEFAULT_SCORE:
            raise InputError(f"{self.score} does not learn from a past; leave out one of them")
        if self.past is not None and not isinstance(self.past, Past):
            object.__setattr__(self, "past", Past.of(self.past))
        if not self.min_resource > 0:
            raise InputError(f"min_resource={self.min_resource} must be above 0")
        if not self.reduction_factor > 1:
            raise InputError(f"reduction_factor={self.reduction_factor} must be above 1")
        if self.max_resource is not None and not self.max_resource >= self.min_resource:
            raise InputError(
                f"max_resource={self.max_resource} must be at least "
                f"min_resource={self.min_resource}"
            )

    def rung(self, resource: float) -> float | None:
        """The highest rung at or below a resource, None below the first.

        Examples:
            >>> [Halving(min_resource=2, reduction_factor=3).rung(r) for r in (1, 2, 5, 6, 17)]
            [None, 2.0, 2.0, 6.0, 6.0]
            >>> print(Halving(min_resource=2, max_resource=2).rung(2))
            None
        """
        if resource <= 0:
            return None
        k = math.floor(math.log(resource / self.min_resource, self.reduction_factor) + 1e-9)
        if self.max_resource is not None:
            last = math.log(self.max_resource / self.min_resource, self.reduction_factor)
            k = min(k, math.ceil(last - 1e-9) - 1)
        return None if k < 0 else float(self.min_resource * self.reduction_factor**k)

    def reached(self, losses: Losses) -> float | None:
        """The rung that the last report of a run reached; None if an earlier one had reached it.

        Examples:
            >>> halving = Halving(min_resource=2, reduction_factor=2)
            >>> halving.reached({1: 0.9, 2: 0.8}), halving.reached({2: 0.8, 3: 0.7})
            (2.0, None)
        """
        last = heapq.nlargest(2, losses)
        rung = self.rung(last[0]) if last else None
        return None if rung is None or (last[-1] >= rung and len(last) > 1) else rung

    def goes_on(
        self,
        run: str,
        losses: Mapping[str, Losses],
        *,
        outcomes: Mapping[str, float] | None = None,
        settings: Mapping[str, Settings] | None = None,
    ) -> bool:
        """Whether a run goes on after its last report.

        Args:
            run: the run that reported.
            losses: for each run, this one among them, its losses (smaller is better) so far.
            outcomes: of the runs that were trained to their end (smaller is better).
            settings: of each run, by name.

        Raises:
            InputError: if the run is not among them.
        """
        if run not in losses:
            raise InputError(f"no losses of the run {run!r}")
        rung = self.reached(losses[run])
        return rung is None or bool(
            self.promoted([run], rung, losses, outcomes=outcomes, settings=settings)
        )

    def promoted(
        self,
        runs: Sequence[str],
        rung: float,
        losses: Mapping[str, Losses],
        *,
        outcomes: Mapping[str, float] | None = None,
        settings: Mapping[str, Settings] | None = None,
    ) -> set[str]:
        """Those of some runs at a rung that may go on from there, by all that came until now.

        Args:
            runs: a few runs that have reached the rung.
            rung: where they are compared.
            losses: for each run, these among them, its losses (smaller is better) so far.
            outcomes: of the runs that were trained to their end (smaller is better).
            settings: of each run, by name.

        Examples:
            >>> halving = Halving("last_loss", reduction_factor=2)
            >>> losses = {"a": {1: 0.9}, "b": {1: 0.8}, "c": {1: 1.0}, "d": {1: 1.1}}
            >>> halving.promoted(["a", "c"], 1, losses)
            {'a'}
        """
        asked = set(runs)
        there = _losses_at(rung, losses)
        if self.score == "last_loss":  # to the letter
            values = np.fromiter(there.values(), np.float64, len(there))
            values = np.sort(values[~np.isnan(values)])
            most = max(math.floor(len(values) / self.reduction_factor + 1e-9), 1)
            finite = {run: there[run] for run in runs if not math.isnan(there[run])}
            return {run for run, loss in finite.items() if np.searchsorted(values, loss) < most}
        compared = [*runs, *_spread({n: loss for n, loss in there.items() if n not in asked})]
        cut = {name: until(losses[name], rung) for name in compared}
        if self.past is None:
            most = max(math.floor(len(cut) / self.reduction_factor + 1e-9), 1)
            return asked & self.best(cut, most, outcomes=outcomes, settings=settings)
        return self._beside_past(
            rung, asked, cut, losses, len(there), outcomes or {}, settings or {}
        )

    def _beside_past(
        self,
        rung: float,
        asked: set[str],
        cut: Mapping[str, Losses],
        losses: Mapping[str, Losses],
        count: int,
        outcomes: Mapping[str, float],
        settings: Mapping[str, Settings],
    ) -> set[str]:
        """As `promoted`, of runs cut off at the rung that stand for ``count`` of them."""
        past = {name: f"past {name}" for name in self.past.losses}
        every = {name: settings.get(name, {}) for name in cut} | {
            past[name]: values for name, values in self.past.settings.items()
        }
        shared = set().union(*(every[run] for run in asked))  # of others only what these have, too
        places = self._places(
            {**cut, **{past[name]: until(of, rung) for name, of in self.past.losses.items()}},
            {name: outcomes.get(name, math.nan) for name in cut}
            | {past[name]: outcome for name, outcome in self.past.outcomes.items()},
            {name: {k: v for k, v in of.items() if k in shared} for name, of in every.items()},
        )
        mine = [places.get(name, -math.inf) for name in cut]
        survivors = self._survivors(rung)
        theirs = [places.get(past[name], -math.inf) for name in survivors]
        least = min(places.get(past[name], -math.inf) for name in self._best_of_past)
        most = max(math.floor((count + len(survivors)) / self.reduction_factor + 1e-9), 1)
        enough = len(losses) >= rung / self.min_resource * self.reduction_factor
        found = set()
        for run in filter(lambda run: _finite(cut[run]), asked):
            here = places.get(run, math.inf)
            better = sum(place > here for place in mine)
            above = better * count / len(cut) + sum(place > here for place in theirs)
            best = not better and (
                enough or all(max(losses[n]) <= max(of) for n, of in cut.items())
            )
            if best or (here >= least and above < most):
                found.add(run)
        return found

    def best(
        self,
        losses: Mapping[str, Losses],
        n: int,
        *,
        outcomes: Mapping[str, float] | None = None,
        settings: Mapping[str, Settings] | None = None,
    ) -> set[str]:
        """The n best of some runs by the score, with those that cannot be scored.

        Args:
            losses: of each run so far.
            n: how many; ties are all among them.
            outcomes: of the runs that were trained to their end, to learn from.
            settings: of each run, by name.

        Examples:
            >>> sorted(Halving("last_loss").best({"a": {1: 3.0}, "b": {1: 2.0}, "c": {1: 1.0}}, 2))
            ['b', 'c']
        """
        able = {run for run, of in losses.items() if _finite(of)}
        if len(losses) <= n:
            return able
        places = self._places(losses, outcomes or {}, settings or {})
        rank = ranks(np.array(list(places.values())))
        return able - {run for run, r in zip(places, rank.tolist(), strict=True) if r > n}

    def _places(
        self,
        losses: Mapping[str, Losses],
        outcomes: Mapping[str, float],
        settings: Mapping[str, Settings],
    ) -> dict[str, float]:
        """Where each run that can be scored should end, larger is better.

        A run that has ended is placed like the others, by what became of all but itself: it would
        stand out among places that are only expected.
        """
        score = get(self.score)
        able = [r for r, of in losses.items() if len(of) >= score.shortest and _finite(of)]
        known = {r: outcomes[r] for r in able if math.isfinite(outcomes.get(r, math.nan))}
        ended, going = list(known), [r for r in able if r not in known]
        learns = score.name == DEFAULT_SCORE and len(ended) >= MIN_LEARNED and bool(going)
        runs = [*going, *ended] if learns else able
        if not runs:
            return {}
        prefixes = prefixes_of({r: losses[r] for r in runs}, settings, self.max_resource)
        if learns:
            outcome = -np.array(list(known.values()))
            learned = learn_from([prefixes], [outcome], score)
            both = learned.place, learned.left_out
            place = np.concatenate(both) if _taught(learned, outcome) else learned.early
        else:
            place = score(prefixes).score
        return {r: p for r, p in zip(runs, place.tolist(), strict=True) if math.isfinite(p)}

    def _survivors(self, rung: float) -> list[str]:
        """The past runs that would have come to a rung, had they been pruned like these."""
        if rung not in self._found:
            runs, at = list(self.past.losses), float(self.min_resource)
            while at < rung:
                place = self._place_of_past(at)
                runs.sort(key=lambda run: -place[run])
                runs = runs[: max(math.floor(len(runs) / self.reduction_factor + 1e-9), 1)]
                at *= self.reduction_factor
            self._found[rung] = runs
        return self._found[rung]

    @cached_property
    def _best_of_past(self) -> list[str]:
        """The tenth of the past runs that ended best, two at least."""
        outcome = self.past.outcomes
        return sorted(outcome, key=outcome.__getitem__)[: max(math.ceil(BEST * len(outcome)), 2)]

    @cached_property
    def _found(self) -> dict[float, list[str]]:
        return {}

    def _place_of_past(self, rung: float) -> dict[str, float]:
        cut = {name: until(of, rung) for name, of in self.past.losses.items()}
        prefixes = prefixes_of(cut, self.past.settings, self.max_resource)
        outcome = -np.array([self.past.outcomes[name] for name in cut])
        learned = learn(prefixes, [Finished(prefixes, outcome)], [], get(self.score))
        place = learned.left_out if _taught(learned, outcome) else learned.early[-len(cut) :]
        return dict(zip(cut, place.tolist(), strict=True))


def _taught(learned: Learned, outcome: NDArray[np.float64]) -> bool:
    """Whether finished runs are placed better by the others than by the score alone."""
    early = learned.early[-len(outcome) :]
    return rank_correlation(learned.left_out, outcome) > rank_correlation(early, outcome)


def _finite(losses: Losses) -> bool:
    return all(map(math.isfinite, losses.values()))


def _losses_at(rung: float, losses: Mapping[str, Losses]) -> dict[str, float]:
    """The loss of each run that reached a rung, at its first report there."""
    there: dict[str, float] = {}
    for name, of in losses.items():
        loss = of.get(rung)
        if loss is not None:
            there[name] = loss
        elif of and max(of) >= rung:
            there[name] = of[min(r for r in of if r >= rung)]
    return there


def _spread(there: Mapping[str, float]) -> list[str]:
    """At most 64 of some runs, evenly over their losses."""
    names = list(there)
    if len(names) <= MAX_COMPARED:
        return names
    spread = np.linspace(0, len(names) - 1, MAX_COMPARED).astype(int)
    order = np.argsort(np.fromiter(there.values(), np.float64, len(there)), kind="stable")
    return [names[i] for i in sorted(order[spread].tolist())]


def until(losses: Losses, rung: float) -> dict[float, float]:
    """The reports of a run until the first at or beyond a rung.

    Examples:
        >>> until({1: 0.9, 5: 0.8, 9: 0.7}, rung=3)
        {1: 0.9, 5: 0.8}
    """
    resources = sorted(losses)
    return {r: losses[r] for r in resources[: bisect_left(resources, rung) + 1]}


def prefixes_of(
    losses: Mapping[str, Losses], settings: Mapping[str, Settings], horizon: float | None
) -> Prefixes:
    """Runs that report losses by resource, as scores take them.

    Args:
        losses: of each run.
        settings: of each run, by name; those of others do not matter.
        horizon: where training ends; by default the largest resource.
    """
    resources = [sorted(of) for of in losses.values()]
    at = np.array([r for of in resources for r in of], dtype=np.float64)
    loss = np.array(
        [of[r] for of, mine in zip(losses.values(), resources, strict=True) for r in mine],
        dtype=np.float64,
    )
    row = np.repeat(np.arange(len(losses)), [len(of) for of in resources])
    frame = pl.DataFrame({"run_id": row, "step": at, "train_loss": loss})
    return Prefixes(
        "all", tuple(losses), frame, "train_loss", horizon or float(at.max(initial=1.0)),
        settings=_table([settings.get(run, {}) for run in losses]),
        horizon_from="given" if horizon else None,
    )  # fmt: skip


def _table(settings: Sequence[Settings]) -> pl.DataFrame:
    """A row of settings per run; numbers as numbers, all else as text."""
    names = dict.fromkeys(name for one in settings for name in one)
    columns = {}
    for name in names:
        values = [one.get(name) for one in settings]
        numbers = all(v is None or isinstance(v, int | float) for v in values)
        texts = [v if v is None or numbers else str(v) for v in values]
        key = name if name.startswith("arch.") else f"hp.{name}"
        columns[key] = pl.Series(texts, dtype=pl.Float64 if numbers else pl.String, strict=False)
    return pl.DataFrame(columns)
