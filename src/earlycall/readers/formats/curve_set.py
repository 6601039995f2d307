"""The curve set, earlycall's own format: a Parquet table with a row per observation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from earlycall.curves.parquet import CURVES, RUNS, curves_file, write_of
from earlycall.errors import InputError, first_of
from earlycall.readers.base.growing import State
from earlycall.readers.base.inside import is_inside
from earlycall.readers.base.log import Log, as_text

NAME = "curve set (Parquet)"
_MAX_TRIES = 50  # to read what others write again meanwhile


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file starts as Parquet files do."""
    return head.startswith(b"PAR1")


def parts(path: Path, state: State) -> Iterator[Log]:
    """The table in a file; or the curves and runs of a folder, both of one writing."""
    yield _pair(path) if path.is_dir() else Log(load(path))


def _pair(folder: Path) -> Log:
    """The curves of a curve set with their runs, read again where they were replaced meanwhile.

    Raises:
        InputError: if a file is damaged, or the two were never written together.
    """
    table = folder / RUNS
    for _ in range(_MAX_TRIES):
        source, write = curves_file(folder), write_of(table)
        written = write_of(source)
        try:
            log = Log(load(source), load(table) if is_inside(table, folder) else None)
        except InputError:
            if (write, written) == (write_of(table), write_of(source)) and source.exists():
                raise
            continue
        if (write, written) != (write_of(table), write_of(source)):
            continue
        if None not in (write, written) and write != written:
            raise InputError(
                f"{folder}: {CURVES} and {RUNS} are of two different curve sets; write the set "
                f"again, or move {RUNS} away"
            )
        if log.runs is not None and "run" not in log.runs.columns:
            found = first_of(log.runs.columns)
            raise InputError(f"{table}: the table of runs has no column 'run'; found: {found}")
        return log
    raise InputError(f"{folder}: written again and again while it is read; wait for its writer")


def load(path: Path) -> pl.DataFrame:
    """The table, with the names of runs and groups as categories, which take little memory.

    Raises:
        InputError: if the file is not Parquet, or is truncated or damaged.
    """
    try:
        table = pl.scan_parquet(
            path if as_text(str(path)) == str(path) else path.read_bytes(), glob=False
        )
        names = [c for c, kind in table.collect_schema().items()
                 if c in ("run", "group") and kind == pl.String]  # fmt: skip
        return table.with_columns(pl.col(names).cast(pl.Categorical)).collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        why = str(error).splitlines()[0]
        raise InputError(
            f"{path}: not a whole Parquet file ({why}); copy or write it again"
        ) from None
