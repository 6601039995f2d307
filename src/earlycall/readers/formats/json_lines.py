"""JSON lines: one object a line, as free-form training scripts write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from earlycall.curves.cleaning import RereadRequiredError, numbers, without_empty_rows
from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base import foreign
from earlycall.readers.base.growing import State, growing_parts, is_json_object, new_rows
from earlycall.readers.base.log import MAX_METRICS, Log, as_text, flat, json_value, must_fit

NAME = "JSON lines"
_CELLS = (str, int, float, bool)
_SAMPLE_LINES = 64  # by which the names and types in a block are guessed
_MAX_NAMES, _MAX_CELLS = 4096, 1 << 24
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


def is_log(path: Path, head: bytes) -> bool:
    """Whether a file that was only found in a folder is a log, by its first lines."""
    records = []
    for line in head.splitlines()[:_SAMPLE_LINES]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        try:
            records += [flat(record)] if isinstance(record, dict) else []
        except RecursionError:
            return True  # reading it says what is wrong
    if not records:  # the first line is longer than what was looked at
        return True
    names = dict.fromkeys(name for record in records for name in record)
    cells = {name: [record.get(name) for record in records] for name in names}
    plain = (*_CELLS, type(None))
    return foreign.is_log({n: v for n, v in cells.items() if all(isinstance(c, plain) for c in v)})


def parts(path: Path, state: State) -> Iterator[Log]:
    """The new observations; nested objects are flattened with a slash (``train/loss``).

    A last line without its end that is no whole object is still being written and not read.
    """
    return growing_parts(path, state, lambda p, s: new_rows(p, s, _Parser), load)


def load(path: Path) -> pl.DataFrame:
    """All observations, slowly but knowing each line's number.

    Raises:
        InputError: naming the line that is not a JSON object, or the text in a numeric column.
    """
    columns: dict[str, tuple[list[int], list[Any]]] = {}  # rows and values: most are sparse
    lines: list[int] = []
    with path.open("rb") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            record = _record(path, line, text)
            if record is None:
                break
            for name, value in record.items():
                rows, values = columns.setdefault(name, ([], []))
                rows.append(len(lines))
                values.append(value)
            lines.append(line)
            if len(columns) > MAX_METRICS:
                break
    if not lines:
        raise EmptyLogError(f"{path}: no whole line in the file yet")
    try:
        must_fit(len(lines), len(columns), sum(len(rows) for rows, _ in columns.values()))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return _table(path, columns, lines)


def _record(path: Path, line: int, text: bytes) -> dict[str, Any] | None:
    """The flattened object on a line, None for a last line that is still being written."""
    try:
        record = json_value(text.decode("utf-8-sig" if line == 1 else "utf-8"))
    except (ValueError, RecursionError) as error:
        if not text.endswith(b"\n"):
            return None
        why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON"
        raise InputError(f"{path}, line {line}: {why}; correct or remove the line") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}, line {line}: expected a JSON object, got {record!r:.40}")
    if len(record) > MAX_METRICS:
        raise InputError(f"{path}, line {line}: {len(record)} names are more than a log has")
    return {k: v for k, v in flat(record).items() if isinstance(v, _CELLS) or v is None}


def _table(
    path: Path, columns: dict[str, tuple[list[int], list[Any]]], lines: list[int]
) -> pl.DataFrame:
    out = []
    for name, (rows, values) in columns.items():
        cells: list[Any] = [None] * len(lines)
        for row, value in zip(rows, values, strict=True):
            cells[row] = value
        is_name = name in ("run", "group")
        if is_name or any(isinstance(value, str) for value in values):
            texts = [None if c is None else as_text(str(c)) for c in cells]
            column = pl.Series(name, texts, dtype=pl.String)
        else:
            column = pl.Series(name, cells, dtype=pl.Float64, strict=False)
        parsed = column if is_name else numbers(column)
        if isinstance(parsed, int):
            raise InputError(
                f"{path}, line {lines[parsed]}, column {name!r:.80}: "
                f"{cells[parsed]!r:.60} is not a number; correct it or write null"
            )
        if parsed is not None:
            out.append(parsed)
    table = without_empty_rows(pl.DataFrame(out))
    if not table.height:
        raise EmptyLogError(f"{path}: no line with a number yet")
    return table


class _Parser:
    """Tables of lines; a byte order mark may stand before the first."""

    def __init__(self, path: Path) -> None:
        self._first = True

    def __call__(self, lines: bytes) -> pl.DataFrame | None:
        lines = lines.removeprefix(b"\xef\xbb\xbf") if self._first else lines
        self._first = False
        return _parsed(lines) if lines.strip() else None

    def is_whole(self, rest: bytes) -> bool:
        return is_json_object(rest)


def _parsed(lines: bytes) -> pl.DataFrame:
    """A table of whole lines: numbers, truth values and texts, nested names joined."""
    try:
        lines.decode("utf-8")
        sample, height = _sample(lines)
        _must_be_narrow(b"\n".join(sample), height)
        schema = _schema([json.loads(line) for line in sample])
        try:
            found = _complete(pl.read_ndjson(lines, schema=schema), lines, height)
        except (RereadRequiredError, pl.exceptions.PolarsError):
            _must_be_narrow(lines, height)  # the sample may lack names
            every = pl.read_ndjson(lines, infer_schema_length=None)
            found = _complete(every, lines, height)
        return pl.DataFrame({
            name: column.cast(pl.Float64) if column.dtype.is_numeric() else column
            for name, column in found.items()
        })  # fmt: skip
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RereadRequiredError from error
    except pl.exceptions.PolarsError as error:
        raise RereadRequiredError from error


def _complete(table: pl.DataFrame, lines: bytes, height: int) -> dict[str, pl.Series]:
    """The columns of a table that has all that the lines have.

    Polars leaves out names that a schema lacks and takes the first value of a name that an object
    has twice: the names are counted. Half of a surrogate pair it reads as something else.
    """
    found, filled = _flattened(table)
    names, nulls = lines.count(b'":'), lines.count(b'": null') + lines.count(b'":null')
    if table.height != height or names != filled + nulls or b'" :' in lines:
        raise RereadRequiredError
    if _HALF.search(lines):
        raise RereadRequiredError
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
    some = np.linspace(0, len(starts) - 1, min(_SAMPLE_LINES, len(starts))).astype(np.int64)
    rows = np.unique(
        np.concatenate([some, first[:_SAMPLE_LINES], len(starts) - 1 - last[:_SAMPLE_LINES]])
    )
    return [lines[starts[i] : stops[i]] for i in rows.tolist()], len(starts)


def _must_be_narrow(lines: bytes, height: int) -> None:
    """Refuse lines with so many names that a table of them would be huge."""
    names = set(_NAME.findall(lines))
    if len(names) > _MAX_NAMES or len(names) * height > _MAX_CELLS:
        raise RereadRequiredError


def _schema(records: list[dict[str, Any]]) -> dict[str, pl.DataType]:
    """The names and types in some records."""
    seen: dict[str, list[Any]] = {}
    for record in records:
        for name, value in record.items():
            seen.setdefault(name, []).append(value)
    return {name: _type([v for v in values if v is not None]) for name, values in seen.items()}


def _type(values: list[Any]) -> pl.DataType:
    """The type of some values."""
    kinds = {type(value) for value in values}
    if kinds == {dict}:
        return pl.Struct(_schema(values))
    if kinds and kinds <= {int, float}:
        return pl.Float64()
    if kinds <= {bool}:
        return pl.Boolean() if kinds else pl.Null()
    if kinds == {str}:
        return pl.String()
    raise RereadRequiredError


def _flattened(table: pl.DataFrame, prefix: str = "") -> tuple[dict[str, pl.Series], int]:
    """The columns, nested ones by their names joined with a slash; how many values there are."""
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
            raise RereadRequiredError
        out |= found
    return out, filled
