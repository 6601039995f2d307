"""CSV and TSV logs: wide (a file per run) or long (a ``run`` column), with sparse rows."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl

from earlycall.curves.cleaning import RereadRequiredError, numbers, without_empty_rows
from earlycall.errors import CurveWarning, EmptyLogError, InputError
from earlycall.formatting import csv_read
from earlycall.readers.base import foreign
from earlycall.readers.base.growing import State, growing_parts, new_rows
from earlycall.readers.base.log import Log, must_fit, number_or_text

NAME = "CSV or TSV"
DELIMITERS = (",", "\t", ";")
_MAX_HEADER_BYTES = 1 << 24
_FIRST_ROWS = 20  # by which a log is known
_ASSIGNED = re.compile(r"[=:]\s*[-+]?\.?\d")
_NULLS = ["", "NA", "N/A", "null", "None"]


def recognises(path: Path, head: bytes) -> bool:
    """Whether the first line is a header of two or more names and the next ones have as many cells.

    A single column counts too where the file is called .csv or .tsv.
    """
    try:
        lines = _text(head).splitlines()
    except UnicodeDecodeError:
        return False
    if not lines or "\0" in lines[0]:
        return False
    by_name = path.suffix.lower() in (".csv", ".tsv")
    try:
        header = _cells(lines[0], _delimiter(lines[0]))
    except csv.Error:
        return False
    names = [cell.strip() for cell in header]
    names = names[1:] if len(names) > 1 and not names[0] else names  # pandas writes an index so
    names = [name for name in names if name] if by_name else names
    is_header = (
        bool(names)
        and all(names)
        and not any(isinstance(number_or_text(name), float) for name in names)
    )
    if by_name:
        return is_header
    if any(map(_ASSIGNED.search, names)):  # sentences with commas
        return False
    body = lines[1:-1]
    return (
        is_header
        and len(names) > 1
        and bool(body)
        and all(len(_cells(line, _delimiter(lines[0]))) == len(header) for line in body[:20])
    )


def is_log(path: Path, head: bytes) -> bool:
    """Whether a table that was only found in a folder is a log, by its first rows."""
    header, *lines = _text(head).splitlines()
    delimiter = _delimiter(header)
    names = [name.strip() for name in _cells(header, delimiter)]
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows = [_cells(line, delimiter) for line in lines[:_FIRST_ROWS] if line.strip()]
    rows = [row for row in rows if len(row) == len(names)]
    return foreign.is_log({n: [row[i] for row in rows] for i, n in enumerate(names) if n})


def parts(path: Path, state: State) -> Iterator[Log]:
    """The new observations. A last line without its end is still being written and not read."""
    return growing_parts(path, state, new_parts, load)


def new_parts(path: Path, state: State) -> Iterator[Log]:
    """As `parts`, but only what can be read on."""
    return new_rows(path, state, _Parser)


def load(path: Path) -> pl.DataFrame:
    """The observations: columns of numbers, and ``run`` and ``group`` where there are any.

    A last line without its end is still being written and not read.

    Raises:
        InputError: naming the line and column of text in a numeric column, or of a ragged row; or
            if there is no row yet.
    """
    columns = []
    for column in table(path, growing=True).get_columns():
        if column.name in ("run", "group"):
            columns.append(column)
            continue
        parsed = numbers(column)
        if isinstance(parsed, int):
            raise InputError(
                f"{path}, line {_line(path, parsed)}, column {column.name!r:.80}: "
                f"{column[parsed]!r:.60} is not a number; correct or empty the cell"
            )
        if parsed is not None:
            columns.append(parsed)
    rows = without_empty_rows(pl.DataFrame(columns))
    if not rows.height:
        raise EmptyLogError(f"{path}: no row with a value after the header yet")
    return rows


def table(path: Path, *, growing: bool = False) -> pl.DataFrame:
    """The whole table with the types that its cells have.

    Args:
        path: the file.
        growing: leave out a last line that may be only a part of what will stand there.

    Raises:
        InputError: if the file is empty, not UTF-8, or a row has more cells than the header.
    """
    try:
        with path.open("rb") as file:
            header = _text(file.readline(_MAX_HEADER_BYTES))
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    if not header.strip():
        raise InputError(f"{path}: the file is empty")
    _must_be_a_header(path, header)
    content = path.read_bytes()
    if growing:
        content = _whole_lines(path, content, header)
    try:
        return _parsed(content, header)
    except pl.exceptions.NoDataError:
        raise InputError(f"{path}: the file is empty") from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise InputError(f"{path}{_why(path, header, str(error))}") from None


def _parsed(content: bytes, header: str) -> pl.DataFrame:
    """A table from its header and lines; the names of runs and groups stay as they are written."""
    delimiter = _delimiter(header)
    tidy = {name: name.strip().removeprefix("\ufeff") for name in _cells(header, delimiter)}
    frame = pl.read_csv(
        content,
        separator=delimiter,
        null_values=_NULLS,
        infer_schema_length=None,
        schema_overrides={raw: pl.String for raw, name in tidy.items() if name in ("run", "group")},
    )
    frame.columns = [name.strip().removeprefix("\ufeff") for name in frame.columns]
    frame = csv_read(frame) if b"'" in content else frame
    return frame.drop("") if frame.width > 1 and "" in frame.columns else frame


def _must_be_a_header(path: Path, header: str) -> None:
    if len(header) >= _MAX_HEADER_BYTES:
        raise InputError(f"{path}: the first line is no header; it is longer than 16 MB")
    try:
        width = len(_cells(header, _delimiter(header)))
        must_fit(0, width, 0)
    except csv.Error as error:
        raise InputError(f"{path}, line 1: not a readable header ({error})") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _whole_lines(path: Path, content: bytes, header: str) -> bytes:
    """The lines that have their ends.

    A last line without one counts if it has all cells and the last of them is quoted; another
    number may still lack digits. What a crash leaves (zero bytes) is no line.
    """
    end = max(content.rfind(b"\n"), content.rfind(b"\r")) + 1
    last = content[end:]
    if not last or _is_closed(last, header):
        return content
    if not end:
        raise EmptyLogError(f"{path}: no complete line after the header yet")
    _warn_of_rest(path, last)
    return content[:end]


def _is_closed(line: bytes, header: str) -> bool:
    """Whether a line without its end has all cells, and the last of them is quoted."""
    if len(line) >= _MAX_HEADER_BYTES or not line.endswith(b'"') or line.count(b'"') % 2:
        return False
    delimiter = _delimiter(header)
    try:
        cells = _cells(line.decode("utf-8", "replace"), delimiter)
    except csv.Error:  # a cell beyond the limit of the csv module
        return False
    return len(cells) == len(_cells(header, delimiter))


def _warn_of_rest(path: Path, rest: bytes) -> None:
    if rest.strip(b"\0 "):
        warnings.warn(
            f"{path}: the last line is left out until it has its end; if the file is finished, "
            "end it with a newline",
            CurveWarning,
            stacklevel=2,
        )


def _why(path: Path, header: str, error: str) -> str:
    """Where and how the table is broken."""
    width = len(_cells(header, _delimiter(header)))
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line, cells in enumerate(csv.reader(file, delimiter=_delimiter(header)), start=1):
                if len(cells) > width:
                    return (
                        f", line {line}: {len(cells)} cells, but the header has {width}; "
                        "quote cells that contain the delimiter"
                    )
    except UnicodeDecodeError:
        return ": not UTF-8 text; save it as UTF-8"
    except csv.Error as exception:
        error = str(exception)
    return f": not a readable table ({error.splitlines()[0][:200]})"


def _line(path: Path, row: int) -> int:
    """The line of the file, from 1, that holds a row of the table, from 0 (blank lines count)."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file, suppress(csv.Error):
        header = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=_delimiter(header))
        rows = -2
        for cells in reader:
            rows += bool(cells)
            if rows == row:
                return reader.line_num
    return row + 2


def _text(head: bytes) -> str:
    """The head of a file as text; a character cut off at its end does not count."""
    for cut in range(4):
        try:
            return head[: len(head) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
    return head.decode("utf-8-sig")


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


class _Parser:
    """Tables of lines, under the header that the first of them is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header = b""

    def __call__(self, lines: bytes) -> pl.DataFrame | None:
        if self._header:
            lines = self._header + lines
        else:
            self._header = lines[: lines.index(b"\n") + 1]
        if len(lines.rstrip()) <= len(self._header.rstrip()):
            return None
        if lines.count(b'"') % 2 or b"\0" in lines:
            raise RereadRequiredError  # cut within a cell, or damaged
        try:
            header = _text(self._header)
            _must_be_a_header(self._path, header)
            return _parsed(lines, header)
        except (pl.exceptions.PolarsError, UnicodeDecodeError, InputError) as error:
            raise RereadRequiredError from error

    def is_whole(self, rest: bytes) -> bool:
        if rest and self._header:
            if rest.endswith(b'"'):
                raise RereadRequiredError  # it may be
            _warn_of_rest(self._path, rest)
        return False
