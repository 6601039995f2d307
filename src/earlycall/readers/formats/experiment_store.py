"""The experiment store, an SQLite file that ``earlycall nas add`` fills: collected runs."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import Log

NAME = "earlycall experiment stores"
COLUMNS = ("group", "run", "known", "curve")


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a database with the store's table of runs."""
    from earlycall.readers.base.sqlite import column_names, has_tables, opened

    if not has_tables(path, head, {"runs", "alembic_version"}):
        return False
    with opened(path) as connection:
        return {*COLUMNS, "identity", "content"} <= column_names(connection, "runs")


def parts(path: Path, state: State) -> Iterator[Log]:
    """The runs.

    Raises:
        InputError: if there are none, or what it holds was damaged.
    """
    from earlycall.readers.base.sqlite import opened, rows

    with opened(path) as connection:
        columns = ", ".join(f'"{name}"' for name in COLUMNS)
        stored = rows(connection, f"SELECT {columns} FROM runs ORDER BY id")  # noqa: S608
    if not stored:
        raise EmptyLogError(f"{path}: no runs in this store yet; add some with 'earlycall nas add'")
    try:
        yield unpacked(stored)
    except (ValueError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
        why = str(error).splitlines()[0][:200]
        raise InputError(f"{path}: not as an experiment store keeps runs ({why})") from None


def unpacked(stored: Iterable[tuple[str, str, str, bytes]]) -> Log:
    """The curves and settings of stored runs; the second run of one name gets a number.

    Args:
        stored: of each, its group, its name, what is known of it as JSON, and its curve as Parquet.
    """
    tables, runs, count = [], [], Counter[tuple[str, str]]()
    for group, run, known, curve in stored:
        count[group, run] += 1
        number = count[group, run]
        key = {"group": group, "run": run if number == 1 else f"{run} ({number})"}
        table = pl.read_parquet(io.BytesIO(curve))
        tables.append(table.with_columns(pl.lit(v).alias(k) for k, v in key.items()))
        runs.append(json.loads(known) | key)
    facts = pl.DataFrame(runs, infer_schema_length=None, strict=False)
    return Log(pl.concat(tables, how="diagonal_relaxed"), facts)
