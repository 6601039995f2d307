"""Ray Tune: a trial's folder, with ``result.json`` or ``progress.csv``, and ``params.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earlycall.errors import InputError, NothingYetError
from earlycall.readers import delimited
from earlycall.readers.inside import is_inside
from earlycall.readers.log import Log, flat, settings, table_of, table_of_numbers
from earlycall.readers.settings_file import settings_beside

NAME = "Ray Tune trials"
WHOLE_TREE = True
_NOT_METRICS = frozenset({
    "timestamp", "time_this_iter_s", "pid", "time_since_restore", "iterations_since_restore",
    "timesteps_since_restore", "warmup_time", "timesteps_total", "episodes_total",
})  # fmt: skip
_LATEST = 1 << 40  # seconds
_NAMES = {"training_iteration": "step", "time_total_s": "seconds"}


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a trial."""
    return "params.json" in files and ("result.json" in files or "progress.csv" in files)


def load_folder(folder: Path) -> Log:
    """The trial; a last line that is not whole is left for later.

    Raises:
        InputError: naming the line that is not JSON, or if nothing was reported yet.
    """
    path = folder / "result.json"
    hyper = settings(settings_beside(folder / "params.json"))
    if is_inside(path, folder):
        table = table_of_numbers(_reports(path, hyper))
    else:
        path = folder / "progress.csv"
        reports = delimited.load(path).iter_rows(named=True)
        table = table_of_numbers(_row(report, hyper) for report in reports)
    if not table.height:
        raise NothingYetError(f"{path}: no report yet")
    return Log(table, table_of([hyper]) if hyper else None)


def _reports(path: Path, run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield _row(json.loads(line), run)
            except (ValueError, AttributeError, RecursionError):
                if not line.endswith(b"\n"):
                    return
                raise InputError(f"{path}, line {number}: not a JSON object; remove it") from None


def _row(result: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """A report; its number is its step, where it has no other. When the run started goes there."""
    result.pop("config", None)
    now, spent = result.get("timestamp"), result.get("time_total_s")
    if isinstance(now, int | float) and isinstance(spent, float):
        run.setdefault("started", min(now, _LATEST) - spent)
    row = {name: value for name, value in flat(result).items() if name not in _NOT_METRICS}
    for old, new in _NAMES.items():
        if old in row and new not in row:
            row[new] = row.pop(old)
    return {name: value for name, value in row.items() if not isinstance(value, str)}
