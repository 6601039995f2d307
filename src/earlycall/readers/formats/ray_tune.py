"""Ray Tune: a trial's folder, with ``result.json`` or ``progress.csv``, and ``params.json``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import GrowingLines, State, growing_parts
from earlycall.readers.base.inside import is_inside
from earlycall.readers.base.log import Log, flat, json_value, table_of, table_of_numbers
from earlycall.readers.formats import delimited

NAME = "Ray Tune trials"
WHOLE_TREE = True
_NOT_METRICS = frozenset({
    "timestamp", "time_this_iter_s", "pid", "time_since_restore", "iterations_since_restore",
    "timesteps_since_restore", "warmup_time", "timesteps_total", "episodes_total",
})  # fmt: skip
_MAX_SECONDS = 1 << 40
_NAMES = {"training_iteration": "step", "time_total_s": "seconds"}


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a trial."""
    return "params.json" in files and ("result.json" in files or "progress.csv" in files)


def parts(folder: Path, state: State) -> Iterator[Log]:
    """The trial's new reports; not a last line that is incomplete.

    Raises:
        InputError: naming the line that is not JSON, or if nothing was reported yet.
    """
    if is_inside(folder / "result.json", folder):
        yield from growing_parts(folder, state, _new_reports, _nothing)
        return
    start: dict[str, Any] = {}
    reports = delimited.load(folder / "progress.csv").iter_rows(named=True)
    table = table_of_numbers(_row(report, start) for report in reports)
    yield Log(table, _started(start))


def _nothing(folder: Path) -> Log:
    raise EmptyLogError(f"{folder / 'result.json'}: no report yet")


def _new_reports(folder: Path, state: State) -> Iterator[Log]:
    path = folder / "result.json"
    lines, start = state.setdefault("reports", (GrowingLines(path), {}))
    reports = []
    for number, line in lines.json_lines():
        try:
            report = json_value(line)
        except (ValueError, RecursionError):
            report = None
        if not isinstance(report, dict):
            raise InputError(f"{path}, line {number}: not a JSON object; remove it")
        reports.append(_row(report, start))
    yield Log(table_of_numbers(reports), _started(start))


def _started(run: dict[str, Any]) -> pl.DataFrame | None:
    return table_of([run]) if run else None


def _row(result: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """A report, whose number is its step if it has no other; adds to ``run`` when that started."""
    result.pop("config", None)
    now, spent = result.get("timestamp"), result.get("time_total_s")
    if isinstance(now, int | float) and isinstance(spent, float):
        run.setdefault("started", min(now, _MAX_SECONDS) - spent)
    row = {name: value for name, value in flat(result).items() if name not in _NOT_METRICS}
    for old, new in _NAMES.items():
        if old in row and new not in row:
            row[new] = row.pop(old)
    return {name: value for name, value in row.items() if not isinstance(value, str)}
