"""Numbers and words that describe an architecture: its ``arch.*`` and ``hp.*`` columns."""

from __future__ import annotations

import math
import re
from collections import defaultdict

from earlycall.nas.features.family import GRAPH, NAME, Architecture, Family

_MEANINGS = {
    "arch.params": "logarithm (base 10) of the number of parameters",
    "arch.flops": "logarithm (base 10) of the floating-point operations of a forward pass",
    "arch.depth": "how many layers deep",
    "arch.width": "how wide",
    "arch.resolution": "logarithm (base 10) of the height and width of the input in pixels",
}
_LARGEST = 1e100  # a number beyond it is none: its square is no number any more
_LOGARITHMIC = (
    "params", "flops", "macs", "macts", "activations", "resolution", "lr", "weight_decay", "joules",
)  # fmt: skip
_PLACE = re.compile(r"\d+")


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
    return features | _totals(features)


def is_of_one_place(name: str) -> bool:
    """Whether a feature describes one of several places, such as ``arch.block0_k``."""
    return _PLACE.search(name.partition("=")[0]) is not None


def _totals(features: dict[str, float]) -> dict[str, float]:
    """The sum over columns that differ only in a number, such as ``arch.block0_k``, ``…1_k``."""
    repeated = defaultdict(list)
    for name, value in features.items():
        column, equals, word = name.partition("=")
        anywhere = _PLACE.sub("*", column)
        if anywhere != column:
            repeated[f"{anywhere}{equals}{word}"].append(value)
    return {name: sum(values) for name, values in repeated.items()}


def _meaning(name: str) -> str:
    if name in _MEANINGS:
        return _MEANINGS[name]
    column, _, word = name.partition("=")
    if "*" in column:
        return f"how many of {column} are {word}" if word else f"the sum of all {column}"
    if word:
        return f"1 where {column} is {word}"
    if column.rpartition(".")[2] in _LOGARITHMIC:
        return f"logarithm (base 10) of {column}"
    return f"{column}, as recorded"


NUMBERS = Family("arch", "as recorded with the runs", _compute, _meaning)
