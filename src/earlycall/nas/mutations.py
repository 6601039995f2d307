"""Small changes of a graph; the places are numbers from 0 to 1, so that any sampler can choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from earlycall.nas.features.graph import Graph

Nodes = dict[str, dict[str, Any]]


def operation(graph: Graph, where: float, what: float, operations: Sequence[str]) -> Graph:
    """Another operation for a node that takes one input."""
    single = [n for n in graph.op if len(graph.takes[n]) == 1]
    if not single:
        return graph
    nodes = _nodes(graph)
    nodes[_at(single, where)]["op"] = _at(operations, what)
    return Graph.of(nodes)


def rewire(graph: Graph, where: float, what: float, operations: Sequence[str]) -> Graph:
    """One input of a node comes from elsewhere; never from a later node, which could be a cycle."""
    nodes, order = _nodes(graph), list(graph.op)
    node = _at(order, where)
    taken = nodes[node]["input"]
    if taken:
        part = where * len(order) % 1  # where within the node's own share of the unit interval
        taken[int(part * len(taken))] = _at([*graph.inputs, *order[: order.index(node)]], what)
    return Graph.of(nodes)


def insert(graph: Graph, where: float, what: float, operations: Sequence[str]) -> Graph:
    """A new node between a node and the first that it takes in."""
    nodes = _nodes(graph)
    taken = nodes[_at(list(graph.op), where)]["input"]
    if taken:
        fresh = next(name for i in range(len(nodes) + 1) if (name := f"m{i}") not in nodes)
        nodes[fresh] = {"op": _at(operations, what), "input": taken[:1]}
        taken[0] = fresh
    return Graph.of(nodes)


def remove(graph: Graph, where: float, what: float, operations: Sequence[str]) -> Graph:
    """A node that takes one input goes; what took it takes its input instead."""
    states = set(graph.states.values())
    able = [n for n in graph.op if len(graph.takes[n]) == 1 and n not in states]
    if not able or len(graph.op) == 1:
        return graph
    nodes = _nodes(graph)
    gone = _at(able, where)
    before = nodes.pop(gone)["input"][0]
    for node in nodes.values():
        node["input"] = [before if name == gone else name for name in node["input"]]
    return Graph.of(nodes)


MUTATIONS: dict[str, Callable[[Graph, float, float, Sequence[str]], Graph]] = {
    "operation": operation,
    "rewire": rewire,
    "insert": insert,
    "remove": remove,
}


def _nodes(graph: Graph) -> Nodes:
    return {n: {"op": graph.op[n], "input": list(graph.takes[n])} for n in graph.op}


def _at(several: Sequence[Any], place: float) -> Any:
    return several[min(int(place * len(several)), len(several) - 1)]
