"""SwanLab: the ``backup.swanlab`` of a run, JSON records in a LevelDB log, and ``config.yaml``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earlycall.errors import EmptyLogError
from earlycall.readers.base.growing import State, growing_parts, must_have_grown
from earlycall.readers.base.leveldb import records
from earlycall.readers.base.log import (
    Log,
    json_value,
    settings,
    table_of,
    table_of_numbers,
    timestamp_of,
)
from earlycall.readers.base.settings_file import settings_beside

NAME = "SwanLab runs"
WHOLE_TREE = True
FILE = "backup.swanlab"
_MAGIC = b":SWL"
_SYSTEM = "__swanlab__"  # metrics of the machine


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file begins as SwanLab's do."""
    return head.startswith(_MAGIC)


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a run."""
    return FILE in files


def parts(path: Path, state: State) -> Iterator[Log]:
    """The run's new values, and its settings; not a record that is incomplete.

    Raises:
        InputError: if no value has been written yet.
    """
    return growing_parts(path, state, _new_values, _nothing)


def _nothing(path: Path) -> Log:
    raise EmptyLogError(f"{path}: no value in this run yet")


def _new_values(path: Path, state: State) -> Iterator[Log]:
    file = path / FILE if path.is_dir() else path
    must_have_grown(file, state, state.get("end", 0))
    yield Log(table_of_numbers(list(_rows(file, state))), _settings(file, state))


def _rows(file: Path, state: State) -> Iterator[dict[str, Any]]:
    """A row for each value; the run's name and start go into the state."""
    with file.open("rb") as opened:
        for record, end in records(file, opened, state.get("end", 0)):
            state["end"] = end
            try:
                found = json_value(record)
                kind, data = found["model_type"], found["data"]
                if kind == "Header":
                    state["started"] = timestamp_of(data["create_time"])
                elif kind == "Experiment":
                    state["name"] = data["name"]
                elif kind == "Scalar" and not data["key"].startswith(_SYSTEM):
                    yield _row(data, state)
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                continue  # a record of another version


def _row(data: dict[str, Any], state: State) -> dict[str, Any]:
    when = timestamp_of(data["metric"].get("create_time"))
    started = state.get("started")
    row = {"step": data["step"], data["key"]: data["metric"]["data"]}
    if when is None or started is None:
        return row
    return row | {"seconds": max(when - started, 0.0)}


def _settings(file: Path, state: State) -> Any:
    """The run's name and start, and its configuration, whose values lie one level deeper."""
    config = {
        name: item.get("value") if isinstance(item, dict) and "sort" in item else item
        for name, item in settings_beside(file.parent / "files" / "config.yaml").items()
    }
    known = {key: state[key] for key in ("started",) if state.get(key) is not None}
    name = {"run": str(state["name"])} if state.get("name") else {}
    row = name | known | settings(config)
    return table_of([row]) if row else None
