"""Trackio: the SQLite file of a project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import (
    Log,
    flat,
    json_value,
    settings,
    table_of,
    table_of_numbers,
    timestamp_of,
)
from earlycall.readers.base.sqlite import column_names, has_tables, opened, rows

NAME = "Trackio projects"


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a database with Trackio's tables."""
    return has_tables(path, head, {"metrics", "configs", "system_metrics"})


def parts(path: Path, state: State) -> Iterator[Log]:
    """The runs of a project.

    Raises:
        InputError: if it cannot be read or has no metrics yet.
    """
    with opened(path) as connection:
        columns = column_names(connection, "metrics")
        if not {"run_name", "step", "metrics", "timestamp"} <= columns:
            raise InputError(f"{path}: a database of an unknown version of Trackio")
        key = "run_id" if "run_id" in columns else "run_name"
        runs = rows(connection, f"SELECT DISTINCT {key}, run_name FROM metrics ORDER BY id")  # noqa: S608
        configs = rows(connection, f"SELECT {key}, config FROM configs")  # noqa: S608
        names = _names(runs)
        logged = connection.execute(
            f"SELECT {key}, step, metrics, timestamp FROM metrics ORDER BY id"  # noqa: S608
        )
        begun: dict[str, float] = {}
        observations = table_of_numbers(_rows(path, logged, names, begun), text=["run"])
    if not observations.height:
        raise EmptyLogError(f"{path}: no metrics in this Trackio project yet")
    hyper = {run: settings(_object(path, config)) for run, config in configs}
    yield Log(observations, table_of([
        {"run": name, "started": begun.get(run)} | hyper.get(run, {}) for run, name in names.items()
    ]))  # fmt: skip


def _names(runs: list[tuple[Any, ...]]) -> dict[str, str]:
    """A name for each run by its id: its own; with a number where several share it."""
    counts: dict[str, int] = {}
    names = {}
    for run, name in runs:
        counts[name] = counts.get(name, 0) + 1
        names[run] = str(name) if counts[name] == 1 else f"{name}-{counts[name]}"
    return names


def _rows(
    path: Path, logged: Iterable[tuple[Any, ...]], names: dict[str, str], begun: dict[str, float]
) -> Iterator[dict[str, Any]]:
    """What was logged; when each run began goes into ``begun``."""
    for run, step, metrics, when in logged:
        row = flat(_object(path, metrics)) | {"run": names.get(run, str(run)), "step": step}
        seconds = timestamp_of(when)
        if seconds is not None:
            row["seconds"] = max(seconds - begun.setdefault(run, seconds), 0.0)
        yield row


def _object(path: Path, text: str | bytes) -> dict[str, Any]:
    try:
        found = json_value(text)
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"{path}: a row holds {str(text)[:40]!r}, which is not JSON") from None
    return found if isinstance(found, dict) else {}
