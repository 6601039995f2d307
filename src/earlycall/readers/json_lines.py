"""JSON lines: one object a line, as free-form training scripts write them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from earlycall.curves.cleaning import numbers, without_empty_rows
from earlycall.errors import InputError, NothingYetError
from earlycall.readers.growing import DoubtError, Gathered, GrowingLines, Kinds
from earlycall.readers.log import MOST_METRICS, as_text, flat, must_fit

NAME = "JSON lines"
_CELLS = (str, int, float, bool)
_SAMPLE = 64  # lines by which the names and types in a part are guessed
_MOST_NAMES, _MOST_CELLS = 4096, 1 << 24
_NAME = re.compile(rb'"((?:[^"\\\\]|\\\\.)*)"\s*:')
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # of a surrogate pair, perhaps without the other


def recognises(path: Path, head: bytes) -> bool:
    """Whether the first line is a JSON object."""
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)
    if not first[0].startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(first[0]), dict)
    except RecursionError:
        return False
    except ValueError:
        return len(first) == 1 and path.suffix.lower() in (".jsonl", ".ndjson")


def load(path: Path) -> pl.DataFrame:
    """The observations; nested objects are flattened with a slash (``train/loss``).

    A last line without its end is still being written, and left for later.

    Raises:
        InputError: naming the line that is not a JSON object, or the text in a numeric column.
    """
    try:
        return _in_parts(path)
    except (DoubtError, OSError):
        return _line_by_line(path)


def _line_by_line(path: Path) -> pl.DataFrame:
    """As `load`: slowly, but knowing each line's number."""
    columns: dict[str, _Cells] = {}
    lines: list[int] = []
    with path.open("rb") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            record = _record(path, line, text)
            if record is None:
                break
            for name, value in record.items():
                columns.setdefault(name, _Cells()).add(len(lines), value)
            lines.append(line)
            if len(columns) > MOST_METRICS:
                break
    if not lines:
        raise NothingYetError(f"{path}: no whole line in the file yet")
    try:
        must_fit(len(lines), len(columns), sum(len(cells.rows) for cells in columns.values()))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return _table(path, columns, lines)


