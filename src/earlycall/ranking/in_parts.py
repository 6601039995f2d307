"""Rank a large curve set group by group, as its rows come, with the numbers of `rank`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.curves import CurveSet
from earlycall.curves.budget import as_part
from earlycall.curves.columns import COSTS, is_learning_rate, validation_loss
from earlycall.curves.horizon import Horizon, assumptions
from earlycall.curves.outcomes import outcomes
from earlycall.errors import CurveWarning, InputError
from earlycall.ranking.rank import DEFAULT_SCORE, Ranking, joined, rank_part
from earlycall.readers.scan import Scan, Survey, UnsuitableError, Wanted

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RankedParts:
    """The groups of a set, which are ranked as one goes through them.

    Args:
        survey: of the set.
        options: of `earlycall.ranking.rank.rank_part`.
    """

    def __init__(self, survey: Survey, options: dict[str, Any]) -> None:
        self.survey, self._options = survey, options
        self._notes: list[str] = []
        self._ends: dict[str, Horizon] = {}

    def __len__(self) -> int:
        """How many parts there are."""
        return len(self.survey.parts)

    def __iter__(self) -> Iterator[tuple[Ranking, CurveSet]]:
        """Some groups after the others, ranked, with what was read of their curves.

        Raises:
            UnsuitableError: if the set must be read whole.
        """
        for part in self.survey.parts:
            curves = self.survey.read(part)
            ranked = rank_part(curves, **self._options)
            self._notes += ranked.ranking.warnings
            self._ends.update(ranked.ends)
            yield ranked.ranking, curves
        self.survey.check_unchanged()

    @property
    def notes(self) -> tuple[str, ...]:
        """What makes runs hard to compare, and what was assumed, once one has gone through all."""
        counted = self._options["budget"] is not None and self._options["cost"] == "step"
        return (*self._notes, *assumptions(self._ends, counted=counted))

    def whole(self) -> Ranking:
        """The ranking of all groups.

        Raises:
            UnsuitableError: if the set must be read whole.
        """
        rankings = [ranking for ranking, _ in self]
        ranking = joined(rankings, self.notes)
        self.survey.warn()
        return ranking


def ranked_parts(
    scan: Scan | None, *, group: str | None = None, **options: Any
) -> RankedParts | None:
    """The groups of a curve set, None where it is best read whole.

    Args:
        scan: the set, as `earlycall.readers.scan.scanned` gives it.
        group: rank only the runs of this group.
        options: the others of `rank`, all of them but ``finished`` and ``over``.

    Raises:
        InputError: as `rank` does.
    """
    if scan is None or options["outcome"] is not None:
        return None
    if group is not None:
        scan = scan.only(group)
    wanted = _wanted(scan, options)
    try:
        survey = None if wanted is None else scan.survey(wanted)
    except UnsuitableError:
        return None
    return None if survey is None else RankedParts(survey, options)


def _wanted(scan: Scan, options: dict[str, Any]) -> Wanted | None:
    """What of each curve is looked at; None where groups are not ranked apart."""
    metrics = scan.sample.metrics
    metric = scan.sample.metric(options["metric"])
    runs, own = scan.runs, False
    if runs is not None and "final" in runs.columns and options["score"] == DEFAULT_SCORE:
        own = bool(np.isfinite(_final(runs)).any())
    if own and runs is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                outcomes(runs)
        except (InputError, CurveWarning):
            return None  # what is said of it, is said once
    budget = options["budget"]
    wanted = Wanted(
        metric=metric,
        columns=None,
        part=None if budget is None else as_part(budget),
        steps=options["steps"],
        horizon=options["horizon"],
        whole=_learns if own else lambda _: False,
    )
    limits = [wanted.part, wanted.steps, options["epochs"]]
    if (
        options["score"] != DEFAULT_SCORE
        or options["epochs"] is not None
        or options["cost"] != "step"
        or options["axis"] not in ("observation", "step")
        or sum(limit is not None for limit in limits) > 1
        or any(limit is not None and limit <= 0 for limit in (*limits, wanted.horizon))
    ):
        return wanted
    there = [*metrics, *(c for c in COSTS if c in scan.sample.observations.columns)]
    looked_at = [c for c in there if c in (metric, "val_accuracy", *COSTS)
                 or validation_loss([c])[1] or is_learning_rate(c)]  # fmt: skip
    return replace(wanted, columns=tuple(looked_at))


def _learns(runs: pl.DataFrame) -> bool:
    """Whether running runs of a group may learn from finished ones, of which all is looked at."""
    known = np.isfinite(_final(runs))
    return bool(known.any() and not known.all())


def _final(runs: pl.DataFrame) -> NDArray[np.float64]:
    return runs["final"].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
