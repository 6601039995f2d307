"""The Transformers trainer: ``trainer_state.json``, in the folder of a training or on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import EmptyLogError
from earlycall.readers.base.growing import State
from earlycall.readers.base.inside import is_inside
from earlycall.readers.base.log import (
    Log,
    json_document,
    settings,
    table_of,
    table_of_numbers,
)

NAME = "Transformers trainer states"
WHOLE_TREE = False
FILE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,15})$")
_OWN_FILES = re.compile(
    rf"{re.escape(FILE)}|trainer_log\.jsonl|\w+_results\.json|.*\.tfevents\..*", re.DOTALL
)
_OF_TRACKERS = ("runs", "logs", "wandb", "tensorboard", "mlruns")  # the same training once more


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a JSON object with a ``log_history``."""
    return head.lstrip().startswith(b"{") and b'"log_history"' in head


def parts(path: Path, state: State) -> Iterator[Log]:
    """The run; of a folder, from the state that was written last and is complete.

    Raises:
        InputError: if none is complete, or has a log yet.
    """
    if path.is_file():
        yield _load(path)
        return
    own = [path / FILE] if is_inside(path / FILE, path) else []
    *earlier, last = [*_checkpoints(path), *own]
    try:
        yield _load(last)
    except EmptyLogError:
        if not earlier:
            raise
        yield _load(earlier[-1])


def _load(path: Path) -> Log:
    state = json_document(path, "wait until it is written, or take another checkpoint's")
    history = state.get("log_history") if isinstance(state, dict) else None
    rows = [
        row
        for row in (history if isinstance(history, list) else [])
        if isinstance(row, dict) and "step" in row and "train_runtime" not in row
    ]
    if not rows:
        raise EmptyLogError(f"{path}: nothing in its log_history yet")
    return Log(table_of_numbers(rows), _settings(state))


def _settings(state: dict[str, Any]) -> pl.DataFrame | None:
    """The planned last step, and the settings of a search."""
    found: dict[str, Any] = {}
    hint, trial = state.get("max_steps"), state.get("trial_params")
    if isinstance(hint, int) and 0 < hint < 1 << 53:
        found["step_hint"] = float(hint)
    found |= settings(trial if isinstance(trial, dict) else {})
    for name in ("train_batch_size", "num_train_epochs"):
        if isinstance(state.get(name), int | float) and state[name]:
            found[f"hp.{name}"] = state[name]
    return table_of([found]) if found else None


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a training: it has a trainer's state, or checkpoints do."""
    return FILE in files or bool(_checkpoints(folder))


def claims(name: str) -> bool:
    """Whether a file of the folder belongs to the training."""
    return _OWN_FILES.fullmatch(name) is not None


def owns(folder: Path, below: list[str]) -> list[str]:
    """Which folders below that of a training belong to it."""
    return [name for name in below if name in _OF_TRACKERS or _CHECKPOINT.match(name)]


def _checkpoints(folder: Path) -> list[Path]:
    """The states of the checkpoints in a folder, the last one last."""
    found = []
    for there in folder.iterdir():
        match = _CHECKPOINT.match(there.name)
        if match and not there.is_symlink() and is_inside(there / FILE, folder):
            found.append((int(match[1]), there / FILE))
    return [path for _, path in sorted(found)]
