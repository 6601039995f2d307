"""What is told of an architecture in numbers and words: ``arch.*`` and ``hp.*`` columns."""

from __future__ import annotations

import math
from typing import Any

from earlycall.nas.features.family import GRAPH, NAME, Architecture, Family

_MEANINGS = {
    "arch.params": "logarithm (base 10) of the number of parameters",
    "arch.flops": "logarithm (base 10) of the floating-point operations of a forward pass",
    "arch.depth": "how many layers deep",
    "arch.width": "how wide",
    "arch.resolution": "the height and width of the input, in pixels",
}
_LOGARITHMIC = ("params", "flops", "lr", "weight_decay", "macs", "joules")


def _compute(architecture: Architecture) -> dict[str, float]:
    found: dict[str, float] = {}
    for column, value in architecture.known.items():
        if column not in (GRAPH, NAME):
            found |= _features(column, value)
    return found


def _features(column: str, value: Any) -> dict[str, float]:
    if isinstance(value, bool):
        return {column: float(value)}
    if isinstance(value, int | float):
        number = float(value)
        if not math.isfinite(number):
            return {}
        if number > 0 and column.rpartition(".")[2] in _LOGARITHMIC:
            number = math.log10(number)
        return {column: number}
    return {f"{column}={value}": 1.0} if isinstance(value, str) and value else {}


def _meaning(name: str) -> str:
    if name in _MEANINGS:
        return _MEANINGS[name]
    column, _, word = name.partition("=")
    if word:
        return f"1 where {column} is {word}"
    if column.rpartition(".")[2] in _LOGARITHMIC:
        return f"logarithm (base 10) of {column}"
    return f"{column}, as recorded"


NUMBERS = Family("arch", "as recorded with the runs", _compute, _meaning)
