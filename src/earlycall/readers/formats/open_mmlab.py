"""OpenMMLab: ``vis_data/scalars.json`` of MMEngine, ``TIME.log.json`` of MMCV 1 (MMDetection 2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from earlycall.errors import EmptyLogError
from earlycall.readers.base.growing import GrowingLines, State, json_objects
from earlycall.readers.base.inside import head_of, is_inside
from earlycall.readers.base.log import Log, flat, settings, table_of, table_of_numbers

NAME = "OpenMMLab logs"
WHOLE_TREE = False
SCALARS, CONFIG = "scalars.json", "config.py"
_PLANNED = re.compile(rb"\b(max_iters|max_epochs)\s*=\s*(\d{1,15})\b")
_NOT_METRICS = frozenset({
    "mode", "iter", "time", "data_time", "memory", "env_info", "config", "seed", "exp_name",
    "mmdet_version", "CLASSES", "PALETTE", "hook_msgs", "eta_seconds",
})  # fmt: skip


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file begins as a log of MMCV (environment or a training row) or of MMEngine."""
    first = head.lstrip().split(b"\n", 1)[0]
    if first.startswith(b'{"env_info"'):
        return path.name.endswith(".log.json") or b'"exp_name"' in first
    return first.startswith((b'{"mode": "train"', b'{"lr": ')) and b'"iter": ' in first


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder has MMEngine's scalars, of which it also keeps a copy."""
    return SCALARS in files and head_of(folder / SCALARS).lstrip().startswith(b"{")


def parts(path: Path, state: State) -> Iterator[Log]:
    """The run, by training iterations; a validation lies at the iteration that it follows.

    Raises:
        InputError: naming the line that is no JSON object, or if nothing is logged yet.
    """
    file = path / SCALARS if path.is_dir() else path
    records = [flat(record) for record in json_objects(file, GrowingLines(file))]
    is_mmcv = any("mode" in record for record in records)
    rows = list(_numbered_through(records) if is_mmcv else _after_training(records))
    if not rows:
        raise EmptyLogError(f"{path}: no iteration has been logged yet")
    yield Log(table_of_numbers(rows), _settings(path, records[0]))


def _after_training(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of MMEngine; validations count epochs in ``step`` unless the loop counts iterations."""
    last = 0  # epochs are fewer than iterations
    for record in records:
        if isinstance(record.get("step"), int):
            last = record["step"] = max(record["step"], last)
            yield {k: v for k, v in record.items() if k not in _NOT_METRICS}


def _numbered_through(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of MMCV, numbered through where iterations start anew in each epoch."""
    rows = [
        r for r in records if isinstance(r.get("iter"), int) and isinstance(r.get("epoch"), int)
    ]
    trained = [(r["epoch"], r["iter"]) for r in rows if r.get("mode") == "train"]
    anew = any(b[0] > a[0] and b[1] <= a[1] for a, b in pairwise(trained))
    # The last iterations of an epoch may not be logged: its length is the longest that was.
    length = max((i for _, i in trained), default=0) if anew else 0
    last = 0
    for row in rows:
        epoch, iteration = row["epoch"], row["iter"]
        if row.get("mode") == "train":
            last = (epoch - 1) * length + iteration
        metrics = {k: v for k, v in row.items() if k not in _NOT_METRICS}
        if row.get("mode") != "train":
            metrics.pop("lr", None)
            last = epoch * length or last
        yield metrics | {"step": last}


def _settings(path: Path, first: dict[str, Any]) -> Any:
    """The seed, and where training is planned to end by the text of its configuration."""
    found = settings({"seed": first["seed"]} if isinstance(first.get("seed"), int) else {})
    config = path / CONFIG
    if path.is_dir() and is_inside(config, path):
        planned = {
            name: float(number) for name, number in _PLANNED.findall(head_of(config, 1 << 20))
        }
        if len(planned) == 1:
            name, number = planned.popitem()
            found["step_hint" if name == b"max_iters" else "hp.max_epochs"] = number
    return table_of([found]) if found else None
