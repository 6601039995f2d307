r"""Plain text logs, by a pattern: ``epoch (?P<epoch>\d+).*loss (?P<train_loss>\S+)``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.curves.columns import KEYS
from earlycall.errors import EmptyLogError, InputError, NoMatchError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import Log, table_of
from earlycall.readers.formats.patterns import named_patterns

MAX_LINE_CHARS = 10_000  # of a line that are searched, lest a pattern takes forever
_TEXT = ("run", "group")
_HINT = "step_hint"  # the planned last step, which is no observation


def compiled(pattern: str) -> re.Pattern[str]:
    r"""A pattern that can read a log, also by the name that it has in `patterns`.

    Raises:
        InputError: if it is no regular expression, or has no named group for a metric.

    Examples:
        >>> compiled(r"loss=(?P<loss>\S+)").groupindex["loss"]
        1
    """
    try:
        found = re.compile(named_patterns().get(pattern, pattern))
    except re.error as error:
        raise InputError(f"--pattern {pattern!r}: no regular expression: {error}") from None
    if not set(found.groupindex) - {*KEYS, _HINT}:
        raise InputError(
            f"--pattern {pattern!r}: name what it finds, for example "
            r"'epoch (?P<epoch>\d+).*loss[:= ]+(?P<train_loss>\S+)', "
            f"or take one of: {', '.join(named_patterns())}"
        )
    return found


class PatternReader:
    """Reads plain text by a pattern.

    Args:
        pattern: a regular expression with named groups, or the name of one.

    Raises:
        InputError: if the pattern cannot be used.
    """

    NAME = "plain text"

    def __init__(self, pattern: str) -> None:
        self._pattern = compiled(pattern)

    def parts(self, path: Path, state: State) -> Iterator[Log]:
        """A row for each line that the pattern finds something in; not a last line without its end.

        Raises:
            InputError: if no line matches, showing one; or what a group found is no number.
        """
        yield _load(path, self._pattern)


def _load(path: Path, pattern: re.Pattern[str]) -> Log:
    columns: dict[str, list[Any]] = {name: [] for name in pattern.groupindex}
    example, is_complete, matches = "", True, 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            is_complete = line.endswith("\n")
            if not is_complete:
                break
            example = example or line.strip()
            match = pattern.search(line[:MAX_LINE_CHARS])
            if match is not None:
                matches += 1
                for name, text in match.groupdict().items():
                    columns[name].append(_cell(path, number, name, text))
    if not matches and not is_complete and not example:
        raise EmptyLogError(f"{path}: no complete line in the file yet")
    if not matches:
        raise NoMatchError(f"{path}: no line matches the pattern; a line is {example[:80]!r}")
    hints = [hint for hint in columns.pop(_HINT, []) if hint is not None]
    kinds = {name: pl.String if name in _TEXT else pl.Float64 for name in columns}
    table = pl.DataFrame(columns, schema=kinds)
    found = [name for name in columns if name in KEYS or table[name].count()]
    is_known = hints and "run" not in columns
    return Log(table.select(found), table_of([{_HINT: hints[-1]}]) if is_known else None)


def _cell(path: Path, number: int, name: str, text: str | None) -> float | str | None:
    if text is None or name in _TEXT:
        return text
    try:
        return float(text.rstrip(",;%)"))
    except ValueError:
        raise InputError(
            f"{path}, line {number}: {text!r:.40} for {name!r} is not a number; correct the pattern"
        ) from None
