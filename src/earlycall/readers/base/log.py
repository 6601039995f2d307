"""What a reader gives: the observations of one log, and the settings of its runs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from reprlib import Repr
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earlycall.errors import EmptyLogError, InputError

MAX_METRICS = 30_000
_MAX_SPARSE_CELLS, _MAX_CELLS_PER_VALUE = 1 << 26, 64
_BLOCK_ROWS = 1 << 14  # held as Python objects
MAX_SETTINGS, MAX_DEPTH = 10_000, 20  # of one run
_MAX_BITS = 64  # of a setting that stays a whole number
_SECRET = re.compile(
    r"(api|wandb|comet|access|secret|auth|private)_?key$|(hf|hub|api|auth|access|github)_?token$"
    r"|passw(or)?d$|(^|[._-])secret$|credentials?$"
)
_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxdict = 3, 32, 32, 32
_SHORT.maxstring = _SHORT.maxother = 200
_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")  # of a surrogate pair, perhaps alone
_HALF_BYTES = re.compile(rb"\\u[dD][89a-fA-F]")
_RUN_NAMES = ("run", "group", "run_id")
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")  # as JSON without them says it


@dataclass(frozen=True)
class Log:
    """What one log holds.

    Attributes:
        observations: ``step`` and/or ``epoch``, metrics under the log's own names, cumulative costs
            (``seconds``, ``joules``), and ``run`` (and ``group``) where the log holds several runs.
            A null was not logged; NaN and infinities are what was recorded.
        runs: a row per run: ``run`` where the log holds several, ``hp.*``, ``final`` …; when it
            ``started`` (seconds since 1970, UTC: where ``seconds`` is 0) and, where the log says
            so, ``ended``; ``restarted``, JSON of [seconds, seconds since 1970] of each restart.
        continues: whether the observations follow those that were given before; else they take
            their place.
    """

    observations: pl.DataFrame
    runs: pl.DataFrame | None = None
    continues: bool = False


def settings(values: Mapping[str, Any], prefix: str = "hp.") -> dict[str, Any]:
    """Hyper-parameters as columns: nested ones joined by a dot, lists as text, none private.

    Keys to services, which people keep among them, are left out: reports are shown to others.

    Examples:
        >>> settings({"lr": 0.1, "model": {"depth": 4}, "_wandb": {}, "sizes": [1, 2]})
        {'hp.lr': 0.1, 'hp.model.depth': 4, 'hp.sizes': '[1, 2]'}
    """
    found: dict[str, Any] = {}
    for name, value in islice(_nested(values, prefix), MAX_SETTINGS):
        if isinstance(value, Mapping) or (isinstance(value, str) and _SECRET.search(name.lower())):
            continue
        if isinstance(value, bool | float) or value is None:
            found[name] = value
        elif isinstance(value, int):
            found[name] = value if value.bit_length() < _MAX_BITS else _number(value)
        else:
            found[name] = as_text(value if isinstance(value, str) else _SHORT.repr(value)[:200])
    return found


def _nested(values: Mapping[str, Any], prefix: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Each value and each mapping; a small YAML file can hold billions by its aliases."""
    for key, value in values.items():
        if str(key).startswith("_"):
            continue
        name = as_text(f"{prefix}{key}")
        yield name, value
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            yield from _nested(value, f"{name}.", depth + 1)


def is_expanded(values: Mapping[str, Any]) -> bool:
    """Whether nested mappings hold more, or more deeply, than is read: by aliases of YAML they do.

    Examples:
        >>> is_expanded({"lr": 0.1, "model": {"depth": 4}})
        False
        >>> is_expanded(dict.fromkeys(range(100_000)))
        True
    """
    level, seen = [values], 0
    for _ in range(MAX_DEPTH):
        seen += sum(map(len, level))
        if seen > MAX_SETTINGS:
            return True
        level = [v for mapping in level for v in mapping.values() if isinstance(v, Mapping)]
        if not level:
            return False
    return True


