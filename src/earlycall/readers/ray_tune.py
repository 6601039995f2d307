"""Ray Tune: the folder of a trial, with ``result.json`` (a line a report) and ``params.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import InputError, NothingYetError
from earlycall.readers.log import Log, settings, table_of
from earlycall.readers.settings_file import settings_beside

NAME = "Ray Tune trials"
WHOLE_TREE = True
_NOT_METRICS = frozenset({
    "timestamp", "time_this_iter_s", "pid", "time_since_restore", "iterations_since_restore",
    "timesteps_since_restore", "warmup_time", "timesteps_total", "episodes_total",
})  # fmt: skip
_NAMES = {"training_iteration": "step", "time_total_s": "seconds"}


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a trial."""
    return "result.json" in files and "params.json" in files


def load_folder(folder: Path) -> Log:
    """The trial; a last line that is not whole is left for later.

    Raises:
        InputError: naming the line that is not JSON, or if nothing was reported yet.
    """
    path = folder / "result.json"
    rows: list[dict[str, float]] = []
    started: float | None = None
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                result = json.loads(line)
                rows.append(_row(result))
                started = _started(result) if started is None else started
            except (ValueError, AttributeError, RecursionError):
                if not line.endswith(b"\n"):
                    break
                raise InputError(f"{path}, line {number}: not a JSON object; remove it") from None
    if not rows:
        raise NothingYetError(f"{path}: no report yet")
    hyper = settings(settings_beside(folder / "params.json"))
    if started is not None:
        hyper["started"] = started
    return Log(table_of(rows), pl.DataFrame([hyper]) if hyper else None)


def _started(result: dict[str, Any]) -> float | None:
    """When the trial started, by the clock at its first report."""
    now, spent = result.get("timestamp"), result.get("time_total_s")
    if isinstance(now, int | float) and isinstance(spent, int | float):
        return now - spent
    return None


def _row(result: dict[str, Any]) -> dict[str, float]:
    return {
        _NAMES.get(name, name): value
        for name, value in result.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and name not in _NOT_METRICS
    }
