"""Small changes of a graph, chosen by numbers from 0 to 1, which any sampler can suggest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from earlycall.nas.features.graph import Graph


def operation(graph: Graph, where: float, what: float, operations: Sequence[str]) -> Graph:
    """Change the operation of a node that takes one input."""
    single = [n for n in graph.op if len(graph.takes[n]) == 1]
    if not single:
        return graph
    nodes = _nodes(graph)
    nodes[_at(single, where)]["op"] = _at(operations, what)
    return Graph.of(nodes)


def rewire(graph: Graph, where: float, what: float, operations: Sequence[str]) -> Graph:
    """Take one input of a node from elsewhere; never from a later node, which may be a cycle."""
    nodes, order = _nodes(graph), list(graph.op)
    node = _at(order, where)
    inputs = nodes[node]["input"]
    if inputs:
        place = where * len(order) % 1  # within the node's own share of the unit interval
        inputs[int(place * len(inputs))] = _at([*graph.inputs, *order[: order.index(node)]], what)
    return Graph.of(nodes)


def insert(graph: Graph, where: float, what: float, operations: Sequence[str]) -> Graph:
    """Insert a node before the first input of a node."""
    nodes = _nodes(graph)
    inputs = nodes[_at(list(graph.op), where)]["input"]
    if inputs:
        new = next(name for i in range(len(nodes) + 1) if (name := f"m{i}") not in nodes)
        nodes[new] = {"op": _at(operations, what), "input": inputs[:1]}
        inputs[0] = new
    return Graph.of(nodes)


def remove(graph: Graph, where: float, what: float, operations: Sequence[str]) -> Graph:
    """Remove a node that takes one input; what took it takes its input instead."""
    states = set(graph.states.values())
    removable = [n for n in graph.op if len(graph.takes[n]) == 1 and n not in states]
    if not removable or len(graph.op) == 1:
        return graph
    nodes, removed = _nodes(graph), _at(removable, where)
    before = nodes.pop(removed)["input"][0]
    for node in nodes.values():
        node["input"] = [before if name == removed else name for name in node["input"]]
    return Graph.of(nodes)


MUTATIONS: dict[str, Callable[[Graph, float, float, Sequence[str]], Graph]] = {
    "operation": operation, "rewire": rewire, "insert": insert, "remove": remove,
}  # fmt: skip


def _nodes(graph: Graph) -> dict[str, dict[str, Any]]:
    return {n: {"op": graph.op[n], "input": list(graph.takes[n])} for n in graph.op}


def _at(items: Sequence[Any], place: float) -> Any:
    return items[min(int(place * len(items)), len(items) - 1)]
