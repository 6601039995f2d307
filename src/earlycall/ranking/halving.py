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
from earlycall.ranking.finished import Finished, learn, learn_from
from earlycall.ranking.past import Past
from earlycall.ranking.rank import DEFAULT_SCORE, ranks
from earlycall.scores import get
from earlycall.scores.ranks import mean_ranks, normal_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

Losses = Mapping[float, float]  # a loss by the resource (steps, epochs, seconds) spent until then
Settings = Mapping[str, Any]

MAX_COMPARED = 100  # runs at a rung, spread evenly over their last losses, so that it takes ms
MIN_LEARNED = 5  # finished runs
MIN_PAST = 10  # finished runs that say which part of the runs should go on
SIZES = 64, 1024  # of a search, between which parts are found for powers of two
DRAWS = 4096  # runs drawn from what the past says
FINER = 0.8  # by how much a part is made stricter at a time


@dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving (ASHA), with a score in place of the last loss.

    Rungs lie at min_resource·η^k. When a run first reports at or beyond a rung, it is ranked by
    its score among all runs that came so far, each cut off there, and goes on if it is among the
    best ⌊n/η⌋ of the n, or the best. A run that cannot be scored goes on; a diverged one does not.

    The default score learns from runs that are trained to their end, as `earlycall.rank` does: from
    those of this search, where their outcomes are given, and from those of an earlier one. The
    earlier ones stand at each rung, too, beside all runs of this search (those that ended at an
    earlier rung are worse), and say which part of them may go on: those parts by which a search of
    this size finds the best outcome, for no more than it would cost without. The best so far of
    this search goes on, too, once it has tried enough to expect one.

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
        if rung is None:
            return True
        there, others = _fewer({n: of for n, of in losses.items() if n != run}, rung)
        compared = [run, *there]
        count = others + 1
        cut = {name: until(losses[name], rung) for name in compared}
        if self.past is None:
            wanted = max(math.floor(len(cut) / self.reduction_factor + 1e-9), 1)
            return run in self.best(cut, wanted, outcomes=outcomes, settings=settings)
        if not _finite(cut[run]):
            return False
        cut |= {f"past {name}": until(of, rung) for name, of in self.past.losses.items()
                if max(of) >= rung}  # fmt: skip
        known = {f"past {name}": outcome for name, outcome in self.past.outcomes.items()}
        theirs = {f"past {name}": values for name, values in self.past.settings.items()}
        mine = settings.get(run, {}) if settings else {}  # of others only what this run has, too
        every = {**(settings or {}), **theirs}
        shared = {n: {k: v for k, v in every.get(n, {}).items() if k in mine} for n in cut}
        places = self._places(cut, {**(outcomes or {}), **known}, shared)
        if run not in places:
            return True
        here = places[run]
        better: float = sum(places.get(n, -math.inf) > here for n in compared)
        most = len(compared) / self.reduction_factor
        if any(mine.keys() & values.keys() for values in theirs.values()):
            size = 2 ** round(math.log2(min(max(len(losses), SIZES[0]), SIZES[-1])))
            part = self._parts(size).get(rung, self.min_resource / (rung * self.reduction_factor))
            if better == 0 and len(losses) * part >= 1:
                return True  # the best so far: however good the past was, something is to be found
            of_past = sum(places.get(n, -math.inf) > here for n in known)
            better = better * count / len(compared) + of_past
            most = (len(losses) + len(known)) * part
        return better < max(math.floor(most + 1e-9), 1)

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
            learned = learn_from([prefixes], [-np.array(list(known.values()))], score)
            place = np.concatenate([learned.place, learned.left_out])
        else:
            place = score(prefixes).score
        return {r: p for r, p in zip(runs, place.tolist(), strict=True) if math.isfinite(p)}

    @cached_property
    def _joint(self) -> tuple[list[float], NDArray[np.float64], NDArray[np.float64]]:
        """The rungs; of many runs drawn from what the past says, places there, and outcomes.

        How well places at each rung tell one another and the outcome is read off the past runs,
        each placed by what became of the others, as a normal copula.
        """
        end = self.max_resource or max(max(of) for of in self.past.losses.values())
        rungs = [float(self.min_resource)]
        while rungs[-1] * self.reduction_factor < end * (1 - 1e-9):
            rungs.append(float(self.min_resource * self.reduction_factor ** len(rungs)))
        outcome = np.array(list(self.past.outcomes.values()))
        seen = [normal_scores(self._left_out(rung)) for rung in rungs]
        with np.errstate(invalid="ignore"):  # where all runs begin alike
            known = np.corrcoef([*seen, normal_scores(-outcome)])
        value, vector = np.linalg.eigh(np.nan_to_num(known))
        root = vector * np.sqrt(np.maximum(value, 0))
        drawn = np.random.default_rng(0).standard_normal((DRAWS, len(known))) @ root.T
        drawn = drawn[np.argsort(-drawn[:, -1])]
        return rungs, np.array([mean_ranks(-of) / DRAWS for of in drawn[:, :-1].T]), drawn[:, -1]

    def _parts(self, n: int) -> dict[float, float]:
        """By rung, the part of n runs that goes on there: what would serve best by the past.

        It costs no more than the same without a past, and is expected to find the best outcome, be
        it that runs come to an end first, or what may be spent on them (the mean of both).
        """
        if n in self._found or len(self.past.outcomes) < MIN_PAST:
            return self._found.get(n, {})
        rungs, place, outcome = self._joint
        end = max(self.max_resource or max(map(max, self.past.losses.values())), rungs[-1])
        steps = np.diff([0.0, *rungs, end]) / end
        plain = float(steps @ self._arrivals(n, rungs))

        def tried(parts: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            alive = np.logical_and.accumulate(place <= parts[:, None], axis=0)
            return float(steps[0] + steps[1:] @ alive.mean(axis=1)), outcome[alive[-1]]

        parts, best, found = np.ones(len(rungs)), -math.inf, {}
        stricter = np.where(np.eye(len(rungs)), FINER, 1.0)
        cost, left = tried(parts)
        while len(left) * n * max(plain / cost, 1) > DRAWS:  # some of the runs reach the end
            before, here = cost, _highest(left, n)
            lost = []  # for what each stricter part saves
            for which in stricter:
                cost, left = tried(parts * which)
                saved = before - cost
                lost.append((here - _highest(left, n)) / saved if saved > 0 else 0.0)
            parts = parts * stricter[int(np.argmin(lost))]
            cost, left = tried(parts)
            value = _highest(left, n) + _highest(left, n * plain / cost)
            if cost <= plain and value > best:
                best, found = value, dict(zip(rungs, parts.tolist(), strict=True))
        self._found[n] = found
        return found

    @cached_property
    def _found(self) -> dict[int, dict[float, float]]:
        return {}

    def _arrivals(self, n: int, rungs: Sequence[float]) -> NDArray[np.float64]:
        """Which parts of n runs like the past's train until each rung and the end without a past.

        That is plain halving by the last loss, where equal losses go on together.
        """
        loss = np.array([[list(until(of, rung).values())[-1] for rung in rungs]
                         for of in self.past.losses.values()])  # fmt: skip
        rng = np.random.default_rng(0)
        count = np.zeros(len(rungs) + 1)
        orders = max(1, 512 // n)
        for _ in range(orders):
            came = rng.integers(0, len(loss), n)
            for k in range(len(rungs)):
                count[k] += len(came)
                _, number, equal = np.unique(loss[:, k], return_inverse=True, return_counts=True)
                mine = number[came] + rng.uniform(0, 1, len(came)) * (equal[number[came]] == 1)
                better = np.tril(mine[None] < mine[:, None]).sum(axis=1)
                wanted = np.maximum(np.arange(1, len(came) + 1) // self.reduction_factor, 1)
                came = came[better < wanted]
            count[-1] += len(came)
        return count / (orders * n)

    def _left_out(self, rung: float) -> NDArray[np.float64]:
        """The place of each past run at a rung, by what became of the others."""
        cut = {name: until(of, rung) for name, of in self.past.losses.items()}
        prefixes = prefixes_of(cut, self.past.settings, self.max_resource)
        known = -np.array([self.past.outcomes[name] for name in cut])
        return learn(prefixes, [Finished(prefixes, known)], [], get(self.score)).left_out


def _highest(outcome: NDArray[np.float64], n: float) -> float:
    """The highest outcome expected of n runs, where these are the survivors of `DRAWS`, sorted."""
    none = np.exp(-n / DRAWS * np.arange(len(outcome) + 1))
    return float(outcome @ (none[:-1] - none[1:]) - 3 * none[-1])


def _finite(losses: Losses) -> bool:
    return all(map(math.isfinite, losses.values()))


def _fewer(losses: Mapping[str, Losses], rung: float) -> tuple[list[str], int]:
    """At most 100 of the runs that reached a rung, evenly over their losses there; how many did."""
    there: dict[str, float] = {}
    for name, of in losses.items():
        loss = of.get(rung)
        if loss is not None:
            there[name] = loss
        elif of and max(of) >= rung:
            there[name] = of[min(r for r in of if r >= rung)]
    names = list(there)
    if len(names) <= MAX_COMPARED:
        return names, len(names)
    spread = np.linspace(0, len(names) - 1, MAX_COMPARED).astype(int)
    order = np.argsort(np.fromiter(there.values(), float, len(names)), kind="stable")
    return [names[i] for i in sorted(order[spread].tolist())], len(names)


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