def as_text(text: str) -> str:
    r"""Text that can be kept in a table: half of a surrogate pair becomes a question mark.

    Examples:
        >>> as_text("loss\udcff")
        'loss?'
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What was logged, with nested names joined by a slash.

    Examples:
        >>> flat({"train": {"loss": 2.5}, "step": 1})
        {'train/loss': 2.5, 'step': 1}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}/")
        else:
            found[as_text(f"{prefix}{key}")] = value
    return found


def number_or_text(text: str) -> float | str:
    """A setting that a log keeps as text, as a number where it is one.

    Examples:
        >>> number_or_text("0.1"), number_or_text("sgd")
        (0.1, 'sgd')
    """
    try:
        return float(text)
    except ValueError:
        return text


def timestamp_of(when: Any) -> float | None:
    """Seconds since 1970 of a date and time in ISO format, local where it has no zone.

    Examples:
        >>> timestamp_of("2026-01-01T00:00:00+00:00"), timestamp_of(None)
        (1767225600.0, None)
    """
    try:
        return datetime.fromisoformat(str(when)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def json_value(text: str | bytes) -> Any:
    r"""What a JSON text says, with names and words that can be kept in a table (see `as_text`).

    Raises:
        ValueError: if it is not JSON.
        RecursionError: if it is nested too deeply.

    Examples:
        >>> json_value(r'{"loss\udcff": 1}')
        {'loss?': 1}
    """
    value = json.loads(text)
    if _HALF_BYTES.search(text) if isinstance(text, bytes) else _HALF.search(text):
        return json.loads(as_text(json.dumps(value, ensure_ascii=False)))
    return value


def json_document(path: Path, remedy: str) -> Any:
    """What a JSON file holds.

    Args:
        path: the file.
        remedy: what to do if it is incomplete.

    Raises:
        EmptyLogError: if it is.
    """
    try:
        return json_value(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise EmptyLogError(f"{path}{where}: not whole JSON; {remedy}") from None


def table_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A table from settings of several runs; a column of mixed types becomes text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        kinds = {type(v) for v in values if v is not None}
        if kinds <= {int, float}:
            columns.append(pl.Series(name, values, dtype=pl.Float64, strict=False))
        elif kinds == {bool}:
            columns.append(pl.Series(name, values, dtype=pl.Boolean))
        else:
            text = [None if v is None else as_text(str(v)) for v in values]
            columns.append(pl.Series(name, text, dtype=pl.String))
    return pl.DataFrame(columns)


def table_of_numbers(rows: Iterable[Mapping[str, Any]], text: Sequence[str] = ()) -> pl.DataFrame:
    """Observations from rows of numbers, of which each may lack some.

    Args:
        rows: names and numbers; whatever else they hold is left out.
        text: the names whose values are text (``run``, ``group``).

    Raises:
        InputError: if the table would be very large and nearly empty.
    """
    parts = []
    rows = iter(rows)
    while part := list(islice(rows, _BLOCK_ROWS)):
        names = [n for n in dict.fromkeys(n for row in part for n in row) if _is_free(n, text)]
        filled = sum(map(len, part))
        must_fit(len(part), len(names), filled)
        columns = {
            name: pl.Series(name, [row.get(name) for row in part], dtype=pl.String, strict=False)
            if name in text
            else pl.Series(name, [_number(row.get(name)) for row in part], dtype=pl.Float64)
            for name in names
        }
        parts.append(pl.DataFrame(columns))
    return concat_sparse(parts)


def _is_free(name: str, text: Sequence[str] = ()) -> bool:
    """Whether a metric may have this name: a number logged as *run* would name the runs."""
    return name in text or name not in _RUN_NAMES


def concat_sparse(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One table from parts that may lack some of its columns.

    Raises:
        InputError: if the table would be very large and nearly empty.
    """
    names = {name for part in parts for name in part.columns}
    height = sum(part.height for part in parts)
    must_fit(height, len(names), sum(part.height * part.width for part in parts))
    if len(parts) == 1:
        return parts[0]
    return pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame()


