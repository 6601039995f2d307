"""The outcomes of finished runs, oriented so that larger is better."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np
import polars as pl

from earlycall.curves.columns import Direction, is_held_out
from earlycall.curves.columns import direction as direction_of
from earlycall.curves.curve_set import CurveSet
from earlycall.errors import CurveWarning, InputError, UnknownDirectionError, first_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUMMARY = "summary."  # of the columns of runs with what a summary beside the log holds
_TRUTHS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def with_outcome(
    curves: CurveSet, outcome: str | None, ended: NDArray[np.bool_] | None = None
) -> CurveSet:
    """The set with the last or best value of a metric as the outcome of its runs.

    Args:
        curves: runs that have ended.
        outcome: ``METRIC``, ``METRIC:last`` or ``METRIC:best``; or a number of the summaries beside
            the logs, ``summary.NAME``. ``:min`` or ``:max`` at its end says whether less or more is
            better, where the name does not. None leaves the outcomes as they are.
        ended: shape (m,), the runs whose curves reach their end; by default all.

    Raises:
        InputError: if there is no such metric, or whether less or more is better is not known.

    Examples:
        >>> curves = CurveSet.from_losses({"a": [2.0, 1.0, 1.5]}, metric="val_loss")
        >>> with_outcome(curves, "val_loss:best").runs.select("final", "final_metric").row(0)
        (1.0, 'val_loss')
    """
    if outcome is None:
        return curves
    summaries = [c for c in curves.runs.columns if c.startswith(SUMMARY)]
    short = {c.removeprefix(SUMMARY): c for c in summaries if c.removeprefix(SUMMARY)}
    known = {m: m for m in curves.metrics} | {c: c for c in summaries}
    known = short | known
    name, how, way = _parsed(outcome, known)
    if name not in known:
        what, found = curves.name or "the curve set", first_of([*curves.metrics, *summaries])
        raise InputError(
            f"{what} has no metric {outcome!r} to be the outcome (METRIC, METRIC:last or "
            f"METRIC:best); found: {found}"
        )
    column = known[name]
    metric = column.removeprefix(SUMMARY)
    way = way or curves.directions.get(metric) or direction_of(metric)
    if way is None:
        raise InputError(
            f"{UnknownDirectionError(metric).question}; write the outcome as {name}:{how}:min or "
            f"{name}:{how}:max"
        )
    if column in curves.runs.columns:
        final = curves.runs[column].cast(pl.Float64, strict=False)
    else:
        value = pl.col(metric).cast(pl.Float64)
        best = value.filter(value.is_finite())
        taken = value.last() if how == "last" else best.min() if way == "min" else best.max()
        rows = curves.observations.drop_nulls(metric).group_by("run_id").agg(final=taken)
        values = np.full(len(curves), np.nan)
        values[rows["run_id"].to_numpy()] = rows["final"].fill_null(np.nan).to_numpy()
        if ended is not None:
            values[~ended] = np.nan
        final = pl.Series(values).fill_nan(None)
    columns = {"final_metric": pl.lit(metric), "higher_is_better": pl.lit(way == "max")}
    return replace(curves, runs=curves.runs.with_columns(final=final, **columns))


def is_summary(curves: CurveSet, outcome: str) -> bool:
    """Whether an outcome is a number of the summaries beside the logs, not one of the curves'."""
    columns = {c for c in curves.runs.columns if c.startswith(SUMMARY)}
    named = {c.removeprefix(SUMMARY) for c in columns} | columns
    return _parsed(outcome, {*named, *curves.metrics})[0] in named - set(curves.metrics)


def _parsed(outcome: str, known: Collection[str]) -> tuple[str, str, Direction | None]:
    """The metric, whether its last or best value, and its direction where that is given."""
    name, how = outcome, "last"
    way: Direction | None = None
    while name not in known:
        head, _, tail = name.rpartition(":")
        if tail in ("last", "best") and head:
            how = tail
        elif tail in get_args(Direction) and head:
            way = "max" if tail == "max" else "min"
        else:
            break
        name = head
    return name, how, way


def outcomes(runs: pl.DataFrame, name: str = "", metrics: Sequence[str] = ()) -> Floats:
    """The outcome of each run, oriented so that larger is better; NaN where unknown.

    Whether more is better says the column ``higher_is_better``; where there is none, the name in
    ``final_metric``; where there is none either, less is taken as better, with a warning.

    Args:
        runs: a row per run.
        name: of the set, for sentences.
        metrics: of its curves, of which one is offered where there are no outcomes.

    Raises:
        InputError: if the table of runs has no column ``final``, or does not say whether less or
            more of an outcome is better.
    """
    what = name or "the curve set"
    if "final" not in runs.columns:
        offered = [c for c in runs.columns if c.startswith(SUMMARY)]
        offered += sorted((m for m in metrics if direction_of(m)), key=lambda m: not is_held_out(m))
        such = f", such as {offered[0]}" + ":last" * (offered[0] in metrics) if offered else ""
        raise InputError(
            f"{what} has no outcomes: name a metric by --outcome METRIC[:last|best]{such} (in "
            "Python, outcome=…), or add a column 'final' to runs.parquet or runs.csv, a row per run"
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
