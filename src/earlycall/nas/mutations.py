"""Small changes of a graph, chosen by numbers from 0 to 1, which any sampler can suggest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from earlycall.nas.features.graph import Graph
from earlycall.nas.identity import canonical

ATTEMPTS = 16  # places that each kind of edit is tried at
_GOLDEN = 0.618034  # spreads them evenly over the unit interval


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


def edited(
    graph: Graph, parent: Graph, kind: str, where: float, what: float, operations: Sequence[str]
) -> Graph | None:
    """A graph with one edit more, which leads further away from its parent.

    Where the edit that the numbers ask for changes nothing, takes an earlier one back or only
    renames nodes, the next places are tried, and then the other kinds.

    Args:
        graph: the graph to edit: the parent, or the result of earlier edits.
        parent: the graph that all edits began with.
        kind: the kind of edit that is preferred, a key of `MUTATIONS`.
        where: the place, from 0 to 1.
        what: what comes there, from 0 to 1.
        operations: the operations that nodes may become.

    Returns:
        The edited graph, None where no edit leads further.

    Examples:
        >>> one = Graph.of('{"a": {"op": "tanh", "input": ["x"]}}')
        >>> edited(one, one, "operation", 0.0, 0.0, ("tanh", "relu")).op
        {'a': 'relu'}
    """
    kinds = list(MUTATIONS)
    first = kinds.index(kind)
    same, so_far = {canonical(parent.json()), canonical(graph.json())}, differing(graph, parent)
    for name in (*kinds[first:], *kinds[:first]):
        for attempt in range(ATTEMPTS):
            place, choice = (where + attempt * _GOLDEN) % 1, (what + attempt / ATTEMPTS) % 1
            found = MUTATIONS[name](graph, place, choice, operations)
            if differing(found, parent) > so_far and canonical(found.json()) not in same:
                return found
    return None


def differing(graph: Graph, other: Graph) -> int:
    """The number of nodes that two graphs do not have in common: a distance of edits.

    Examples:
        >>> one = Graph.of('{"a": {"op": "tanh", "input": ["x"]}}')
        >>> differing(one, one), differing(one, Graph.of('{"a": {"op": "relu", "input": ["x"]}}'))
        (0, 1)
    """
    nodes = set(graph.op) | set(other.op)
    return sum(
        graph.op.get(n) != other.op.get(n) or graph.takes.get(n) != other.takes.get(n)
        for n in nodes
    )


def _nodes(graph: Graph) -> dict[str, dict[str, Any]]:
    return {n: {"op": graph.op[n], "input": list(graph.takes[n])} for n in graph.op}


def _at(items: Sequence[Any], place: float) -> Any:
    return items[min(int(place * len(items)), len(items) - 1)]
