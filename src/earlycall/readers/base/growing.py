"""Files that only grow at their end, read on from where the last whole record ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from earlycall.curves.cleaning import RereadRequiredError, numbers, without_empty_rows
from earlycall.curves.columns import KEYS
from earlycall.errors import InputError
from earlycall.readers.base.log import Log, json_value

BLOCK_BYTES = 1 << 24  # read and parsed together
_GUARD_BYTES = 64  # at both ends of what was read, which must not change
State = dict[str, Any]


def growing_parts(
    path: Path,
    state: State,
    new_parts: Callable[[Path, State], Iterator[Log]],
    load: Callable[[Path], pl.DataFrame | Log],
) -> Iterator[Log]:
    """The parts of a log that grows, as a reader's ``parts`` gives them.

    Args:
        path: the log.
        state: what ``new_parts`` keeps; emptied where it must begin again.
        new_parts: gives what is new, or raises `RereadRequiredError`.
        load: reads the log as a whole, where it cannot be read in parts or has nothing yet.
    """
    fresh, found = not state, False
    try:
        for part in new_parts(path, state):
            yield Log(part.observations, part.runs, continues=found or not fresh)
            found |= part.observations.height > 0
    except RereadRequiredError:
        found = False
    else:
        if found or not fresh:
            return
    state.clear()
    if not fresh:
        yield from growing_parts(path, state, new_parts, load)
        return
    whole = load(path)
    yield whole if isinstance(whole, Log) else Log(whole)


def must_have_grown(path: Path, state: State, end: int) -> None:
    """Check that a file still is the one that was read until a byte.

    Raises:
        RereadRequiredError: if it was replaced or has become shorter.
    """
    stat = path.stat()
    if state.setdefault("inode", stat.st_ino) != stat.st_ino or stat.st_size < end:
        raise RereadRequiredError


@dataclass
class GrowingLines:
    """The lines of a file that have their ends, block by block.

    Attributes:
        path: the file.
        end: the byte after the last line that was read.
        number: how many lines `json_lines` has given.
        rest: what stands after the last end of a line.
    """

    path: Path
    end: int = 0
    number: int = 0
    rest: bytes = b""
    _state: State = field(default_factory=dict)
    _head: bytes = b""
    _before: bytes = b""

    def blocks(self) -> Iterator[bytes]:
        """New lines, some megabytes at a time.

        Raises:
            RereadRequiredError: if what was read before is no longer there.
        """
        must_have_grown(self.path, self._state, self.end)
        with self.path.open("rb") as file:
            if file.read(len(self._head)) != self._head:
                raise RereadRequiredError
            file.seek(self.end - len(self._before))
            if file.read(len(self._before)) != self._before:
                raise RereadRequiredError
            while True:
                content = file.read(BLOCK_BYTES)
                cut = content.rfind(b"\n") + 1
                if not cut and len(content) == BLOCK_BYTES:
                    raise RereadRequiredError  # no line is so long
                self.rest = content[cut:]
                if cut:
                    yield self._taken(content[:cut])
                if len(content) < BLOCK_BYTES:
                    return
                file.seek(self.end)

    def take_rest(self) -> bytes:
        """What stands after the last end of a line, as a line."""
        line, self.rest = self.rest, b""
        return self._taken(line) + b"\n"

    def json_lines(self) -> Iterator[tuple[int, bytes]]:
        """New lines with their numbers, from 1; a last one without an end only if it is JSON.

        Raises:
            RereadRequiredError: as `blocks` does.
        """
        for block in self.blocks():
            for line in block.splitlines():
                self.number += 1
                yield self.number, line
        if is_json_object(self.rest):
            self.number += 1
            yield self.number, self.take_rest()

    def _taken(self, lines: bytes) -> bytes:
        self.end += len(lines)
        self._head = (self._head + lines[:_GUARD_BYTES])[:_GUARD_BYTES]
        self._before = (self._before + lines[-_GUARD_BYTES:])[-_GUARD_BYTES:]
        return lines


def is_json_object(text: bytes) -> bool:
    """Whether a text is a whole JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def json_objects(path: Path, lines: GrowingLines) -> Iterator[dict[str, Any]]:
    """The objects on new lines.

    Raises:
        InputError: naming the line that is no JSON object.
        RereadRequiredError: as `GrowingLines.blocks` does.
    """
    for number, line in lines.json_lines():
        if not line.strip():
            continue
        if not is_json_object(line):
            raise InputError(f"{path}, line {number}: not a JSON object; remove it")
        yield json_value(line)


class Parser(Protocol):
    """What makes tables of the lines of a format."""

    def __call__(self, lines: bytes) -> pl.DataFrame | None:
        """A table of whole lines with the types that its cells have, None where there are none.

        Raises:
            RereadRequiredError: if the lines cannot be understood without the others.
        """

    def is_whole(self, rest: bytes) -> bool:
        """Whether a last line without an end is complete."""


def new_rows(path: Path, state: State, parser: Callable[[Path], Parser]) -> Iterator[Log]:
    """The new rows of a table that grows by lines: columns of numbers, ``run`` and ``group``.

    Raises:
        RereadRequiredError: if a line or a column cannot be understood without the others.
    """
    lines, parse, types = state.setdefault(
        "lines", (GrowingLines(path), parser(path), ColumnTypes())
    )
    for block in lines.blocks():
        yield from _rows(parse(block), types)
    if parse.is_whole(lines.rest):
        yield from _rows(parse(lines.take_rest()), types)


def _rows(table: pl.DataFrame | None, types: ColumnTypes) -> Iterator[Log]:
    if table is None:
        return
    columns = [c for c in map(types.numbers, table.get_columns()) if c is not None]
    if any(column.name not in KEYS for column in columns):
        yield Log(without_empty_rows(pl.DataFrame(columns)))


@dataclass
class ColumnTypes:
    """What the columns of a log hold (numbers, truth values or words), part for part.

    A column that mixes them is understood from the whole log only.
    """

    of: dict[str, str] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)

    def numbers(self, column: pl.Series) -> pl.Series | None:
        """A part of a column as numbers (or names of runs), None where it is no metric.

        Raises:
            RereadRequiredError: if it holds something else than the parts before.
        """
        if column.name in ("run", "group"):
            if column.dtype not in (pl.String, pl.Null):
                raise RereadRequiredError  # how a number is written tells the name
            return column.cast(pl.String)
        parsed = numbers(column)
        if isinstance(parsed, int):
            raise RereadRequiredError
        if not column.count():
            self.empty |= {column.name} - self.of.keys()
            return None if self.of.get(column.name) == "words" else column.cast(pl.Null)
        kind = "words" if parsed is None else "truth" if column.dtype == pl.Boolean else "numbers"
        if self.of.setdefault(column.name, kind) != kind or (
            kind == "words" and column.name in self.empty
        ):
            raise RereadRequiredError
        return parsed
