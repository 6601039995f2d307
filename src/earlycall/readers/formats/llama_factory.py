"""LLaMA-Factory: ``trainer_log.jsonl``, JSON lines with the steps so far and those planned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earlycall.errors import EmptyLogError
from earlycall.readers.base.growing import GrowingLines, State, growing_parts, json_objects
from earlycall.readers.base.log import Log, table_of, table_of_numbers

NAME = "LLaMA-Factory logs"
_NOT_METRICS = ("current_steps", "total_steps", "percentage", "elapsed_time", "remaining_time")
_ELAPSED = re.compile(r"(?:(\d{1,6}) days?, )?(\d{1,2}):(\d\d):(\d\d)")


def recognises(path: Path, head: bytes) -> bool:
    """Whether the first line counts steps as LLaMA-Factory does."""
    first = head.lstrip().split(b"\n", 1)[0]
    return first.startswith(b"{") and b'"current_steps"' in first and b'"total_steps"' in first


def parts(path: Path, state: State) -> Iterator[Log]:
    """The new observations; the planned steps as the last line has them.

    Raises:
        InputError: naming the line that is no JSON object, or if there is none yet.
    """
    return growing_parts(path, state, _new_parts, _nothing)


def _nothing(path: Path) -> Log:
    raise EmptyLogError(f"{path}: no step has been logged yet")


def _new_parts(path: Path, state: State) -> Iterator[Log]:
    lines = state.setdefault("lines", GrowingLines(path))
    rows = []
    for record in json_objects(path, lines):
        state["total"] = record.get("total_steps")
        row = _row(record)
        if len(row) > 2:  # else a prediction, which has no loss
            rows.append(row)
    total = state.get("total")
    planned = isinstance(total, int) and 0 < total < 1 << 53
    yield Log(table_of_numbers(rows), table_of([{"step_hint": total}]) if planned else None)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    elapsed = _ELAPSED.fullmatch(str(record.get("elapsed_time")))
    seconds = None
    if elapsed:
        days, hours, minutes, rest = (int(part or 0) for part in elapsed.groups())
        seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    metrics = {name: value for name, value in record.items() if name not in _NOT_METRICS}
    return {"step": record.get("current_steps"), "seconds": seconds, **metrics}
