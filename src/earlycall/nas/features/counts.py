"""How much there is of what in a graph."""

from __future__ import annotations

from collections import Counter

from earlycall.nas.features.family import Architecture, Family
from earlycall.nas.features.graph import Graph

_MEANINGS = {
    "nodes": "how many nodes the graph has",
    "edges": "how many connections the graph has",
    "depth": "how many nodes lie on the graph's longest path",
    "inputs": "how many inputs the graph takes in",
    "states": "how many recurrent states the graph computes",
}


def _compute(architecture: Architecture) -> dict[str, float]:
    graph = architecture.graph
    return {} if graph is None else {f"count:{k}": v for k, v in _counted(graph).items()}


def _counted(graph: Graph) -> dict[str, float]:
    found: Counter[str] = Counter()
    found.update(
        nodes=len(graph.op), depth=graph.depth, inputs=len(graph.inputs), states=len(graph.states)
    )
    for node, taken in graph.takes.items():
        found["edges"] += len(taken)
        found[f"op {graph.op[node]}"] += 1
        for name in taken:
            found[f"{graph.op.get(name, name)} → {graph.op[node]}"] += 1
            if name not in graph.op:
                found[f"use of {name}"] += 1
    return {key: float(value) for key, value in found.items()}


def _meaning(name: str) -> str:
    rest = name.removeprefix("count:")
    if rest in _MEANINGS:
        return _MEANINGS[rest]
    if rest.startswith("op "):
        return f"how many nodes are {rest.removeprefix('op ')}"
    if rest.startswith("use of "):
        return f"how many nodes take in {rest.removeprefix('use of ')}"
    return f"how many connections lead {rest.replace(' → ', ' to ')}"


COUNTS = Family(
    "count", "the plainest baseline, as in White et al., NeurIPS 2021", _compute, _meaning, 0.0
)
