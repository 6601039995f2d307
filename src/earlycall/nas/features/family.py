"""A family of features: what it measures, where that comes from, and how it is computed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from earlycall.errors import InputError
from earlycall.nas.features.graph import Graph

GRAPH, NAME = "arch.graph", "arch.name"


@dataclass(frozen=True)
class Architecture:
    """What is known of one architecture.

    Attributes:
        known: its ``arch.*`` and ``hp.*`` values by column; None where unknown.
        run: what to call it in messages.
    """

    known: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""

    @cached_property
    def graph(self) -> Graph | None:
        """Its graph, None where there is none.

        Raises:
            InputError: if ``arch.graph`` is no such graph.
        """
        text = self.known.get(GRAPH)
        if text is None or text == "":
            return None
        try:
            return Graph.of(text)
        except InputError as error:
            raise InputError(f"run {self.run!r}, column {GRAPH!r}: {error}") from None

    @property
    def identity(self) -> str:
        """Equal for equal architectures, whatever their runs' names and hyper-parameters."""
        told = {key: self.known[key] for key in self.known if key.startswith("arch.")}
        if told.get(GRAPH):
            return str(told[GRAPH])
        told = {key: value for key, value in told.items() if not _missing(value)}
        return json.dumps(told, sort_keys=True, default=str) if told else self.run


@dataclass(frozen=True)
class Family:
    """A family of features.

    Attributes:
        name: what every name of its features begins with.
        source: where the idea was published, or whose it is.
        compute: from an architecture to its features by name; {} where it cannot tell.
        meaning: from a feature's name to its definition in a sentence.
        absent: the value of a feature that others have and this architecture has not, NaN where
            that means unknown.
    """

    name: str
    source: str
    compute: Callable[[Architecture], dict[str, float]]
    meaning: Callable[[str], str]
    absent: float = math.nan


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
