"""CSV and TSV logs: wide (one file a run) or long (a ``run`` column), with sparse rows."""

from __future__ import annotations

import csv
import os
import warnings
from contextlib import suppress
from pathlib import Path

import polars as pl

from earlycall.curves.cleaning import numbers, without_empty_rows
from earlycall.errors import CurveWarning, InputError, NothingYetError
from earlycall.readers.base.log import is_text, must_fit
from earlycall.readers.growing.tails import DoubtError, Gathered, GrowingLines, Kinds

NAME = "CSV or TSV"
DELIMITERS = (",", "\t", ";")
_LONGEST_HEADER, _BLOCK = 1 << 24, 1 << 16
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
    is_header = all(names) and not any(_is_number(name) for name in names)
    if by_name:
        return is_header
    body = lines[1:-1]
    return (
        is_header
        and len(names) > 1
        and bool(body)
        and all(len(_cells(line, _delimiter(lines[0]))) == len(names) for line in body[:20])
    )


def load(path: Path) -> pl.DataFrame:
    """The observations: columns of numbers, and ``run`` and ``group`` where there are any.

    A last line without its end is still being written, and left for later.

    Raises:
        InputError: naming the line and column of text in a numeric column, or of a ragged row; or
            if there is no row yet.
    """
    columns = []
    for column in table(path, growing=True).get_columns():
        if column.name in ("run", "group"):
            columns.append(column.cast(pl.String))
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
        raise NothingYetError(f"{path}: no row with a value after the header yet")
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
            header = _text(file.readline(_LONGEST_HEADER))
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    if not header.strip():
        raise InputError(f"{path}: the file is empty")
    _must_be_a_header(path, header)
    whole = _whole_lines(path, header) if growing else None
    if whole is None and not is_text(str(path)):
        whole = path.read_bytes()  # polars takes only names that are text
    try:
        frame = pl.read_csv(
            path if whole is None else whole,
            separator=_delimiter(header),
            null_values=_NULLS,
            infer_schema_length=None,
            try_parse_dates=False,
            glob=False,
        )
    except pl.exceptions.NoDataError:
        raise InputError(f"{path}: the file is empty") from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise InputError(f"{path}{_why(path, header, str(error))}") from None
    return frame.rename(lambda name: name.strip().removeprefix("\ufeff"))


def _must_be_a_header(path: Path, header: str) -> None:
    if len(header) >= _LONGEST_HEADER:
        raise InputError(f"{path}: the first line is no header; it is longer than 16 MB")
    try:
        width = len(_cells(header, _delimiter(header)))
        must_fit(0, width, 0)
    except csv.Error as error:
        raise InputError(f"{path}, line 1: not a readable header ({error})") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _whole_lines(path: Path, header: str) -> bytes | None:
    """The lines that have their ends, where the last one lacks it; None where all have.

    The last line stands where it has all cells and the last of them is quoted; another number may
    still lack digits. What a crash leaves (zero bytes) is no line.
    """
    end = _end_of_lines(path)
    if end is None:
        return None
    with path.open("rb") as file:
        content = file.read()
    last = content[end:].decode("utf-8", "replace")
    cells = _cells(last, _delimiter(header)) if len(last) < _LONGEST_HEADER else []
    closed = last.endswith('"') and last.count('"') % 2 == 0
    if closed and len(cells) == len(_cells(header, _delimiter(header))):
        return None
    if not end:
        raise NothingYetError(f"{path}: no whole line after the header yet")
    if last.strip("\0 "):
        warnings.warn(
            f"{path}: the last line is left out until it has its end; if the file is finished, "
            "end it with a newline",
            CurveWarning,
            stacklevel=2,
        )
    return content[:end]


def _end_of_lines(path: Path) -> int | None:
    """Where the last line begins that has no end yet, None where the file ends with its end."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        tail = b""
        while at:
            begin = max(at - _BLOCK, 0)
            file.seek(begin)
            block = file.read(at - begin)
            if not tail and block.endswith((b"\n", b"\r")):
                return None
            tail = block
            cut = max(block.rfind(b"\n"), block.rfind(b"\r"))
            if cut >= 0:
                return begin + cut + 1
            at = begin
    return 0


def _why(path: Path, header: str, error: str) -> str:
    """Where the table is broken, in words that help."""
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


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def tail(path: Path) -> DelimitedTail:
    """What reads a growing table of one run on."""
    return DelimitedTail(path)


def gathering(path: Path) -> Gathered:
    """What reads a growing table of several runs on."""
    return Gathered(DelimitedTail(path, several=True))


class DelimitedTail:
    """The observations of a table, a part of the file at a time.

    Args:
        path: the table.
        several: whether it may have several runs.
    """

    def __init__(self, path: Path, *, several: bool = False) -> None:
        self._lines = GrowingLines(path)
        self._several = several
        self._header = b""
        self._kinds = Kinds()

    def runs(self) -> pl.DataFrame | None:
        """What is known of the run: nothing."""
        return None

    def more(self) -> pl.DataFrame | None:
        """Some of the new observations, None if there are none yet.

        Raises:
            DoubtError: if a line or a column cannot be understood without the others.
        """
        lines = self._lines.read()
        if self._lines.rest.endswith(b'"'):
            raise DoubtError  # it may be a whole last line, without its end
        if lines and not self._header:
            header, _, lines = lines.partition(b"\n")
            self._header = header + b"\n"
        if not lines.strip(b"\r\n"):
            return None
        if lines.count(b'"') % 2 or b"\0" in lines:
            raise DoubtError  # cut within a cell, or damaged
        columns = [c for c in map(self._column, self._cells(lines).get_columns()) if c is not None]
        return without_empty_rows(pl.DataFrame(columns)) if columns else None

    def _cells(self, lines: bytes) -> pl.DataFrame:
        try:
            header = _text(self._header)
            _must_be_a_header(self._lines.path, header)
            frame = pl.read_csv(
                self._header + lines,
                separator=_delimiter(header),
                null_values=_NULLS,
                infer_schema_length=None,
                try_parse_dates=False,
            )
            return frame.rename(lambda name: name.strip().removeprefix("\ufeff"))
        except (pl.exceptions.PolarsError, UnicodeDecodeError, InputError) as error:
            raise DoubtError from error

    def _column(self, column: pl.Series) -> pl.Series | None:
        """A column as numbers; one of nothing yet has no type of its own."""
        if column.name in ("run", "group"):
            if not self._several or column.dtype not in (pl.String, pl.Null):
                raise DoubtError  # how a number is written tells the name
            return column.cast(pl.String)
        parsed = self._kinds.numbers(column)
        if parsed is None:
            return None
        return parsed if column.count() else column.cast(pl.Null)
