"""Weisfeiler-Lehman counts: how often each neighbourhood of nodes occurs in a graph."""

from __future__ import annotations

import hashlib
from collections import Counter

from earlycall.nas.features.family import Architecture, Family

ROUNDS = 3
MAX_LABEL_LENGTH = 60


def _compute(architecture: Architecture) -> dict[str, float]:
    graph = architecture.graph
    if graph is None:
        return {}
    own = dict(graph.op) | {name: name for name in graph.inputs}
    label, counts = dict(own), Counter[str]()
    for number in range(1, ROUNDS + 1):
        inputs = {node: sorted(label[name] for name in graph.takes.get(node, ())) for node in own}
        label = {
            node: _short(f"{own[node]}({', '.join(names)})" if names else own[node])
            for node, names in inputs.items()
        }
        counts.update(f"wl{number}:{label[node]}" for node in graph.op)
    return {key: float(value) for key, value in counts.items()}


def _short(label: str) -> str:
    """The label itself, or of a long one the beginning and a fingerprint."""
    if len(label) <= MAX_LABEL_LENGTH:
        return label
    return f"{label[: MAX_LABEL_LENGTH - 12]}…#{hashlib.sha256(label.encode()).hexdigest()[:10]}"


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
