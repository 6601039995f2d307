"""The nodes on the paths from each input to each output of a graph."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from earlycall.nas.features.family import Architecture, Family
from earlycall.nas.features.graph import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANY = "node"
_NAME = re.compile(r"path:(?P<what>\w+) (?P<op>.*) from (?P<start>\S+) to (?P<end>\S+)")


def _compute(architecture: Architecture) -> dict[str, float]:
    graph = architecture.graph
    features: dict[str, float] = {}
    if graph is None:
        return features
    kinds, own = _kinds(graph)
    for start in graph.inputs:
        ways = _ways(graph, start)
        fewest, most = _counts(graph, start, own)
        for end, nodes in graph.outputs.items():
            if number := sum(ways.get(node, 0.0) for node in nodes):
                features[f"path:ways node from {start} to {end}"] = math.log1p(number)
            if reached := [node for node in nodes if node in fewest]:
                low = np.min([fewest[node] for node in reached], axis=0).tolist()
                high = np.max([most[node] for node in reached], axis=0).tolist()
                for kind, least, largest in zip(kinds, low, high, strict=True):
                    features[f"path:fewest {kind} from {start} to {end}"] = least
                    features[f"path:most {kind} from {start} to {end}"] = largest
    for end, nodes in graph.outputs.items():
        features |= {f"path:last {graph.op[node]} from any to {end}": 1.0 for node in nodes}
    return features


def _kinds(graph: Graph) -> tuple[list[str], dict[str, NDArray[np.int64]]]:
    """What to count along paths, and which of it each operation is.

    Any node, each operation, and each family of operations that share the word before the first
    underscore.
    """
    heads = {op: op.partition("_")[0] + "_*" for op in graph.operations if "_" in op}
    kinds = [*dict.fromkeys([ANY, *graph.operations, *heads.values()])]
    own = {
        op: np.array([kind in (ANY, op, heads.get(op)) for kind in kinds], dtype=np.int64)
        for op in graph.operations
    }
    return kinds, own


def _ways(graph: Graph, start: str) -> dict[str, float]:
    """The number of paths from an input to each node that it reaches."""
    ways: dict[str, float] = {}
    for node, taken in graph.takes.items():
        number = sum(1.0 if name == start else ways.get(name, 0.0) for name in taken)
        if number:
            ways[node] = min(number, 1e300)
    return ways


def _counts(
    graph: Graph, start: str, own: dict[str, NDArray[np.int64]]
) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]:
    """The fewest and the most nodes of each kind on any path from an input to each node."""
    none = np.zeros(len(next(iter(own.values()))), dtype=np.int64)
    fewest, most = {start: none}, {start: none}
    for node, taken in graph.takes.items():
        reached = [name for name in taken if name in fewest]
        if reached:
            low, high = fewest[reached[0]], most[reached[0]]
            for name in reached[1:]:
                low, high = np.minimum(low, fewest[name]), np.maximum(high, most[name])
            fewest[node], most[node] = own[graph.op[node]] + low, own[graph.op[node]] + high
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
