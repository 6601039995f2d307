"""The Transformers trainer: ``trainer_state.json``, in the folder of a training or on its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import NothingYetError
from earlycall.readers.base.inside import is_inside
from earlycall.readers.base.log import Log, settings, table_of, table_of_numbers

NAME = "Transformers trainer states"
WHOLE_TREE = True
FILE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,15})$")


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
        raise NothingYetError(
            f"{path}{where}: not whole JSON; wait until it is written, or take another checkpoint's"
        ) from None
    history = state.get("log_history") if isinstance(state, dict) else None
    rows = [row for row in history if _is_observation(row)] if isinstance(history, list) else []
    if not rows:
        raise NothingYetError(f"{path}: nothing in its log_history yet")
    return Log(table_of_numbers(rows), _about(state))


def _about(state: dict[str, Any]) -> pl.DataFrame | None:
    """What a state tells of its run: the planned last step, the settings of a search."""
    told: dict[str, Any] = {}
    hint, trial = state.get("max_steps"), state.get("trial_params")
    if isinstance(hint, int) and 0 < hint < 1 << 53:
        told["step_hint"] = float(hint)
    told |= settings(trial if isinstance(trial, dict) else {})
    for name in ("train_batch_size", "num_train_epochs"):
        if isinstance(state.get(name), int | float) and state[name]:
            told[f"hp.{name}"] = state[name]
    return table_of([told]) if told else None


def _is_observation(row: Any) -> bool:
    return isinstance(row, dict) and "step" in row and "train_runtime" not in row


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a training: it has a trainer's state, or checkpoints do."""
    return FILE in files or bool(_checkpoints(folder))


def load_folder(folder: Path) -> Log:
    """The run, from the state that was written last and is whole.

    Raises:
        InputError: if none can be read.
    """
    own = [folder / FILE] if is_inside(folder / FILE, folder) else []
    *earlier, last = [*_checkpoints(folder), *own]
    try:
        return load(last)
    except NothingYetError:
        if not earlier:
            raise
        return load(earlier[-1])


def _checkpoints(folder: Path) -> list[Path]:
    """The states of the checkpoints in a folder, the last one last."""
    found = []
    for there in folder.iterdir():
        match = _CHECKPOINT.match(there.name)
        if match and not there.is_symlink() and is_inside(there / FILE, folder):
            found.append((int(match[1]), there / FILE))
    return [path for _, path in sorted(found)]
