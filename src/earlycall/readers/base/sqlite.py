"""SQLite files, read only and without taking their word for anything."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from earlycall.errors import InputError
from earlycall.readers.base.inside import is_inside

_BLOCK_ROWS = 1 << 16
_MAX_CELL_BYTES = 1 << 22  # of what a tracker writes; a generated column can make any cell huge
_MAX_STEPS = 1 << 31  # of SQLite's machine, some seconds: a view can go on for ever
_STEPS_AT_ONCE = 1 << 20
MAGIC = b"SQLite format 3\0"


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write.

    What a killed writer left half done is rolled back in a copy: the file itself stays as it is.

    Raises:
        InputError: if the file is damaged, locked or no database, there or within the block.
    """
    try:
        with _connected(path) as connection:
            try:
                connection.execute(_TABLES).fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in _NEEDS_A_WRITER:
                    raise
            else:
                yield connection
                return
        with TemporaryDirectory() as folder:
            copy = _copied(path, Path(folder))
            with _connected(copy, "rw") as connection:
                yield connection
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable SQLite file ({error})") from None


# A journal to be rolled back, or a write-ahead log in a folder in which its index cannot be made.
_NEEDS_A_WRITER = (
    sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY_CANTINIT, sqlite3.SQLITE_READONLY_DIRECTORY,
)  # fmt: skip


@contextmanager
def _connected(path: Path, mode: str = "ro") -> Iterator[sqlite3.Connection]:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_CELL_BYTES)
        calls = count(1)
        connection.set_progress_handler(
            lambda: next(calls) * _STEPS_AT_ONCE > _MAX_STEPS, _STEPS_AT_ONCE
        )
        yield connection


def _copied(path: Path, folder: Path) -> Path:
    for end in ("", "-journal", "-wal"):
        beside = path.with_name(path.name + end)
        if is_inside(beside, path.parent):
            shutil.copyfile(beside, folder / beside.name)
    return folder / path.name


def has_tables(path: Path, head: bytes, wanted: set[str]) -> bool:
    """Whether the file is an SQLite database with these tables."""
    if not head.startswith(MAGIC):
        return False
    try:
        with opened(path) as connection:
            return wanted <= {name for (name,) in connection.execute(_TABLES)}
    except InputError:
        return False


_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def column_names(connection: sqlite3.Connection, table: str) -> set[str]:
    """The columns of a table."""
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def rows(connection: sqlite3.Connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return connection.execute(query, values).fetchall()


def frame(connection: sqlite3.Connection, query: str, schema: dict[str, Any]) -> pl.DataFrame:
    """All rows of a query as a table, without holding all of them as Python objects.

    A value of another type than its column's is missing.
    """
    cursor = connection.execute(query)
    parts = [pl.DataFrame(schema=schema)]
    while found := cursor.fetchmany(_BLOCK_ROWS):
        columns = zip(*found, strict=True)
        parts.append(
            pl.DataFrame([_typed(*c) for c in zip(schema, schema.values(), columns, strict=True)])
        )
    return pl.concat(parts)


def _typed(name: str, kind: Any, values: tuple[Any, ...]) -> pl.Series:
    """A column, in which a value of another type is missing: SQLite keeps any in any."""
    own = str if kind == pl.String else int | float
    cells = [value if isinstance(value, own) else None for value in values]
    return pl.Series(name, cells, dtype=kind, strict=False)
