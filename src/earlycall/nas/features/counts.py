"""How much there is of what in a graph."""

from __future__ import annotations

from collections import Counter

from earlycall.nas.features.family import Architecture, Family

_MEANINGS = {
    "nodes": "how many nodes the graph has",
    "edges": "how many connections the graph has",
    "depth": "how many nodes lie on the graph's longest path",
    "inputs": "how many inputs the graph takes in",
    "states": "how many recurrent states the graph computes",
}


def _compute(architecture: Architecture) -> dict[str, float]:
    graph = architecture.graph
    if graph is None:
        return {}
    counts = Counter(
        nodes=len(graph.op), depth=graph.depth, inputs=len(graph.inputs), states=len(graph.states)
    )
    for node, inputs in graph.takes.items():
        counts["edges"] += len(inputs)
        counts[f"op {graph.op[node]}"] += 1
        for name in inputs:
            counts[f"{graph.op.get(name, name)} → {graph.op[node]}"] += 1
            if name not in graph.op:
                counts[f"use of {name}"] += 1
    return {f"count:{key}": float(value) for key, value in counts.items()}


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
