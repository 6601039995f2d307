"""Tables that were only found in a folder: which of them are logs, and which are something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from earlycall.curves.columns import (
    CLOCKS,
    KEYS,
    direction,
    is_epoch,
    is_step_counter,
    plain,
    role,
)
from earlycall.readers.base.log import number_or_text

_CASES = frozenset({
    "id", "idx", "index", "seed", "fold", "trial", "class", "label", "threshold", "sample", "image",
    "file", "filename", "path", "name", "model", "target", "prediction", "pred", "k",
})  # fmt: skip
_TIMES = frozenset({"time", "date", "datetime", "timestamp", "eta", "elapsed", "clock", "when"})
_OPERATING = frozenset({  # a curve over thresholds
    "precision", "recall", "tpr", "fpr", "tnr", "fnr", "sensitivity", "specificity",
})  # fmt: skip
_LOSSES = ("training loss", "validation loss")


def is_log(cells: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a table counts steps or epochs, or holds nothing but what training yields.

    Args:
        cells: of each column, the first few, as text or as they are.

    Examples:
        >>> is_log({"step": ["1", "2"], "zeta": ["0.5", "0.4"]}), is_log({"loss": ["2.5", "1.5"]})
        (True, True)
        >>> is_log({"model": ["small", "base"], "steps": ["100", "200"], "loss": ["2", "1"]})
        False
        >>> is_log({"threshold": ["0.1", "0.2"], "recall": ["0.9", "0.8"]})
        False
    """
    text = [name for name, values in cells.items() if _is_text(name, values)]
    counters = [n for n in cells if n not in text and (is_step_counter(n) or is_epoch(n))]
    metrics = [
        name
        for name in cells
        if name not in (*KEYS, *CLOCKS, *text) and role(name) not in ("step", "epoch", "setting")
    ]
    rows = max(map(len, cells.values()), default=0)
    if not metrics:
        return False
    if "run" in cells:
        return bool(counters) or len(set(cells["run"])) < rows or not rows
    cases = [n for n in text if len(set(cells[n])) == len(cells[n]) > 1]
    if counters:
        return not cases or (cases[0] != next(iter(cells)) and _rises(cells[counters[0]]))
    if cases or rows == 1 or any(plain(name).split("_")[0] in _CASES for name in cells):
        return False
    if _OPERATING.issuperset(map(plain, metrics)):
        return False
    return any(role(name) in _LOSSES or direction(name) for name in metrics)


def _is_text(name: str, values: Sequence[Any]) -> bool:
    if (
        name in ("run", "group")
        or role(name) in _LOSSES
        or _TIMES.intersection(plain(name).split("_"))
    ):
        return False
    filled = [v for v in values if v is not None and v != ""]
    return 2 * sum(isinstance(_plain(v), str) for v in filled) > len(filled)


def _rises(values: Sequence[Any]) -> bool:
    known = [v for v in map(_plain, values) if isinstance(v, int | float)]
    return len(known) < 2 or all(a <= b for a, b in pairwise(known))


def _plain(value: Any) -> Any:
    return number_or_text(value.strip()) if isinstance(value, str) else value
