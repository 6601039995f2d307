"""SQLite files, read only and without taking their word for anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from earlycall.errors import InputError

MAGIC = b"SQLite format 3\0"


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write.

    Raises:
        InputError: if the file is damaged, locked or no database, there or within the block.
    """
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            yield connection
    except sqlite3.Error as error:
        raise InputError(f"{path}: not a readable SQLite file ({error})") from None


def has_tables(path: Path, head: bytes, wanted: set[str]) -> bool:
    """Whether the file is an SQLite database with these tables."""
    if not head.startswith(MAGIC):
        return False
    try:
        with opened(path) as connection:
            return wanted <= {name for (name,) in connection.execute(_TABLES)}
    except (InputError, OverflowError):
        return False


_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def column_names(connection: sqlite3.Connection, table: str) -> set[str]:
    """The columns of a table."""
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def rows(connection: sqlite3.Connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return connection.execute(query, values).fetchall()
