r"""Plain text logs, by a pattern: ``epoch (?P<epoch>\d+).*loss (?P<train_loss>\S+)``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.curves.columns import KEYS
from earlycall.errors import InputError, NothingYetError

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
    if not set(found.groupindex) - set(KEYS):
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
    columns: dict[str, list[Any]] = {name: [] for name in pattern.groupindex}
    example, whole, matches = "", True, 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            whole = line.endswith("\n")
            if not whole:
                break
            example = example or line.strip()
            match = pattern.search(line[:LONGEST])
            if match is not None:
                matches += 1
                for name, text in match.groupdict().items():
                    columns[name].append(_cell(path, number, name, text))
    if not matches and not whole and not example:
        raise NothingYetError(f"{path}: no whole line in the file yet")
    if not matches:
        raise InputError(f"{path}: no line matches the pattern; a line is {example[:80]!r}")
    kinds = {name: pl.String if name in _TEXT else pl.Float64 for name in columns}
    return pl.DataFrame(columns, schema=kinds)


def _cell(path: Path, number: int, name: str, text: str | None) -> float | str | None:
    if text is None or name in _TEXT:
        return text
    try:
        return float(text.rstrip(",;%)"))
    except ValueError:
        raise InputError(
            f"{path}, line {number}: {text!r:.40} for {name!r} is not a number; correct the pattern"
        ) from None
