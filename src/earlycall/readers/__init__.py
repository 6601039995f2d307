"""Logs in, a `CurveSet` out: `read` finds the runs under a path and the reader that knows each.

A reader is a module with ``NAME``, ``recognises(path, head)`` and ``load(path)``; recognition is by
content, never by the file's name alone. Third parties add readers by the entry-point group
``earlycall.readers``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast

import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.readers import curve_set, delimited, json_lines

HEAD = 8192
_RUN_TABLES = ("runs.parquet", "runs.csv")


class Reader(Protocol):
    """What a module must have to read one log format."""

    NAME: str

    def recognises(self, path: Path, head: bytes) -> bool:
        """Whether the file, of which ``head`` is the first part, is in this format."""

    def load(self, path: Path) -> pl.DataFrame:
        """The observations in the file: ``step``/``epoch``, metrics, and ``run`` if it has many."""


@cache
def readers() -> tuple[Reader, ...]:
    """The readers, in the order in which they are asked."""
    built_in = (curve_set, json_lines, delimited)
    plugins = [point.load() for point in entry_points(group="earlycall.readers")]
    return cast("tuple[Reader, ...]", (*plugins, *built_in))


def read(paths: str | Path | Sequence[str | Path], *, name: str | None = None) -> CurveSet:
    r"""Read the runs under one or several paths.

    Args:
        paths: curve sets, log files, or folders of logs. In a folder, each file is a run (or
            several, if it has a ``run`` column), named by its path relative to the folder; a
            ``runs.csv`` or ``runs.parquet`` beside the logs tells what is known of each run.
        name: what to call the set in tables; by default the name of the path.

    Returns:
        The runs of all paths together.

    Raises:
        InputError: naming the file, line or column that cannot be read, and what to do.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.csv").write_text("step,train_loss\n1,2.5\n2,1.5\n")
        ...     read(folder).runs["run"].to_list()
        ['a.csv']
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    if not paths:
        raise InputError("no path was given; name a curve set, a log file or a folder of logs")
    sets = [_read_one(Path(path)) for path in paths]
    whole = CurveSet.concat(sets)
    return whole if name is None else CurveSet(whole.observations, whole.runs, name)


def _read_one(path: Path) -> CurveSet:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    name = path.resolve().name
    if path.is_file():
        if path.name == "curves.parquet":
            return _read_one(path.parent)
        return _from_tables([(path.name, _load(path, _reader_of(path)))], None, name)
    if (path / "curves.parquet").exists():
        tables = [("", curve_set.load(path / "curves.parquet"))]
    else:
        tables = [(file.relative_to(path).as_posix(), _load(file, reader))
                  for file, reader in _logs_in(path)]  # fmt: skip
        if not tables:
            known = ", ".join(reader.NAME for reader in readers())
            raise InputError(f"{path}: no logs in this folder; recognised are: {known}")
    return _from_tables(tables, _run_table(path), name)


def _logs_in(folder: Path) -> Iterable[tuple[Path, Reader]]:
    """The log files below a folder, sorted; links that lead out of it are not followed."""
    root = folder.resolve()
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            path = Path(where, file)
            if file.startswith(".") or file in _RUN_TABLES or not path.is_file():
                continue
            if not path.resolve().is_relative_to(root):
                continue
            if (reader := _recognise(path)) is not None:
                yield path, reader


def _recognise(path: Path) -> Reader | None:
    with path.open("rb") as file:
        head = file.read(HEAD)
    return next((reader for reader in readers() if head and reader.recognises(path, head)), None)


def _reader_of(path: Path) -> Reader:
    """The reader of a file that was named; why there is none, if there is none."""
    reader = _recognise(path)
    if reader is not None:
        return reader
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.strip():
        raise InputError(f"{path}: the file is empty")
    if b"\0" in head or not _is_text(head):
        raise InputError(
            f"{path}: a binary file that no reader recognises; give a log or curve set"
        )
    known = ", ".join(reader.NAME for reader in readers())
    raise InputError(f"{path}: not a log in a known format; recognised are: {known}")


def _is_text(head: bytes) -> bool:
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _load(path: Path, reader: Reader) -> pl.DataFrame:
    try:
        return reader.load(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _run_table(folder: Path) -> pl.DataFrame | None:
    """What is known of each run, from the table beside the logs."""
    for name in _RUN_TABLES:
        if (folder / name).exists():
            path = folder / name
            return curve_set.load(path) if name.endswith("parquet") else delimited.table(path)
    return None


def _from_tables(
    tables: list[tuple[str, pl.DataFrame]], runs: pl.DataFrame | None, name: str
) -> CurveSet:
    """One curve set from the tables of several files."""
    named = []
    for file, table in tables:
        if "run" not in table.columns:
            named.append(table.with_columns(run=pl.lit(file)))
        elif len(tables) > 1:
            named.append(table.with_columns(run=pl.format("{}/{}", pl.lit(file), "run")))
        else:
            named.append(table)
    whole = pl.concat(named, how="diagonal_relaxed") if len(named) > 1 else named[0]
    try:
        return CurveSet.from_frame(whole, runs, name=name)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
