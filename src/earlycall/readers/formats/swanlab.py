"""SwanLab: the records of a run in a LevelDB log, and ``config.yaml``.

They are protocol buffers in ``run-*.swanlab``; before version 0.10, JSON in ``backup.swanlab``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from earlycall.errors import EmptyLogError
from earlycall.readers.base.growing import State, growing_parts, must_have_grown
from earlycall.readers.base.leveldb import records
from earlycall.readers.base.log import (
    Log,
    json_value,
    table_of,
    table_of_numbers,
    timestamp_of,
)
from earlycall.readers.base.protobuf import fields, nested, varint
from earlycall.readers.base.settings_file import settings_in

NAME = "SwanLab runs"
WHOLE_TREE = True
_MAGIC = b":SWL"
_SYSTEM = "__swanlab__"  # metrics of the machine
_START, _SCALAR = 10, 13  # fields of a record: swanlab/proto/swanlab/record/v1/record_pb2.pyi


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file begins as SwanLab's do."""
    return head.startswith(_MAGIC)


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a run."""
    return _log_in(files) is not None


def _log_in(files: Iterable[str]) -> str | None:
    logs = (name for name in sorted(files) if name.endswith(".swanlab"))
    return next((name for name in logs if name.startswith(("backup.", "run-"))), None)


def parts(path: Path, state: State) -> Iterator[Log]:
    """The run's new values, and its settings; not a record that is incomplete.

    Raises:
        InputError: if no value has been written yet.
    """
    return growing_parts(path, state, _new_values, _nothing)


def _nothing(path: Path) -> Log:
    raise EmptyLogError(f"{path}: no value in this run yet")


def _new_values(path: Path, state: State) -> Iterator[Log]:
    file = path
    if path.is_dir():
        file /= _log_in(there.name for there in path.iterdir()) or ""
    must_have_grown(file, state, state.get("end", 0))
    yield Log(table_of_numbers(list(_rows(file, state))), _settings(file, state))


def _rows(file: Path, state: State) -> Iterator[dict[str, Any]]:
    """A row for each value; the run's name and start go into the state."""
    with file.open("rb") as opened:
        for record, end in records(file, opened, state.get("end", 0)):
            state["end"] = end
            try:
                if not record.startswith(b"{"):
                    yield from _values(record, state)
                    continue
                found = json_value(record)
                kind, data = found["model_type"], found["data"]
                if kind == "Header":
                    state["started"] = timestamp_of(data["create_time"])
                elif kind == "Experiment":
                    state["name"] = data["name"]
                elif kind == "Scalar" and not data["key"].startswith(_SYSTEM):
                    yield _row(data, state)
            except (
                ValueError,
                LookupError,
                TypeError,
                AttributeError,
                RecursionError,
                struct.error,
            ):
                continue  # a record of another version


def _values(record: bytes, state: State) -> Iterator[dict[str, Any]]:
    """The value in a record that is a protocol buffer; the run's name and start go into the state.

    Raises:
        ValueError, struct.error: if it is damaged.
    """
    for number, kind, at, after in fields(record, 0, len(record)):
        if (number, kind) == (_START, 2):
            state["name"] = _text(record, at, after, 4)
            state["started"] = _clock(record, at, after, 12)
        elif (number, kind) == (_SCALAR, 2):
            key = _text(record, at, after, 1)
            if not key.startswith(_SYSTEM):
                # What is 0 is not written.
                step = next(
                    (varint(record, *where)[0] for where in nested(record, at, after, 2)), 0
                )
                value = [
                    struct.unpack_from("<d", record, first)[0]
                    for first, _ in nested(record, at, after, 5, 1)
                ]
                row = {"step": step, key: value[0] if value else 0.0}
                yield row | _seconds(_clock(record, at, after, 4), state)


def _text(record: bytes, start: int, stop: int, number: int) -> str:
    for at, after in nested(record, start, stop, number):
        return record[at:after].decode()
    return ""


def _clock(record: bytes, start: int, stop: int, number: int) -> float | None:
    """A moment, in seconds since 1970."""
    for at, after in nested(record, start, stop, number):
        seconds, nanos = (
            next((varint(record, *where)[0] for where in nested(record, at, after, field)), 0)
            for field in (1, 2)
        )
        return seconds + nanos / 1e9
    return None


def _row(data: dict[str, Any], state: State) -> dict[str, Any]:
    row = {"step": data["step"], data["key"]: data["metric"]["data"]}
    return row | _seconds(timestamp_of(data["metric"].get("create_time")), state)


def _seconds(when: float | None, state: State) -> dict[str, float]:
    started = state.get("started")
    return {} if when is None or started is None else {"seconds": max(when - started, 0.0)}


def _settings(file: Path, state: State) -> Any:
    """The run's name and start, and its configuration."""
    known = {key: state[key] for key in ("started",) if state.get(key) is not None}
    name = {"run": str(state["name"])} if state.get("name") else {}
    row = name | known | settings_in(file.parent / "files" / "config.yaml")
    return table_of([row]) if row else None
