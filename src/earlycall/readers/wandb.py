"""Weights & Biases: the ``run-*.wandb`` file of an offline (or any local) run.

The file is a LevelDB log of protocol buffers (wandb_internal.proto); it is read here, without the
wandb package. Charts exported as CSV are read by `earlycall.readers.wandb_export`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import NothingYetError
from earlycall.readers.log import Log, settings, table_of
from earlycall.readers.protobuf import fields, varint

NAME = "Weights & Biases runs"
WHOLE_TREE = True
_MAGIC, _BLOCK, _HEADER = b":W&B", 32768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_HISTORY, _CONFIG, _RUN = 2, 5, 17
_JSON = (8, 16)  # value_json, old and new


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file begins as wandb's do."""
    return head.startswith(_MAGIC)


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a run."""
    return any(name.startswith("run-") and name.endswith(".wandb") for name in files)


def load_folder(folder: Path) -> Log:
    """The run of the folder."""
    return load(min(folder.glob("run-*.wandb")))


def load(path: Path) -> Log:
    """The run's history and settings; a record that is not whole yet is left for later.

    Raises:
        InputError: if no history has been written yet.
    """
    rows: list[dict[str, Any]] = []
    config: dict[str, Any] = {}
    name = path.stem.removeprefix("run-")
    for record in _records(path.read_bytes()):
        try:
            for number, kind, at, after in fields(record, 0, len(record)):
                if kind != 2:
                    continue
                if number == _HISTORY:
                    rows.append(_row(record, at, after))
                elif number == _CONFIG:
                    config |= _items(record, at, after)
                elif number == _RUN:
                    for inner, _, first, last in fields(record, at, after):
                        if inner == 4:
                            config |= _items(record, first, last)
                        elif inner == 8:
                            name = record[first:last].decode("utf-8")
        except (ValueError, UnicodeDecodeError, struct.error):
            break  # damaged: what was before it stands
    if not rows:
        raise NothingYetError(f"{path}: no history in this run yet")
    table = table_of([{k: v for k, v in row.items() if _is_number(v)} for row in rows])
    runs = pl.DataFrame([{"run": name} | started(rows[0]) | settings(config)])
    return Log(_tidy(table).with_columns(run=pl.lit(name)), runs)


def started(row: dict[str, Any]) -> dict[str, float]:
    """When a run started, by the clock at a row of its history; nothing where it does not say."""
    now, spent = row.get("_timestamp"), row.get("_runtime")
    if isinstance(now, int | float) and isinstance(spent, int | float):
        return {"started": float(now - spent)}
    return {}


def _records(content: bytes) -> Iterator[bytes]:
    """The records of a LevelDB log that are whole."""
    position, begun = _HEADER, b""
    while position + 7 <= len(content):
        left = _BLOCK - position % _BLOCK
        if left < 7:  # the rest of a block is padding
            position += left
            continue
        length, kind = struct.unpack_from("<HB", content, position + 4)
        after = position + 7 + length
        if after > len(content) or kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or length > left:
            return
        part = content[position + 7 : after]
        if kind == _FULL:
            yield part
        elif kind == _FIRST:
            begun = part
        else:
            begun += part
            if kind == _LAST:
                yield begun
        position = after


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
    return "/".join(keys), _number(value)


def _number(value: Any) -> Any:
    """Take back what is not finite, which wandb writes as text."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tidy(table: pl.DataFrame) -> pl.DataFrame:
    names = {"_step": "step", "_runtime": "seconds"}
    clash = {new for new in names.values() if new in table.columns}
    table = table.rename({k: v for k, v in names.items() if k in table.columns and v not in clash})
    return table.select(pl.exclude("^_.*$"))
