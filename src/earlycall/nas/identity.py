"""Which architectures are the same: graphs that differ only in their nodes' names and order."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from earlycall.errors import InputError
from earlycall.nas.features.family import GRAPH, NAME
from earlycall.nas.features.graph import Graph
from earlycall.nas.features.names import parsed
from earlycall.nas.features.signals import rule

FAMILY = "arch.family"
_MEASURED = "arch.zero."  # measured on a random batch, not part of what the architecture is


def identity(columns: Mapping[str, Any]) -> str:
    """A text that is equal for equal architectures, whatever else is known of their runs.

    Graphs are compared by `canonical`; the other ``arch.*`` columns, such as widths, count as
    well, but the name only where there is no graph. Values that are unknown do not count.

    Args:
        columns: a row of a table of runs; all but its ``arch.*`` columns are ignored.

    Examples:
        >>> one = {"arch.graph": '{"a": {"op": "relu", "input": ["x"]}}', "run": "r1"}
        >>> two = {"arch.graph": '{"b": {"op": "relu", "input": ["x"]}}', "arch.params": None}
        >>> identity(one) == identity(two), identity(one) == identity(one | {"arch.width": 8})
        (True, False)
    """
    described = {
        key: value
        for key, value in columns.items()
        if key.startswith("arch.") and not key.startswith(_MEASURED)
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
    if graph := described.get(GRAPH):
        described[GRAPH] = canonical(graph)
        described.pop(NAME, None)
    return json.dumps(described, sort_keys=True, default=str)


def family(columns: Mapping[str, Any]) -> str | None:
    """The family of an architecture: ``arch.family``, else that in ``arch.name``, else None.

    Examples:
        >>> family({"arch.name": "resnet50d"}), family({"arch.depth": 3})
        ('resnet', None)
    """
    if known := columns.get(FAMILY):
        return str(known)
    head = "name:family="
    words = (name for name in parsed(str(columns.get(NAME) or "")) if name.startswith(head))
    return next((word.removeprefix(head) for word in words), None)


def canonical(given: str | Mapping[str, Any]) -> str:
    """A text that is equal for graphs that differ only in their nodes' names and order.

    Colour refinement (Weisfeiler and Leman 1968) along the edges, forwards and backwards, until
    it tells no more nodes apart. The names of inputs and recurrent states count, and the order of
    a node's inputs where its operation is not known to be symmetric in them. A graph that cannot
    be read is told apart by its text.

    Args:
        given: a graph in JSON, or what its JSON stands for.

    Examples:
        >>> chain = '{"a": {"op": "conv", "input": ["x"]}, "b": {"op": "relu", "input": ["a"]}}'
        >>> other = '{"q": {"op": "relu", "input": ["p"]}, "p": {"op": "conv", "input": ["x"]}}'
        >>> canonical(chain) == canonical(other)
        True
    """
    return _canonical(given if isinstance(given, str) else json.dumps(given, sort_keys=True))


@lru_cache(maxsize=65536)
def _canonical(text: str) -> str:
    try:
        graph = Graph.of(text)
    except InputError:
        return text
    state = {node: name for name, node in graph.states.items()}
    colour = {node: _hash(op, state.get(node)) for node, op in graph.op.items()}
    symmetric = {op: rule(op) not in (None, "blend") for op in graph.operations}
    different = 0
    while len(set(colour.values())) > different:
        different = len(set(colour.values()))
        colour = _refined(graph, colour, symmetric)
    return _hash(sorted(colour.values()))


def _refined(graph: Graph, own: dict[str, str], symmetric: dict[str, bool]) -> dict[str, str]:
    """The nodes' colours with those of all that they take in, and then of all that take them."""
    below: dict[str, str] = {}
    for node, taken in graph.takes.items():
        inputs = [below.get(name, f"<{name}") for name in taken]
        below[node] = _hash(own[node], sorted(inputs) if symmetric[graph.op[node]] else inputs)
    users: dict[str, list[str]] = defaultdict(list)
    above: dict[str, str] = {}
    for node in reversed(graph.takes):
        above[node] = _hash(below[node], sorted(users[node]))
        for place, name in enumerate(graph.takes[node]):
            users[name].append(_hash(above[node], 0 if symmetric[graph.op[node]] else place))
    return above


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]
