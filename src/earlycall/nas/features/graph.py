"""The graph of an architecture: operations and what each takes in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from earlycall.errors import InputError

MAX_NODES = 20_000
_FORM = '{"node": {"op": "linear", "input": ["x"]}, …}'


@dataclass(frozen=True)
class Graph:
    """A directed graph without cycles, in an order in which it can be computed.

    A recurrent cell names its states by the pair ``h_prev_0`` (taken in) and ``h_new_0``
    (computed): the words *prev* and *new* tell which belong together.

    Attributes:
        op: the operation of each node.
        takes: the nodes and inputs that each node takes in, in the order in which it takes them.

    Examples:
        >>> g = Graph.of('{"a": {"op": "linear", "input": ["x"]}, '
        ...              ' "b": {"op": "tanh", "input": ["a"]}}')
        >>> g.inputs, g.outputs, g.depth
        (('x',), {'output': ('b',)}, 2)
    """

    op: dict[str, str]
    takes: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, given: str | Mapping[str, Any]) -> Graph:
        """A graph from JSON: an object from nodes to their ``op`` and ``input``.

        Raises:
            InputError: if it is not such an object, is empty, or has a cycle.
        """
        try:
            nodes = json.loads(given) if isinstance(given, str | bytes) else given
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"the graph is not JSON ({error}); write {_FORM}") from None
        if not isinstance(nodes, Mapping) or not nodes:
            raise InputError(f"the graph must be an object with at least one node; write {_FORM}")
        if len(nodes) > MAX_NODES:
            raise InputError(f"the graph has {len(nodes)} nodes, more than {MAX_NODES}")
        op, takes = {}, {}
        for name, node in nodes.items():
            if not isinstance(node, Mapping) or not isinstance(node.get("op"), str):
                raise InputError(f"node {name!r} of the graph has no 'op'; write {_FORM}")
            inputs = node.get("input", [])
            if not isinstance(inputs, list | tuple) or not all(isinstance(i, str) for i in inputs):
                raise InputError(f"node {name!r} of the graph: 'input' must be a list of names")
            op[str(name)], takes[str(name)] = node["op"], tuple(inputs)
        order = _order(takes)
        return cls({n: op[n] for n in order}, {n: takes[n] for n in order})

    def json(self) -> str:
        """The graph as `of` takes it."""
        return json.dumps({n: {"op": self.op[n], "input": list(self.takes[n])} for n in self.op})

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """What is taken in but computed by no node, sorted."""
        return tuple(sorted(self.taken - set(self.op)))

    @cached_property
    def states(self) -> dict[str, str]:
        """The recurrent states: from the name that is taken in to the node that computes it."""
        pairs = {n.replace("new", "prev"): n for n in self.op if "new" in n.split("_")[1:]}
        return {p: n for p, n in pairs.items() if p in self.inputs or n in self._ends}

    @cached_property
    def outputs(self) -> dict[str, tuple[str, ...]]:
        """By name: each state that is computed, and as ``output`` the other ends, sorted."""
        states = sorted(self.states.values())
        others = tuple(sorted(self._ends - set(states)))
        return {state: (state,) for state in states} | ({"output": others} if others else {})

    @cached_property
    def _ends(self) -> set[str]:
        """The nodes that no other takes in."""
        return set(self.op) - self.taken

    @cached_property
    def taken(self) -> set[str]:
        """Whatever some node takes in."""
        return {name for names in self.takes.values() for name in names}

    @cached_property
    def depth(self) -> int:
        """Nodes on the longest path."""
        depth: dict[str, int] = {}
        for node, inputs in self.takes.items():
            depth[node] = 1 + max((depth.get(name, 0) for name in inputs), default=0)
        return max(depth.values())

    @cached_property
    def operations(self) -> Counter[str]:
        """How often each operation occurs."""
        return Counter(self.op.values())


def _order(takes: dict[str, tuple[str, ...]]) -> list[str]:
    """The nodes, each after all that it takes in."""
    waits = {node: {name for name in taken if name in takes} for node, taken in takes.items()}
    users: dict[str, list[str]] = {node: [] for node in takes}
    for node, names in waits.items():
        for name in names:
            users[name].append(node)
    ready, order = [node for node, names in waits.items() if not names], []
    while ready:
        order.append(node := ready.pop())
        for user in users[node]:
            waits[user].discard(node)
            if not waits[user]:
                ready.append(user)
    if len(order) < len(takes):
        node = next(node for node in takes if waits[node])
        raise InputError(f"the graph has a cycle through node {_in_cycle(node, waits)!r}")
    return order


def _in_cycle(node: str, waits: dict[str, set[str]]) -> str:
    """A node of a cycle, from one that waits for it."""
    seen: set[str] = set()
    while node not in seen:
        seen.add(node)
        node = min(waits[node])
    return node
