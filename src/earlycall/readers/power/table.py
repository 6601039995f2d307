"""Power logs as tables of text, whatever their encoding; a half-written last line is left."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path

import polars as pl

HEAD_CHARS = 4096  # in which the number of columns is looked for
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def text_of(content: bytes) -> str:
    """Bytes as text: UTF-8, or UTF-16 as PowerShell redirects; what is neither is replaced.

    Examples:
        >>> text_of("power.draw [W]".encode("utf-16"))
        'power.draw [W]'
    """
    if content.startswith(_UTF16):
        return content.decode("utf-16", errors="ignore")
    return content.decode("utf-8-sig", errors="replace")


def header_of(head: bytes) -> list[str]:
    """The cells of the first line, without the spaces around them."""
    text = text_of(head).lstrip()
    line = text.splitlines()[0].strip() if text else ""
    if "\0" in line:
        return []
    try:
        return [cell.strip() for cell in next(csv.reader([line]), [])]
    except csv.Error:
        return []


def rows_of(path: Path) -> pl.DataFrame:
    """The whole lines of a file: a column of text for each cell of the widest of the first ones.

    Raises:
        OSError: if it cannot be read.
    """
    text = text_of(path.read_bytes()).replace("\0", "")
    whole = text[: text.rfind("\n") + 1]
    lines = [line for line in whole[:HEAD_CHARS].splitlines() if line.strip()]
    width = max((line.count(",") + 1 for line in lines), default=0)
    if not width:
        return pl.DataFrame()
    found = pl.read_csv(
        io.BytesIO(whole.lstrip().encode()),
        has_header=False,
        schema={f"column_{i}": pl.String for i in range(width)},
        quote_char='"' if '"' in whole else None,
        truncate_ragged_lines=True,
        ignore_errors=True,
        missing_columns="insert",
    )
    return found.with_columns(pl.all().str.strip_chars())
