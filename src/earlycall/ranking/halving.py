"""Successive halving by any score: which runs may go on when they reach a rung."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import CurveWarning, InputError
from earlycall.ranking.rank import DEFAULT_SCORE, rank
from earlycall.scores import get

Losses = Mapping[float, float]  # a loss by the resource (steps, epochs, seconds) spent until then


@dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving (ASHA), with a score in place of the last loss.

    Rungs lie at min_resource·η^k. When a run first reports at or beyond a rung, it is ranked by
    its score among all runs that came so far, each cut off there, and goes on if it is among the
    best ⌈n/η⌉ of the n. A run that cannot be scored goes on; a diverged one does not.

    Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020, which
    compares the last loss.

    Attributes:
        score: the name of a score.
        min_resource: the first rung, in the unit in which runs report (steps, epochs, seconds).
        reduction_factor: η, above 1; one run in η goes on.
        max_resource: where training ends: no rung lies at or beyond it, and scores that look ahead
            look so far. None where it is unknown.

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
    reduction_factor: float = 3
    max_resource: float | None = None

    def __post_init__(self) -> None:
        get(self.score)
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
        resources = sorted(losses)
        if not resources:
            return None
        rung = self.rung(resources[-1])
        if rung is None or (len(resources) > 1 and resources[-2] >= rung):
            return None
        return rung

    def goes_on(self, run: str, losses: Mapping[str, Losses]) -> bool:
        """Whether a run goes on after its last report.

        Args:
            run: the run that reported.
            losses: for each run, this one among them, its losses (smaller is better) so far.

        Raises:
            InputError: if the run is not among them.
        """
        if run not in losses:
            raise InputError(f"no losses of the run {run!r}")
        rung = self.reached(losses[run])
        if rung is None:
            return True
        cut = {name: until(of, rung) for name, of in losses.items() if of and max(of) >= rung}
        return run in self.best(cut, math.ceil(len(cut) / self.reduction_factor - 1e-9))

    def best(self, losses: Mapping[str, Losses], n: int) -> set[str]:
        """The n best of some runs by the score, with those that cannot be scored.

        Examples:
            >>> sorted(Halving("last_loss").best({"a": {1: 3.0}, "b": {1: 2.0}, "c": {1: 1.0}}, 2))
            ['b', 'c']
        """
        if len(losses) <= n:
            return {run for run, of in losses.items() if all(map(math.isfinite, of.values()))}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CurveWarning)
            table = rank(curves_of(losses), score=self.score, horizon=self.max_resource).table
        goes_on = pl.col("rank").is_null() | (pl.col("rank") <= n)
        return set(table.filter(goes_on & (pl.col("status") != "diverged"))["run"])


def until(losses: Losses, rung: float) -> dict[float, float]:
    """The reports of a run until the first at or beyond a rung.

    Examples:
        >>> until({1: 0.9, 5: 0.8, 9: 0.7}, rung=3)
        {1: 0.9, 5: 0.8}
    """
    kept: dict[float, float] = {}
    for resource in sorted(losses):
        kept[resource] = losses[resource]
        if resource >= rung:
            break
    return kept


def curves_of(losses: Mapping[str, Losses]) -> CurveSet:
    """A curve set of runs that report losses by resource."""
    rows = [(run, float(at), float(loss)) for run, of in losses.items() for at, loss in of.items()]
    schema = {"run": pl.String, "step": pl.Float64, "train_loss": pl.Float64}
    return CurveSet.from_frame(pl.DataFrame(rows, schema=schema, orient="row"))
