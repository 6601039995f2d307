"""A chart of Weights & Biases exported as CSV: a column per run, ``run - metric``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from earlycall.errors import InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import by_step
from earlycall.readers.formats import delimited

NAME = "Weights & Biases exports"
_BOUNDS = ("__MIN", "__MAX")
_RUNS = re.compile(rb'^"[^"]*(?<! - )"(,"[^"]+ - [^"]+")+\r?$')
_CLOCK = "Relative Time"


def recognises(path: Path, head: bytes) -> bool:
    """Whether the header is an axis and columns of runs, most often with their bounds."""
    first = head.split(b"\n", 1)[0]
    if b" - " not in first or not delimited.recognises(path, head):
        return False
    return b"__MIN" in first or _RUNS.search(first) is not None


def parts(path: Path, state: State) -> Iterator[pl.DataFrame]:
    """The runs' curves along the axis of the chart, whatever it is: the first column.

    Raises:
        InputError: if a cell is no number, or there is no axis.
    """
    table = delimited.load(path)
    axis, *others = table.columns
    if " - " in axis:
        raise InputError(f"{path}: the first column is no axis of numbers; export along steps")
    seconds = (pl.col(axis).alias("seconds"),) if axis.startswith(_CLOCK) else ()
    shown = [c for c in others if " - " in c and not c.endswith(_BOUNDS)]
    curves = []
    for column in shown:
        run, _, metric = column.rpartition(" - ")
        values = table.select(pl.col(axis).alias("step"), pl.col(column).alias("value"), *seconds)
        named = values.with_columns(run=pl.lit(run), name=pl.lit(metric))
        curves.append(named.drop_nulls().cast({"step": pl.Float64, "value": pl.Float64}))
    if not curves:
        raise InputError(f"{path}: no column of a run; export a chart of a metric")
    yield by_step(pl.concat(curves))
