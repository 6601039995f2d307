"""Trackio: the SQLite file of a project."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from earlycall.errors import InputError, NothingYetError
from earlycall.readers.log import Log, settings, table_of
from earlycall.readers.sqlite import column_names, has_tables, opened, rows

NAME = "Trackio projects"


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a database with Trackio's tables."""
    return has_tables(path, head, {"metrics", "configs", "system_metrics"})


def load(path: Path) -> Log:
    """The runs of a project.

    Raises:
        InputError: if it cannot be read or has no metrics yet.
    """
    with opened(path) as connection:
        if not {"run_name", "step", "metrics", "timestamp"} <= column_names(connection, "metrics"):
            raise InputError(f"{path}: a database of an unknown version of Trackio")
        query = "SELECT run_name, step, metrics, timestamp FROM metrics ORDER BY id"
        found = rows(connection, query)
        configs = rows(connection, "SELECT run_name, config FROM configs")
    if not found:
        raise NothingYetError(f"{path}: no metrics in this Trackio project yet")
    begun: dict[str, float] = {}
    observations: list[dict[str, Any]] = []
    for run, step, metrics, when in found:
        seconds = _seconds(when)
        logged = {k: v for k, v in _object(path, metrics).items() if _is_number(v)}
        row = logged | {"run": run, "step": step}
        if seconds is not None:
            row["seconds"] = seconds - begun.setdefault(run, seconds)
        observations.append(row)
    known = {run: settings(_object(path, config)) for run, config in configs}
    hyper = [
        {"run": run, "started": begun.get(run)} | known.get(run, {})
        for run in dict.fromkeys([*known, *begun])
    ]
    return Log(table_of(observations), table_of(hyper) if hyper else None)


def _object(path: Path, text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        raise InputError(f"{path}: a row holds {text[:40]!r}, which is not JSON") from None
    return found if isinstance(found, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seconds(when: str) -> float | None:
    try:
        return datetime.fromisoformat(when).timestamp()
    except (ValueError, TypeError):
        return None
