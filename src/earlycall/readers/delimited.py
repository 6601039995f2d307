"""CSV and TSV logs: wide (one file a run) or long (a ``run`` column), with sparse rows."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl

from earlycall.cleaning import numbers, without_empty_rows
from earlycall.errors import InputError

NAME = "CSV or TSV"
DELIMITERS = (",", "\t", ";")
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
    header = _cells(lines[0], _delimiter(lines[0]))
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

    Raises:
        InputError: naming the line and column of text in a numeric column, or of a ragged row.
    """
    columns = []
    for column in table(path).get_columns():
        if column.name in ("run", "group"):
            columns.append(column.cast(pl.String))
            continue
        parsed = numbers(column)
        if isinstance(parsed, int):
            raise InputError(
                f"{path}, line {_line(path, parsed)}, column {column.name!r}: "
                f"{column[parsed]!r} is not a number; correct or empty the cell"
            )
        if parsed is not None:
            columns.append(parsed)
    return without_empty_rows(pl.DataFrame(columns))


def table(path: Path) -> pl.DataFrame:
    """The whole table with the types that its cells have.

    Raises:
        InputError: if the file is empty, not UTF-8, or a row has more cells than the header.
    """
    try:
        with path.open("rb") as file:
            header = _text(file.readline())
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    if not header.strip():
        raise InputError(f"{path}: the file is empty")
    try:
        frame = pl.read_csv(
            path,
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
    return f": not a readable table ({error.splitlines()[0]})"


def _line(path: Path, row: int) -> int:
    """The line of the file, from 1, that holds a row of the table, from 0 (blank lines count)."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
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
