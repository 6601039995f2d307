"""Ray Tune: a trial's folder, with ``result.json`` or ``progress.csv``, and ``params.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import InputError, NothingYetError
from earlycall.readers.base.inside import is_inside
from earlycall.readers.base.log import Log, flat, settings, table_of, table_of_numbers
from earlycall.readers.base.settings_file import settings_beside
from earlycall.readers.formats import delimited
from earlycall.readers.growing.tails import DoubtError, GrowingLines, Stamp, stamp

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


def tail_folder(folder: Path) -> RayTail | None:
    """What reads a growing trial on."""
    return RayTail(folder) if is_inside(folder / "result.json", folder) else None


class RayTail:
    """The reports of a trial, a part of ``result.json`` at a time.

    Args:
        folder: the trial's.
    """

    def __init__(self, folder: Path) -> None:
        self._lines = GrowingLines(folder / "result.json")
        self._params = folder / "params.json"
        self._seen: Stamp = (0, 0, 0)
        self._hyper: dict[str, Any] = {}
        self._told: dict[str, Any] = {}  # when the run started

    def runs(self) -> pl.DataFrame | None:
        """What is known of the run."""
        now = stamp(self._params) if self._params.is_file() else (0, 0, 0)
        if now != self._seen:
            self._seen, self._hyper = now, settings(settings_beside(self._params))
        known = self._hyper | {k: v for k, v in self._told.items() if k not in self._hyper}
        return table_of([known]) if known else None

    def more(self) -> pl.DataFrame | None:
        """Some of the new reports, None if there are none yet.

        Raises:
            DoubtError: if the file was replaced, or a line is no report.
        """
        lines = self._lines.read()
        if not lines:
            return None
        try:
            reports = [_row(json.loads(line), self._told) for line in lines.splitlines()]
        except (ValueError, AttributeError, RecursionError):
            raise DoubtError from None
        return table_of_numbers(reports)


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
