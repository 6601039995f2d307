"""The outcomes of finished runs, oriented so that larger is better."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from earlycall.curves.columns import direction as direction_of
from earlycall.errors import CurveWarning, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


_TRUTHS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def outcomes(runs: pl.DataFrame, name: str = "") -> NDArray[np.float64]:
    """The outcome of each run, oriented so that larger is better; NaN where unknown.

    Whether more is better says the column ``higher_is_better``; where there is none, the name in
    ``final_metric``; where there is none either, less is taken as better, with a warning.

    Raises:
        InputError: if the table of runs has no column ``final``, or does not say whether less or
            more of an outcome is better.
    """
    what = name or "the curve set"
    if "final" not in runs.columns:
        raise InputError(
            f"{what} has no outcomes: add a column 'final' to runs.parquet or runs.csv, a row per "
            "run"
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
