"""Weisfeiler-Lehman counts: how often each neighbourhood of nodes occurs in a graph."""

from __future__ import annotations

import hashlib
from collections import Counter

from earlycall.nas.features.family import Architecture, Family

ROUNDS = 3
LONGEST = 60


def _compute(architecture: Architecture) -> dict[str, float]:
    graph = architecture.graph
    if graph is None:
        return {}
    own = dict(graph.op) | {name: name for name in graph.inputs}
    label, found = dict(own), Counter[str]()
    for number in range(1, ROUNDS + 1):
        label = {
            node: own[node] + _joined(sorted(label[name] for name in graph.takes.get(node, ())))
            for node in own
        }
        found.update(f"wl{number}:{_short(label[node])}" for node in graph.op)
        label = {node: _short(text) for node, text in label.items()}
    return {key: float(value) for key, value in found.items()}


def _joined(labels: list[str]) -> str:
    return f"({', '.join(labels)})" if labels else ""


def _short(label: str) -> str:
    """The label itself, or where it is long its beginning and a fingerprint."""
    if len(label) <= LONGEST:
        return label
    return f"{label[: LONGEST - 12]}…#{hashlib.sha256(label.encode()).hexdigest()[:10]}"


def _meaning(name: str) -> str:
    head, _, label = name.partition(":")
    return f"how many nodes look like {label}, {head.removeprefix('wl')} steps back"


NEIGHBOURHOODS = Family(
    "wl",
    "Shervashidze et al., JMLR 2011; for architectures Ru et al. (NAS-BOWL), ICLR 2021",
    _compute,
    _meaning,
    0.0,
)
