"""The curve set, earlycall's own format: a Parquet table with a row per observation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import polars as pl

from earlycall.curves.parquet import CURVES, RUNS, curves_file, write_of
from earlycall.errors import InputError, first_of
from earlycall.readers.base import foreign
from earlycall.readers.base.growing import State
from earlycall.readers.base.inside import is_inside, is_within
from earlycall.readers.base.log import Log, as_text

NAME = "curve set (Parquet)"
WHOLE_TREE = False
RUN_TABLES = (RUNS, "runs.csv")
_FIRST_ROWS = 20  # by which a log is known
Curves = TypeVar("Curves")
_MAX_TRIES = 50  # to read what others write again meanwhile


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file starts as Parquet files do."""
    return head.startswith(b"PAR1")


def is_log(path: Path, head: bytes) -> bool:
    """Whether a file that was only found in a folder is a log, by its first rows."""
    try:
        rows = pl.scan_parquet(path.read_bytes()).head(_FIRST_ROWS).collect()
    except (pl.exceptions.PolarsError, OSError):
        return True  # reading it says what is wrong
    plain = [c for c in rows.iter_columns() if not c.dtype.is_nested()]
    return foreign.is_log({column.name: column.to_list() for column in plain})


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is a curve set."""
    return CURVES in files or (folder / CURVES).is_dir()


def claims(name: str) -> bool:
    """Whether a file of the folder belongs to the set."""
    return name in (CURVES, *RUN_TABLES)


def owns(folder: Path, below: list[str]) -> list[str]:
    """The folder in which curves are partitioned by group."""
    return [name for name in below if name == CURVES]


def parts(path: Path, state: State) -> Iterator[Log]:
    """The table in a file; or the curves and runs of a folder, both of one writing."""
    yield Log(*pair(path, load)) if path.is_dir() else Log(load(path))


def pair(folder: Path, read: Callable[[Path], Curves]) -> tuple[Curves, pl.DataFrame | None]:
    """The curves of a curve set with its runs, read again where they were replaced meanwhile.

    Args:
        folder: the set.
        read: reads the curves.

    Raises:
        InputError: if a file is damaged, or the two were never written together.
    """
    table = folder / RUNS
    for _ in range(_MAX_TRIES):
        source, write = curves_file(folder), write_of(table)
        written = write_of(source)
        try:
            curves, runs = read(source), run_table(folder)
        except InputError:
            if (write, written) == (write_of(table), write_of(source)) and source.exists():
                raise
            continue
        if (write, written) != (write_of(table), write_of(source)):
            continue
        check_pair(folder, write, written)
        if runs is not None and "run" not in runs.columns:
            found = first_of(runs.columns)
            raise InputError(f"{table}: the table of runs has no column 'run'; found: {found}")
        return curves, runs
    raise InputError(f"{folder}: written again and again while it is read; wait for its writer")


def check_pair(folder: Path | str, write: str | None, written: str | None) -> None:
    """Make sure that runs and curves come from one writing, where both say from which.

    Raises:
        InputError: if they do not.
    """
    if None not in (write, written) and write != written:
        raise InputError(
            f"{folder}: {CURVES} and {RUNS} are of two different curve sets; write the set "
            f"again, or move {RUNS} away"
        )


def is_set(folder: Path) -> bool:
    """Whether a folder is a curve set, all of which lies in it."""
    return os.path.lexists(folder / CURVES) and is_within(folder / CURVES, folder)


def run_table(folder: Path) -> pl.DataFrame | None:
    """The table of runs beside logs."""
    for name in RUN_TABLES:
        table = folder / name
        if folder.is_dir() and is_inside(table, folder):
            if name.endswith("parquet"):
                return load(table)
            from earlycall.readers.formats import delimited

            return delimited.table(table)
    return None


def load(path: Path) -> pl.DataFrame:
    """The table, with the names of runs and groups as categories, which take little memory.

    Raises:
        InputError: if the file is not Parquet, or is truncated or damaged.
    """
    with readable(path):
        return collected(scan(path))


def collected(table: pl.LazyFrame) -> pl.DataFrame:
    """A table with the names of runs and groups as categories, which take little memory."""
    names = [c for c, kind in table.collect_schema().items()
             if c in ("run", "group") and kind == pl.String]  # fmt: skip
    return table.with_columns(pl.col(names).cast(pl.Categorical)).collect(engine="streaming")


def scan(path: Path) -> pl.LazyFrame:
    """The table in a file, or in a folder of files partitioned by ``group=``, not read yet."""
    return pl.scan_parquet(
        path if as_text(str(path)) == str(path) else path.read_bytes(), glob=False
    )


def signature(path: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when a table is written again: the files, their sizes and times."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(file), file.stat()) for file in files]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say which table could not be read, and what to do.

    Raises:
        InputError: if what is read here is not Parquet, or is truncated or damaged.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        why = str(error).splitlines()[0]
        raise InputError(
            f"{path}: not a whole Parquet file ({why}); copy or write it again"
        ) from None
