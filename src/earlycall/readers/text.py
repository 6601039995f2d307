r"""Plain text logs, by a pattern: ``epoch (?P<epoch>\d+).*loss (?P<train_loss>\S+)``."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from earlycall.cleaning import NOT_METRICS
from earlycall.errors import InputError

LONGEST = 10_000  # characters of a line that are looked at, lest a pattern takes for ever
_TEXT = ("run", "group")


def compiled(pattern: str) -> re.Pattern[str]:
    r"""A pattern that can read a log.

    Raises:
        InputError: if it is no regular expression, or has no named group for a metric.

    Examples:
        >>> compiled(r"loss=(?P<loss>\S+)").groupindex["loss"]
        1
    """
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--pattern {pattern!r}: no regular expression: {error}") from None
    if not set(found.groupindex) - set(NOT_METRICS):
        raise InputError(
            f"--pattern {pattern!r}: name what it finds, for example "
            r"'epoch (?P<epoch>\d+).*loss[:= ]+(?P<train_loss>\S+)'"
        )
    return found


def load(path: Path, pattern: re.Pattern[str]) -> pl.DataFrame:
    """The observations: a row for each line that the pattern finds something in.

    A last line without its end is still being written, and left for later.

    Raises:
        InputError: if no line matches, showing one; or what a group found is no number.
    """
    rows: list[dict[str, object]] = []
    example = ""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                break
            example = example or line.strip()
            match = pattern.search(line[:LONGEST])
            if match is not None:
                rows.append(_row(path, number, match))
    if not rows:
        raise InputError(f"{path}: no line matches the pattern; a line is {example[:80]!r}")
    return pl.DataFrame(rows, infer_schema_length=None)


def _row(path: Path, number: int, match: re.Match[str]) -> dict[str, object]:
    row: dict[str, object] = {}
    for name, text in match.groupdict().items():
        if text is None or name in _TEXT:
            row[name] = text
            continue
        try:
            row[name] = float(text.rstrip(",;%)"))
        except ValueError:
            raise InputError(
                f"{path}, line {number}: {text!r:.40} for {name!r} is not a number; "
                "correct the pattern"
            ) from None
    return row
