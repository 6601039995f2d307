"""JSON lines: one object a line, as free-form training scripts write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.cleaning import numbers, without_empty_rows
from earlycall.errors import InputError, NothingYetError
from earlycall.readers.log import MOST_METRICS, as_text, flat, must_fit

NAME = "JSON lines"
_CELLS = (str, int, float, bool)


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
