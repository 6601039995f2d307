"""A log that only ever grows at its end, read on from where the last whole record ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

from earlycall.curves.cleaning import numbers
from earlycall.readers.base.log import Log

AT_ONCE = 1 << 24  # bytes that are read and parsed at once
_GUARD = 64  # bytes before the end of what was read, which must stay what they were
Stamp = tuple[int, int, int]


class DoubtError(Exception):
    """What is new cannot be read alone as it would be read as a part of the whole log.

    The file was replaced, or the new part changes what the columns before it mean: read it anew.
    """


class Tail(Protocol):
    """What follows one run's log."""

    def more(self) -> pl.DataFrame | None:
        """Some of the new observations, None if there are none yet.

        Raises:
            DoubtError: if the log must be read anew.
        """

    def runs(self) -> pl.DataFrame | None:
        """What is known of the run."""


class Gathering(Protocol):
    """What reads on a log of any number of runs, and keeps what it has read."""

    def log(self) -> Log:
        """All of the log so far.

        Raises:
            DoubtError: if it must be read anew.
            InputError: as reading it anew would.
        """


class Gathered:
    """A log in one file, of which the parts are kept.

    Args:
        tail: what gives the parts.
    """

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._parts: list[pl.DataFrame] = []

    def log(self) -> Log:
        """All of the log so far.

        Raises:
            DoubtError: if it must be read anew.
        """
        while (new := self._tail.more()) is not None:
            self._parts.append(new)
        if not self._parts:
            raise DoubtError
        try:
            whole = pl.concat(self._parts, how="diagonal_relaxed")
        except pl.exceptions.PolarsError as error:
            raise DoubtError from error
        self._parts = [whole]
        return Log(whole, self._tail.runs())


def stamp(path: Path) -> Stamp:
    """What changes when a file is written: its place, size and time."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@dataclass
class GrowingLines:
    """The lines of a file that have their ends, a part at a time.

    Attributes:
        path: the file.
        end: the byte after the last line that was given.
        rest: what stands after the last end of a line.
    """

    path: Path
    end: int = 0
    rest: bytes = b""

    def __post_init__(self) -> None:
        self._seen: Stamp = (0, 0, 0)
        self._before = b""
        self._head = b""

    def read(self) -> bytes:
        """Whole lines that are new, at most some megabytes of them; empty if there are none.

        Raises:
            DoubtError: if what was read before is no longer there.
        """
        now = stamp(self.path)
        if now == self._seen:
            return b""
        if self._seen[0] not in (0, now[0]) or now[1] < self.end:
            raise DoubtError
        with self.path.open("rb") as file:
            self._must_be_the_same(file.read(_GUARD))
            guard = min(self.end, _GUARD)
            file.seek(self.end - guard)
            content = file.read(guard + AT_ONCE)
            if content[:guard] != self._before[-guard:][:guard]:
                raise DoubtError
            content = content[guard:]
            cut = content.rfind(b"\n") + 1
            if not cut and len(content) == AT_ONCE:
                raise DoubtError  # no line is so long
        if len(content) < AT_ONCE:
            self._seen = now  # all of it has been read
        lines, self.rest = content[:cut], content[cut:]
        self.end += cut
        self._before = (self._before + lines[-_GUARD:])[-_GUARD:]
        return lines

    def take_rest(self) -> bytes:
        """What stands after the last end of a line, as a line; it will not be given again."""
        line, self.rest = self.rest, b""
        self.end += len(line)
        self._before = (self._before + line[-_GUARD:])[-_GUARD:]
        return line + b"\n"

    def _must_be_the_same(self, head: bytes) -> None:
        head = head[: min(self.end, _GUARD)] if self.end else b""
        if self._head and head[: len(self._head)] != self._head:
            raise DoubtError
        self._head = head


@dataclass
class Kinds:
    """What the columns of a log hold (numbers, truth values or words), part for part.

    A column that mixes them is understood from the whole log only.
    """

    of: dict[str, str] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)

    def numbers(self, column: pl.Series) -> pl.Series | None:
        """A part of a column as numbers, None where it is no metric.

        Raises:
            DoubtError: if it holds something else than the parts before.
        """
        parsed = numbers(column)
        if isinstance(parsed, int):
            raise DoubtError
        if not column.count():
            self.empty |= {column.name} - self.of.keys()
            return None if self.of.get(column.name) == "words" else parsed
        kind = "words" if parsed is None else "truth" if column.dtype == pl.Boolean else "numbers"
        if self.of.setdefault(column.name, kind) != kind or (
            kind == "words" and column.name in self.empty
        ):
            raise DoubtError
        return parsed
