"""A family of features: what it measures, where that comes from, and how it is computed."""

from __future__ import annotations

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
    """The description of one architecture.

    Attributes:
        columns: its ``arch.*`` and ``hp.*`` values; None where unknown.
        run: its name in messages.
        group: what its run belongs to, such as a data set; None where unknown.
    """

    columns: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""
    group: str | None = None

    @cached_property
    def graph(self) -> Graph | None:
        """Its graph, None where there is none.

        Raises:
            InputError: if ``arch.graph`` is not a graph.
        """
        text = self.columns.get(GRAPH)
        if text is None or text == "":
            return None
        try:
            return Graph.of(text)
        except InputError as error:
            raise InputError(f"run {self.run!r}, column {GRAPH!r}: {error}") from None


@dataclass(frozen=True)
class Family:
    """A family of features.

    Attributes:
        name: the prefix of its features' names.
        source: where the idea was published, or whose it is.
        compute: the features of an architecture by name; {} where it cannot tell.
        meaning: the definition of a feature in a sentence, from its name.
        absent: the value of a feature that only others have; NaN for unknown.
    """

    name: str
    source: str
    compute: Callable[[Architecture], dict[str, float]]
    meaning: Callable[[str], str]
    absent: float = math.nan
