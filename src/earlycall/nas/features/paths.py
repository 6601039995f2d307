"""The nodes on the paths from each input to each output of a graph."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from earlycall.nas.features.family import Architecture, Family
from earlycall.nas.features.graph import Graph

ANY = "node"
_NAME = re.compile(r"path:(?P<what>\w+) (?P<op>.*) from (?P<start>\S+) to (?P<end>\S+)")


def _compute(architecture: Architecture) -> dict[str, float]:
    graph = architecture.graph
    features: dict[str, float] = {}
    if graph is None:
        return features
    kinds = _kinds(graph)
    for start in graph.inputs:
        ways = _ways(graph, start)
        for end, nodes in graph.outputs.items():
            if number := sum(ways.get(node, 0.0) for node in nodes):
                features[f"path:ways node from {start} to {end}"] = math.log1p(number)
        for kind, counts in kinds.items():
            fewest, most = _counts(graph, start, counts)
            for end, nodes in graph.outputs.items():
                if reached := fewest.keys() & nodes:
                    path = f"{kind} from {start} to {end}"
                    features[f"path:fewest {path}"] = min(fewest[node] for node in reached)
                    features[f"path:most {path}"] = max(most[node] for node in reached)
    for end, nodes in graph.outputs.items():
        features |= {f"path:last {graph.op[node]} from any to {end}": 1.0 for node in nodes}
    return features


def _kinds(graph: Graph) -> dict[str, Callable[[str], bool]]:
    """What to count along paths: any node, each operation, each family of operations."""
    kinds: dict[str, Callable[[str], bool]] = {ANY: lambda op: True}
    for operation in graph.operations:
        kinds[operation] = operation.__eq__
        head, underscore, _ = operation.partition("_")
        if underscore:
            kinds[f"{head}_*"] = lambda op, prefix=f"{head}_": op.startswith(prefix)  # type: ignore[misc]
    return kinds


def _ways(graph: Graph, start: str) -> dict[str, float]:
    """The number of paths from an input to each node that it reaches."""
    ways: dict[str, float] = {}
    for node, taken in graph.takes.items():
        number = sum(1.0 if name == start else ways.get(name, 0.0) for name in taken)
        if number:
            ways[node] = min(number, 1e300)
    return ways


def _counts(
    graph: Graph, start: str, counts: Callable[[str], bool]
) -> tuple[dict[str, int], dict[str, int]]:
    """The fewest and the most nodes of a kind on any path from an input to each node."""
    fewest, most = {start: 0}, {start: 0}
    for node, taken in graph.takes.items():
        reached = [name for name in taken if name in fewest]
        if reached:
            own = int(counts(graph.op[node]))
            fewest[node] = own + min(fewest[name] for name in reached)
            most[node] = own + max(most[name] for name in reached)
    return fewest, most


def _meaning(name: str) -> str:
    match = _NAME.fullmatch(name)
    if match is None:
        return name
    what, op, start, end = match["what"], match["op"], match["start"], match["end"]
    if what == "last":
        return f"1 where {end} is computed by {op}"
    if what == "ways":
        return f"logarithm of 1 + the number of paths from {start} to {end}"
    return f"{what} {'nodes' if op == ANY else op} on any path from {start} to {end}; -1: no path"


PATHS = Family(
    "path",
    "after the path encoding of White et al. (BANANAS, AAAI 2021), with counts instead of paths",
    _compute,
    _meaning,
    -1.0,
)
