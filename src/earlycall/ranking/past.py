"""Finished runs of an earlier search, as successive halving learns from them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.curves import CurveSet, Direction, Prefixes
from earlycall.curves.columns import watched_loss
from earlycall.curves.outcomes import outcomes
from earlycall.errors import CurveWarning, InputError, UnknownDirectionError
from earlycall.ranking.finished import finished_runs
from earlycall.readers.as_curve_set import as_curve_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MAX_PAST = 200  # runs that are learned from
ALIKE = 0.1  # of the spread of their second losses: that of the first, where all begin alike


@dataclass(frozen=True)
class Past:
    """Runs of an earlier search on the same task, trained to their end.

    Attributes:
        losses: of each run by the resource spent until then, smaller is better.
        outcomes: of each run, smaller is better.
        settings: of each run, by name without ``hp.``.
    """

    losses: Mapping[str, Mapping[float, float]]
    outcomes: Mapping[str, float]
    settings: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(
        cls,
        curves: Any,
        *,
        metric: str | None = None,
        direction: Direction | None = None,
        first: float | None = None,
    ) -> Past:
        """The finished runs of whatever holds curves with outcomes: a path, a curve set, a table.

        Of very many, 200 are taken, spread evenly over their outcomes.

        Args:
            curves: a `CurveSet`, or what `as_curve_set` makes one from.
            metric: what the new search reports, by name; by default the loss that is watched.
            direction: whether less or more of what the new search reports is better.
            first: the step of the first report of the new search. Where that is 1, steps of the
                past that are counted from 0 are taken one on, with a warning; not where all of its
                runs begin alike, as before training.

        Raises:
            InputError: if there is no finished run, several groups or metrics could be meant, or
                the direction is another.

        Examples:
            >>> import polars as pl
            >>> curves = CurveSet.from_losses({"a": [3.0, 2.0], "b": [3.0, 1.0]})
            >>> known = curves.runs.with_columns(final=pl.Series([0.7, 0.9]), higher_is_better=True)
            >>> past = Past.of(CurveSet(curves.observations, known))
            >>> past.losses["b"], past.outcomes["b"]
            ({1.0: 3.0, 2.0: 1.0}, -0.9)
        """
        curves = as_curve_set(curves)
        what = curves.name or "past"
        if len(curves.groups) > 1:
            names = ", ".join(map(repr, curves.groups[:3]))
            raise InputError(
                f"{what} holds {len(curves.groups)} groups ({names} …); give one of them, as "
                "past=earlycall.read(…).select(group=…)"
            )
        curves = finished_runs(curves)
        name = _metric(curves, metric, direction, what)
        if _direction(curves, name) is None:
            curves = curves.directed(name, direction)
        prefixes = curves.prefixes(metric=name)[0]
        if direction not in (None, prefixes.direction):
            more, less = ("more", "less") if direction == "max" else ("less", "more")
            raise InputError(
                f"{what}: {less} of {name!r} is better, but {more} of what this search reports"
            )
        outcome = -outcomes(curves.runs, curves.name)
        usable = np.flatnonzero(prefixes.loss.all_finite() & (prefixes.loss.lengths > 0))
        usable = usable[np.argsort(outcome[usable], kind="stable")]
        rows = usable[
            np.unique(np.linspace(0, len(usable) - 1, min(len(usable), MAX_PAST)).astype(int))
        ]
        on = 0
        if first == 1 and _counted_from_0(prefixes, rows):
            on = 1
            warnings.warn(
                f"{what}: its steps are counted from 0, those of this search from 1; step 0 is "
                "taken as its first, and so on",
                CurveWarning,
                stacklevel=3,
            )
        columns = [c for c in prefixes.settings.columns if c.startswith(("hp.", "arch."))]
        settings = prefixes.settings.select(columns).to_dicts() if columns else [{}] * len(prefixes)
        keys = {i: prefixes.runs[i] for i in rows.tolist()}
        return cls(
            {k: dict(zip((prefixes.step[i] + on).tolist(), prefixes.loss[i].tolist(), strict=True))
             for i, k in keys.items()},
            {k: float(outcome[i]) for i, k in keys.items()},
            {k: {c.removeprefix("hp."): v for c, v in settings[i].items()}
             for i, k in keys.items()},
        )  # fmt: skip


def _metric(curves: CurveSet, wanted: str | None, direction: Direction | None, what: str) -> str:
    """What a search reports, among the metrics of an earlier one; a guess is said."""
    if wanted in curves.metrics or len(curves.metrics) == 1:
        return wanted if wanted in curves.metrics and wanted is not None else curves.metrics[0]
    guess = watched_loss(curves.metrics)[0]
    if guess is None or (direction is not None and _direction(curves, guess) != direction):
        fitting = [m for m in curves.metrics if _direction(curves, m) == direction]
        if len(fitting) != 1:
            raise InputError(
                f"{what} has several metrics ({', '.join(curves.metrics)}), of which none is known "
                "to be what this search reports; give a curve set with that one alone"
            )
        guess = fitting[0]
    others = ", ".join(m for m in curves.metrics if m != guess)
    warnings.warn(
        f"{what}: {guess!r} is taken as what this search reports, not one of: {others}",
        CurveWarning,
        stacklevel=4,
    )
    return guess


def _counted_from_0(prefixes: Prefixes, rows: NDArray[np.int64]) -> bool:
    """Whether runs begin at step 0, and differ there: not a loss from before training."""
    if len(rows) < 2 or prefixes.step.first()[rows].max() > 0:
        return False
    losses = [prefixes.loss[i] for i in rows]
    begun = np.std([loss[0] for loss in losses])
    return bool(begun > ALIKE * np.std([loss[min(1, len(loss) - 1)] for loss in losses]))


def _direction(curves: CurveSet, metric: str) -> Direction | None:
    try:
        return curves.direction(metric)
    except UnknownDirectionError:
        return None