def _number(value: Any) -> float | None:
    """A number as it was logged, also one that JSON writes as text; None of anything else."""
    if isinstance(value, str):
        return float(value) if value in _NOT_FINITE else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return None


def make_monotone(seconds: pl.Expr) -> pl.Expr:
    """Seconds that go on where a resumed run began to count anew.

    Examples:
        >>> clock = pl.DataFrame({"seconds": [1.0, 2.0, 0.5, 1.0]})
        >>> clock.select(make_monotone(pl.col("seconds")))["seconds"].to_list()
        [1.0, 2.0, 2.5, 3.0]
    """
    before = seconds.shift()
    return seconds + pl.when(seconds < before).then(before).otherwise(0.0).cum_sum()


def must_fit(height: int, width: int, filled: int) -> None:
    """Refuse a table that would take far more memory than what was logged.

    Args:
        height: how many observations.
        width: how many metrics.
        filled: how many values there are.

    Raises:
        InputError: if more than a hundred million cells would be nearly all empty.
    """
    cells = height * width
    if width > MAX_METRICS or (cells > _MAX_SPARSE_CELLS and cells > _MAX_CELLS_PER_VALUE * filled):
        raise InputError(
            f"{width} metrics of {height} steps are more than a log has; "
            "name metrics by what they are, not by their step or sample"
        )


def by_step(long: pl.DataFrame) -> pl.DataFrame:
    """A column per metric from a row per value.

    Args:
        long: ``run`` (optional), ``step``, ``name``, ``value``; of a value logged twice at a step
            the last one wins; ``seconds`` (optional), of which the largest of a step is kept.
    """
    if "run" not in long.columns:
        return _of_one_run(long)
    long = long.filter(~pl.col("name").is_in(_RUN_NAMES))
    index = ["run", "step"]
    long = long.filter(pl.col("name") != "step")  # a metric so called would hide it
    must_fit(long.select(index).n_unique(), long["name"].n_unique(), long.height)
    wide = long.pivot("name", index=index, values="value", aggregate_function="last")
    if "seconds" in long.columns:
        when = long.group_by(index).agg(pl.col("seconds").max().alias("seconds"))
        wide = wide.drop("seconds", strict=False).join(when, on=index, how="left")
    return wide.sort(index)


def _of_one_run(long: pl.DataFrame) -> pl.DataFrame:
    """As `by_step`, of one run: without the overhead of a query, since there may be thousands."""
    places: dict[str, int] = {}
    names = long["name"].to_list()
    metric = np.array([places.setdefault(n, len(places)) for n in names], dtype=np.int64)
    if not places.keys().isdisjoint(_RUN_NAMES):
        return _of_one_run(long.filter(~pl.col("name").is_in(_RUN_NAMES)))
    steps, row = np.unique(long["step"].to_numpy(), return_inverse=True)
    must_fit(len(steps), len(places), long.height)
    columns = {"step": pl.Series("step", steps)}
    value = long["value"].to_numpy()
    order = np.argsort(metric, kind="stable")
    ends = np.cumsum(np.bincount(metric, minlength=len(places)))
    for name, rows in zip(places, np.split(order, ends[:-1]), strict=True):
        columns.setdefault(name, _filled(name, len(steps), row[rows], value[rows]))
    if "seconds" in long.columns:
        clock = np.full(len(steps), np.nan)
        np.fmax.at(clock, row, long["seconds"].to_numpy())  # a null is a NaN there
        known = np.flatnonzero(~np.isnan(clock))
        columns["seconds"] = _filled("seconds", len(steps), known, clock[known])
    return pl.DataFrame(list(columns.values()))


def _filled(
    name: str, height: int, rows: NDArray[np.int64], values: NDArray[np.float64]
) -> pl.Series:
    """A column with values at some rows, of several at one row the last; the others are missing."""
    column, known = np.empty(height), np.zeros(height, dtype=bool)
    column[rows], known[rows] = values, True
    series = pl.Series(name, column)
    return series if known.all() else series.scatter(np.flatnonzero(~known), None)