class _Cells:
    """The values of a column, with their rows: most metrics are not on every line."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.values: list[Any] = []

    def add(self, row: int, value: Any) -> None:
        self.rows.append(row)
        self.values.append(value)

    def filled(self, height: int) -> list[Any]:
        """A value for each row, None where there is none."""
        if len(self.rows) == height:
            return self.values
        cells = [None] * height
        for row, value in zip(self.rows, self.values, strict=True):
            cells[row] = value
        return cells


def _record(path: Path, line: int, text: bytes) -> dict[str, Any] | None:
    """The flattened object on a line, None for a last line that is still being written."""
    try:
        record = json.loads(text.decode("utf-8-sig" if line == 1 else "utf-8"))
    except (ValueError, RecursionError) as error:
        if not text.endswith(b"\n"):
            return None
        why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON"
        raise InputError(f"{path}, line {line}: {why}; correct or remove the line") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}, line {line}: expected a JSON object, got {record!r:.40}")
    if len(record) > MOST_METRICS:
        raise InputError(f"{path}, line {line}: {len(record)} names are more than a log has")
    return {k: v for k, v in flat(record).items() if isinstance(v, _CELLS) or v is None}


def _table(path: Path, columns: dict[str, _Cells], lines: list[int]) -> pl.DataFrame:
    out = []
    for name, found in columns.items():
        cells = found.filled(len(lines))
        text = any(isinstance(cell, str) for cell in cells)
        values = [None if c is None else as_text(str(c)) for c in cells] if text else cells
        column = pl.Series(name, values, dtype=pl.String if text else pl.Float64, strict=False)
        if name in ("run", "group"):
            texts = [None if c is None else as_text(str(c)) for c in cells]
            out.append(pl.Series(name, texts, dtype=pl.String))
            continue
        parsed = numbers(column)
        if isinstance(parsed, int):
            raise InputError(
                f"{path}, line {lines[parsed]}, column {name!r:.80}: "
                f"{cells[parsed]!r:.60} is not a number; correct it or write null"
            )
        if parsed is not None:
            out.append(parsed)
    rows = without_empty_rows(pl.DataFrame(out))
    if not rows.height:
        raise NothingYetError(f"{path}: no line with a number yet")
    return rows


def tail(path: Path) -> JsonLinesTail:
    """What reads a growing log of one run on."""
    return JsonLinesTail(path)


def gathering(path: Path) -> Gathered:
    """What reads a growing log of several runs on."""
    return Gathered(JsonLinesTail(path, several=True))


class JsonLinesTail:
    """The observations of a log, a part of the file at a time.

    Args:
        path: the log.
        several: whether it may have several runs.
    """

    def __init__(self, path: Path, *, several: bool = False) -> None:
        self._lines = GrowingLines(path)
        self._several = several
        self._kinds = Kinds()

    def runs(self) -> pl.DataFrame | None:
        """What is known of the run: nothing."""
        return None

    def more(self) -> pl.DataFrame | None:
        """Some of the new observations, None if there are none yet.

        Raises:
            DoubtError: if a line or a column cannot be understood without the others.
        """
        first = not self._lines.end
        lines = self._lines.read()
        if not lines.strip() and _is_object(self._lines.rest):
            lines = self._lines.take_rest()  # a whole last line, without its end
        if not lines.strip():
            return None
        table = _parsed(lines.removeprefix(b"\xef\xbb\xbf") if first else lines)
        columns = []
        for column in table.get_columns():
            if column.name in ("run", "group"):
                columns.append(self._named(column))
                continue
            parsed = self._kinds.numbers(column)
            if parsed is not None:
                columns.append(parsed.cast(pl.Float64))
        rows = without_empty_rows(pl.DataFrame(columns))
        return rows if rows.width else None

    def _named(self, column: pl.Series) -> pl.Series:
        """The names of runs or groups."""
        if not self._several or column.dtype not in (pl.String, pl.Null):
            raise DoubtError
        return column.cast(pl.String)


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _in_parts(path: Path) -> pl.DataFrame:
    """As `load`, thousands of lines at once.

    Raises:
        DoubtError: if a part cannot be understood alone.
    """
    follower, parts = JsonLinesTail(path), []
    while (part := follower.more()) is not None:
        parts.append(part)
    if not parts:
        raise DoubtError
    names = set().union(*(part.columns for part in parts))
    if len(names) > MOST_METRICS or not any(p.height for p in parts):
        raise DoubtError
    must_fit(sum(p.height for p in parts), len(names), sum(p.height * p.width for p in parts))
    return pl.concat(parts, how="diagonal")


def _parsed(lines: bytes) -> pl.DataFrame:
    """A table of whole lines: numbers, truth values and texts, nested names joined.

    Raises:
        DoubtError: if a line is not understood as it would be alone.
    """
    try:
        lines.decode("utf-8")
        sample, height = _sample(lines)
        _must_be_narrow(b"\n".join(sample), height)
        schema = _schema([json.loads(line) for line in sample])
        try:
            found = _complete(pl.read_ndjson(lines, schema=schema), lines, height)
        except (DoubtError, pl.exceptions.PolarsError):
            _must_be_narrow(lines, height)  # the sample may lack names
            every = pl.read_ndjson(lines, infer_schema_length=None)
            found = _complete(every, lines, height)
        return pl.DataFrame(found) if found else pl.DataFrame({"": [None] * height})
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DoubtError from error
    except pl.exceptions.PolarsError as error:
        raise DoubtError from error


def _complete(table: pl.DataFrame, lines: bytes, height: int) -> dict[str, pl.Series]:
    """The columns of a table that has all that the lines have.

    Polars leaves out names that a schema lacks and takes the first value of a name that an object
    has twice: the names are counted. Half of a surrogate pair it reads as something else.

    Raises:
        DoubtError: if something is missing.
    """
    found, filled = _flattened(table)
    names, nulls = lines.count(b'":'), lines.count(b'": null') + lines.count(b'":null')
    if table.height != height or names != filled + nulls or b'" :' in lines:
        raise DoubtError
    if _HALF.search(lines):
        raise DoubtError
    return found


def _sample(lines: bytes) -> tuple[list[bytes], int]:
    """Some lines, of each number of quotes at least two, and how many lines there are."""
    content = np.frombuffer(lines, np.uint8)
    stops = np.flatnonzero(content == ord("\n"))
    starts = np.concatenate([[0], stops[:-1] + 1])
    if np.any(stops - starts < 3):  # perhaps a blank line
        kept = [bool(lines[a:b].strip()) for a, b in zip(starts, stops, strict=True)]
        starts, stops = starts[kept], stops[kept]
    quotes = np.add.reduceat(content == ord('"'), starts, dtype=np.int64)
    _, first = np.unique(quotes, return_index=True)
    _, last = np.unique(quotes[::-1], return_index=True)
    some = np.linspace(0, len(starts) - 1, min(_SAMPLE, len(starts))).astype(np.int64)
    rows = np.unique(np.concatenate([some, first[:_SAMPLE], len(starts) - 1 - last[:_SAMPLE]]))
    return [lines[starts[i] : stops[i]] for i in rows.tolist()], len(starts)


def _must_be_narrow(lines: bytes, height: int) -> None:
    """Refuse lines with so many names that a table of them would be huge.

    Raises:
        DoubtError: if they are too many.
    """
    names = set(_NAME.findall(lines))
    if len(names) > _MOST_NAMES or len(names) * height > _MOST_CELLS:
        raise DoubtError


def _schema(records: list[dict[str, Any]]) -> dict[str, pl.DataType]:
    """The names and types in some records."""
    seen: dict[str, list[Any]] = {}
    for record in records:
        for name, value in record.items():
            seen.setdefault(name, []).append(value)
    return {name: _type([v for v in values if v is not None]) for name, values in seen.items()}


def _type(values: list[Any]) -> pl.DataType:
    """The type of some values.

    Raises:
        DoubtError: if they are of several, or of one that no column has.
    """
    kinds = {type(value) for value in values}
    if kinds == {dict}:
        return pl.Struct(_schema(values))
    if kinds and kinds <= {int, float}:
        return pl.Float64()
    if kinds <= {bool}:
        return pl.Boolean() if kinds else pl.Null()
    if kinds == {str}:
        return pl.String()
    raise DoubtError


def _flattened(table: pl.DataFrame, prefix: str = "") -> tuple[dict[str, pl.Series], int]:
    """The columns, nested ones by their names joined with a slash; how many values there are.

    Raises:
        DoubtError: if two columns have the same name.
    """
    out: dict[str, pl.Series] = {}
    filled = 0
    for column in table.get_columns():
        name = f"{prefix}{column.name}"
        filled += column.count()
        if column.dtype == pl.Struct:
            found, inside = _flattened(column.struct.unnest(), f"{name}/")
            filled += inside
        else:
            found = {} if column.dtype == pl.List else {name: column.alias(name)}
        if out.keys() & found.keys():
            raise DoubtError
        out |= found
    return out, filled
