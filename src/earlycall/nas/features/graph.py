"""The graph of an architecture: operations and what each takes in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from earlycall.errors import InputError

LARGEST = 20_000
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
            InputError: if it is no such object, is empty, or has a cycle.
        """
        try:
            nodes = json.loads(given) if isinstance(given, str | bytes) else given
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"the graph is not JSON ({error}); write {_FORM}") from None
        if not isinstance(nodes, Mapping) or not nodes:
            raise InputError(f"the graph must be an object with a node or more; write {_FORM}")
        if len(nodes) > LARGEST:
            raise InputError(f"the graph has {len(nodes)} nodes, more than {LARGEST}")
        op, takes = {}, {}
        for name, node in nodes.items():
            if not isinstance(node, Mapping) or not isinstance(node.get("op"), str):
                raise InputError(f"node {name!r} of the graph has no 'op'; write {_FORM}")
            taken = node.get("input", [])
            if not isinstance(taken, list | tuple) or not all(isinstance(i, str) for i in taken):
                raise InputError(f"node {name!r} of the graph: 'input' must be a list of names")
            op[str(name)], takes[str(name)] = node["op"], tuple(taken)
        return cls(*_ordered(op, takes))

    def json(self) -> str:
        """The graph as `of` takes it."""
        return json.dumps({n: {"op": self.op[n], "input": list(self.takes[n])} for n in self.op})

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """What is taken in but computed by no node, sorted."""
        taken = {name for several in self.takes.values() for name in several}
        return tuple(sorted(taken - set(self.op)))

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
        return set(self.op) - {name for several in self.takes.values() for name in several}

    @cached_property
    def depth(self) -> int:
        """Nodes on the longest path."""
        deep: dict[str, int] = {}
        for node, taken in self.takes.items():
            deep[node] = 1 + max((deep.get(name, 0) for name in taken), default=0)
        return max(deep.values())

    @cached_property
    def operations(self) -> Counter[str]:
        """How often each operation occurs."""
        return Counter(self.op.values())


def _ordered(
    op: dict[str, str], takes: dict[str, tuple[str, ...]]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Nodes after all that they take in."""
    waiting = {n: sum(name in op for name in taken) for n, taken in takes.items()}
    users: dict[str, list[str]] = {n: [] for n in op}
    for node, taken in takes.items():
        for name in taken:
            if name in op:
                users[name].append(node)
    ready = [n for n, missing in waiting.items() if missing == 0]
    order: list[str] = []
    while ready:
        node = ready.pop()
        order.append(node)
        for user in users[node]:
            waiting[user] -= 1
            if waiting[user] == 0:
                ready.append(user)
    if len(order) < len(op):
        name = next(n for n, missing in waiting.items() if missing > 0)
        raise InputError(f"the graph has a cycle through or before node {name!r}")
    return {n: op[n] for n in order}, {n: takes[n] for n in order}
