"""Numbers and words that describe an architecture: its ``arch.*`` and ``hp.*`` columns."""

from __future__ import annotations

import math

from earlycall.nas.features.family import GRAPH, NAME, Architecture, Family

_MEANINGS = {
    "arch.params": "logarithm (base 10) of the number of parameters",
    "arch.flops": "logarithm (base 10) of the floating-point operations of a forward pass",
    "arch.depth": "how many layers deep",
    "arch.width": "how wide",
    "arch.resolution": "the height and width of the input, in pixels",
}
_LARGEST = 1e100  # a number beyond it is none: its square is no number any more
_LOGARITHMIC = ("params", "flops", "lr", "weight_decay", "macs", "joules")


def _compute(architecture: Architecture) -> dict[str, float]:
    features: dict[str, float] = {}
    for column, value in architecture.columns.items():
        if column in (GRAPH, NAME):
            continue
        if isinstance(value, str) and value:
            features[f"{column}={value}"] = 1.0
        elif isinstance(value, int | float) and abs(value) <= _LARGEST:
            logarithmic = column.rpartition(".")[2] in _LOGARITHMIC and value > 0
            features[column] = math.log10(value) if logarithmic else float(value)
    return features


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
