"""Weights & Biases: the ``run-*.wandb`` file of an offline (or any local) run.

The file is a LevelDB log of protocol buffers (wandb_internal.proto); it is read here, without the
wandb package. Charts exported as CSV are read by `earlycall.readers.formats.wandb_export`.
"""

from __future__ import annotations

import json
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from earlycall.errors import CurveWarning, NothingYetError
from earlycall.readers.base.inside import files_in
from earlycall.readers.base.log import Log, settings, table_of, table_of_numbers
from earlycall.readers.base.protobuf import fields, varint
from earlycall.readers.growing.tails import DoubtError, Stamp, stamp

NAME = "Weights & Biases runs"
WHOLE_TREE = True
_MAGIC, _BLOCK, _HEADER = b":W&B", 32768, 7
_AT_ONCE = 1 << 14  # rows that are given at once
_FULL, _FIRST, _MIDDLE, _LAST = _KINDS = 1, 2, 3, 4
_HISTORY, _CONFIG, _RUN = 2, 5, 17
_JSON = (8, 16)  # value_json, old and new


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file begins as wandb's do."""
    return head.startswith(_MAGIC)


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a run."""
    return any(name.startswith("run-") and name.endswith(".wandb") for name in files)


def load_folder(folder: Path) -> Log:
    """The run of the folder.

    Raises:
        InputError: if no history has been written yet.
    """
    return load(files_in(folder, "run-*.wandb")[0])


def load(path: Path) -> Log:
    """The run's history and settings; a record that is not whole yet is left for later.

    Raises:
        InputError: if no history has been written yet.
    """
    run = _Run(path.stem.removeprefix("run-"))
    table = table_of_numbers(_history(path, run))
    if not table.height:
        raise NothingYetError(f"{path}: no history in this run yet")
    return Log(_tidy(table).with_columns(run=pl.lit(run.name)), run.table())


def tail_folder(folder: Path) -> WandbTail:
    """What reads the growing run of a folder on."""
    return WandbTail(files_in(folder, "run-*.wandb")[0])


def tail(path: Path) -> WandbTail:
    """What reads a growing run on."""
    return WandbTail(path)


class WandbTail:
    """A run's history, a part of its file at a time.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run = _Run(path.stem.removeprefix("run-"))
        self._seen: Stamp = (0, 0, 0)

    def runs(self) -> pl.DataFrame | None:
        """What is known of the run."""
        return self._run.table()

    def more(self) -> pl.DataFrame | None:
        """Some of the new rows, None if there are none yet.

        Raises:
            DoubtError: if the file was replaced, or a metric has the name of a step or a time.
        """
        now = stamp(self._path)
        if now == self._seen:
            return None
        if self._seen[0] not in (0, now[0]) or now[1] < self._run.end:
            raise DoubtError
        rows = list(islice(_history(self._path, self._run), _AT_ONCE))
        if len(rows) < _AT_ONCE:
            self._seen = now  # all of it has been read
        table = table_of_numbers(rows)
        if {"step", "seconds"} & set(table.columns):
            raise DoubtError
        return _tidy(table) if table.height else None


def started(row: dict[str, Any]) -> dict[str, float]:
    """When a run started, by the clock at a row of its history; nothing where it does not say."""
    now, spent = row.get("_timestamp"), row.get("_runtime")
    if isinstance(now, float) and isinstance(spent, int | float) and spent < now:
        return {"started": now - spent}
    return {}


@dataclass
class _Run:
    """What the records tell of the run."""

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    end: int = 0  # the byte after the last whole record

    def table(self) -> pl.DataFrame:
        """One row."""
        tags = {"tags": ", ".join(self.tags)} if self.tags else {}
        told = self.config | (tags if "tags" not in self.config else {})
        return table_of([{"run": self.name} | self.started | settings(told)])


def _history(path: Path, run: _Run) -> Iterator[dict[str, Any]]:
    """The rows of the history from where the run ended; what else is told goes into the run."""
    with path.open("rb") as file:
        for record, end in _records(path, file, run.end):
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


def _records(path: Path, file: BinaryIO, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """The whole records of a LevelDB log with their ends, up to the first that is damaged."""
    position = start or len(file.read(_HEADER))
    file.seek(position)
    begun = b""
    while True:
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:  # the rest of a block is padding
            position += left
            file.seek(position)
            continue
        head = file.read(_HEADER)
        if len(head) < _HEADER:
            return
        checksum, length, kind = struct.unpack("<IHB", head)
        part = file.read(min(length, left))
        if len(part) < length <= left - _HEADER:
            return  # still being written
        if zlib.crc32(part, zlib.crc32(head[6:])) != checksum or kind not in _KINDS:
            if any(head):  # zeros are what a crash leaves
                warnings.warn(f"{path}: damaged at byte {position}; what follows is left out",
                              CurveWarning, stacklevel=2)  # fmt: skip
            return
        position += _HEADER + length
        begun = part if kind in (_FULL, _FIRST) else begun + part
        if kind in (_FULL, _LAST):
            yield begun, position


def _row(record: bytes, start: int, stop: int) -> dict[str, Any]:
    row = _items(record, start, stop)
    for number, _, at, after in fields(record, start, stop):
        if number == 2:
            for inner, _, first, last in fields(record, at, after):
                if inner == 1:
                    row["_step"], _ = varint(record, first, last)
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
            value = json.loads(record[at:after].decode("utf-8"))
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
    names = {"_step": "step", "_runtime": "seconds"}
    clash = {new for new in names.values() if new in table.columns}
    table = table.rename({k: v for k, v in names.items() if k in table.columns and v not in clash})
    return table.select(pl.exclude("^_.*$"))
