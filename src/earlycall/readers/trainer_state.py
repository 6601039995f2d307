"""The Transformers trainer: ``trainer_state.json``, in the folder of a training or on its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import InputError, NothingYetError
from earlycall.readers.log import Log, table_of

NAME = "Transformers trainer states"
WHOLE_TREE = True
FILE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)$")
_NOT_METRICS = ("step", "epoch")


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a JSON object with a ``log_history``."""
    return head.lstrip().startswith(b"{") and b'"log_history"' in head


def load(path: Path) -> Log:
    """The run; summaries of the whole training are no observations.

    Raises:
        InputError: if it is not whole JSON, or has no log yet.
    """
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"{path}{where}: not whole JSON; take another checkpoint's") from None
    history = state.get("log_history") if isinstance(state, dict) else None
    rows = [row for row in (history or []) if _is_observation(row)]
    if not rows:
        raise NothingYetError(f"{path}: nothing in its log_history yet")
    hint = state.get("max_steps")
    runs = (
        pl.DataFrame({"step_hint": [float(hint)]}) if isinstance(hint, int) and hint > 0 else None
    )
    return Log(table_of([_numbers(row) for row in rows]), runs)


def _is_observation(row: Any) -> bool:
    return isinstance(row, dict) and "step" in row and "train_runtime" not in row


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {
        str(name): value
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a training: it has checkpoints with a trainer's state."""
    return FILE in files or _last(folder) is not None


def load_folder(folder: Path) -> Log:
    """The run, from the state that was written last.

    Raises:
        InputError: if it cannot be read.
    """
    own = folder / FILE
    path = own if own.is_file() else _last(folder)
    if path is None:
        raise InputError(f"{folder}: no {FILE}")
    return load(path)


def _last(folder: Path) -> Path | None:
    """The state of the last checkpoint."""
    found = []
    for there in folder.iterdir():
        match = _CHECKPOINT.match(there.name)
        if match and not there.is_symlink() and (there / FILE).is_file():
            found.append((int(match[1]), there / FILE))
    return max(found)[1] if found else None
