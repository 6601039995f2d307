"""Weights & Biases: the ``run-*.wandb`` file of an offline (or any local) run.

The file is a LevelDB log of protocol buffers (wandb_internal.proto); it is read here, without the
wandb package. Charts exported as CSV are read by `earlycall.readers.formats.wandb_export`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.curves.cleaning import RereadRequiredError
from earlycall.errors import EmptyLogError
from earlycall.readers.base.growing import State, growing_parts, must_have_grown
from earlycall.readers.base.inside import files_in
from earlycall.readers.base.leveldb import records
from earlycall.readers.base.log import Log, json_value, settings, table_of, table_of_numbers
from earlycall.readers.base.protobuf import fields, nested, varint

NAME = "Weights & Biases runs"
WHOLE_TREE = True
_MAGIC = b":W&B"
_HISTORY, _CONFIG, _RUN = 2, 5, 17
_JSON = (8, 16)  # value_json, old and new


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file begins as wandb's do."""
    return head.startswith(_MAGIC)


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a run."""
    return any(name.startswith("run-") and name.endswith(".wandb") for name in files)


def parts(path: Path, state: State) -> Iterator[Log]:
    """The run's new history, and its settings; not a record that is incomplete.

    Raises:
        InputError: if no history has been written yet.
    """
    return growing_parts(path, state, _new_history, _load)


def _file(path: Path) -> Path:
    return files_in(path, "run-*.wandb")[0] if path.is_dir() else path


def _load(path: Path) -> Log:
    file = _file(path)
    run = _Run(file.stem.removeprefix("run-"))
    table = table_of_numbers(_history(file, run))
    if not table.height:
        raise EmptyLogError(f"{file}: no history in this run yet")
    return Log(_tidy(table), run.table())


def _new_history(path: Path, state: State) -> Iterator[Log]:
    file = _file(path)
    run = state.setdefault("run", _Run(file.stem.removeprefix("run-")))
    must_have_grown(file, state, run.end)
    table = table_of_numbers(_history(file, run))
    if "seconds" in table.columns:
        raise RereadRequiredError  # a metric of this name hides the run's own
    yield Log(_tidy(table), run.table())


def started(row: dict[str, Any]) -> dict[str, float]:
    """When a run started, by the clock at a row of its history; nothing where it does not say."""
    now, spent = row.get("_timestamp"), row.get("_runtime")
    if isinstance(now, float) and isinstance(spent, int | float) and spent < now:
        return {"started": now - spent}
    return {}


@dataclass
class _Run:
    """The run, from its records."""

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    end: int = 0  # the byte after the last whole record

    def table(self) -> pl.DataFrame:
        """One row."""
        tags = {"tags": ", ".join(self.tags)} if self.tags else {}
        return table_of([{"run": self.name} | self.started | settings(tags | self.config)])


def _history(path: Path, run: _Run) -> Iterator[dict[str, Any]]:
    """The rows of the history from where the run ended; other records go into the run."""
    with path.open("rb") as file:
        for record, end in records(path, file, run.end):
            run.end = end
            try:
                for number, kind, at, after in fields(record, 0, len(record)):
                    if (number, kind) == (_HISTORY, 2):
                        row = _row(record, at, after)
                        run.started = run.started or started(row)
                        yield row
                    elif (number, kind) == (_CONFIG, 2):
                        run.config |= _items(record, at, after)
                    elif (number, kind) == (_RUN, 2):
                        _take_run(record, at, after, run)
            except (ValueError, RecursionError, struct.error):
                continue  # a record of another version


def _take_run(record: bytes, start: int, stop: int, run: _Run) -> None:
    for number, kind, at, after in fields(record, start, stop):
        if (number, kind) == (4, 2):
            run.config |= _items(record, at, after)
        elif (number, kind) == (8, 2):
            run.name = record[at:after].decode("utf-8")
        elif (number, kind) == (10, 2):
            run.tags.append(record[at:after].decode("utf-8"))


def _row(record: bytes, start: int, stop: int) -> dict[str, Any]:
    row = _items(record, start, stop)
    for at, after in nested(record, start, stop, 2, 1):
        row["_step"], _ = varint(record, at, after)
    return row


def _items(record: bytes, start: int, stop: int) -> dict[str, Any]:
    """The items (field 1) of a message: key or nested key, and value."""
    found: dict[str, Any] = {}
    for number, kind, at, after in fields(record, start, stop):
        if (number, kind) == (1, 2):
            name, value = _item(record, at, after)
            if name:
                found[name] = value
    return found


def _item(record: bytes, start: int, stop: int) -> tuple[str, Any]:
    keys: list[str] = []
    value: Any = None
    for number, kind, at, after in fields(record, start, stop):
        if number in (1, 2) and kind == 2:
            keys.append(record[at:after].decode("utf-8"))
        elif number in _JSON and kind == 2:
            value = json_value(record[at:after].decode("utf-8"))
        elif number == 7 and kind == 2:
            value = record[at:after].decode("utf-8")
        elif (number, kind) == (6, 1):
            (value,) = struct.unpack_from("<d", record, at)
        elif (number, kind) == (5, 0):
            code, _ = varint(record, at, after)
            value = (code >> 1) ^ -(code & 1)  # zigzag
        elif (number, kind) == (4, 0):
            value = bool(record[at])
    return ".".join(keys), value  # as W&B shows nested names


def _tidy(table: pl.DataFrame) -> pl.DataFrame:
    """Without what wandb adds, but for the clock and ``_step``, which counts calls of ``log``."""
    if "_runtime" in table.columns and "seconds" not in table.columns:
        table = table.rename({"_runtime": "seconds"})
    return table.select(c for c in table.columns if c == "_step" or not c.startswith("_"))
