"""Whether a graph with random weights keeps, forgets or drowns a signal.

The graph is computed once with random weights on random inputs, 32 numbers wide, without any
training or data. A recurrent cell is run for 12 steps. What is measured at its (first) output is
how far different inputs still lie apart, and how much it still depends on a small change of the
input some steps ago.

Weights are drawn by what a node computes, not by its name or place: equal graphs give equal
signals, and without recurrence, nodes that compute the same in many graphs are computed once.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from earlycall.nas.features.family import Architecture, Family

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earlycall.nas.features.graph import Graph

WIDTH, BATCH, STEPS, REPEATS = 32, 24, 12, 2
LAGS = (0, 1, 2, 4, 8)
NUDGE, FLOOR = 1e-4, 1e-12
MAX_NODES = 400

_MEANINGS = {
    "spread": "how far different inputs lie apart at the output (log10 of the standard deviation)",
    "level": "how large the output is (log10 of its root mean square)",
    "contrast": "spread minus level: how much of the output depends on the input",
    "rank": "in how many directions the outputs differ (exponential of the spectrum's entropy)",
}


def _compute(architecture: Architecture) -> dict[str, float]:
    graph = architecture.graph
    if graph is None or len(graph.op) > MAX_NODES:
        return {}
    if any(rule(op) is None for op in graph.operations):
        return {}
    return {f"signal:{key}": value for key, value in _measured(graph).items()}


@lru_cache(maxsize=4096)
def rule(op: str) -> str | None:
    """The arithmetic that an operation's name stands for, None of an unknown name.

    Examples:
        >>> rule("nor_conv_3x3"), rule("activation_sigm"), rule("skip_connect"), rule("frobnicate")
        ('linear', 'sigmoid', 'sum', None)
    """
    name = op.lower()
    return next((kind for words, kind in _RULES if any(word in name for word in words)), None)


_RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("leaky",), "leaky_relu"),
    (("softsign", "tanh"), "tanh"),
    (("hardsigmoid", "sigm"), "sigmoid"),
    (("gelu", "silu", "swish", "elu", "softplus", "mish"), "relu"),
    (("linear", "conv", "dense", "matmul", "addmm", "attention"), "linear"),
    (("none", "zero"), "nothing"),
    (("prod", "mul"), "product"),
    (("blend",), "blend"),
    (("norm",), "norm"),
    (("sum", "add", "skip", "identity", "id", "pool", "dropout", "flatten", "mean"), "sum"),
)


def _pieces(graph: Graph) -> dict[str, str]:
    """What each node computes, as a fingerprint; equal nodes of a graph are numbered."""
    piece = {name: f"<{name}" for name in graph.inputs}
    count = Counter[str]()
    for node, taken in graph.takes.items():
        op, inputs = graph.op[node], [piece[name] for name in taken]
        text = "|".join((op, *(inputs if rule(op) == "blend" else sorted(inputs))))
        count[text] += 1
        piece[node] = hashlib.md5(
            f"{count[text]}|{text}".encode(), usedforsecurity=False
        ).hexdigest()
    return piece


def _of(piece: str) -> np.random.Generator:
    """Random numbers that are always the same for what a node computes."""
    return np.random.default_rng(int(piece, 16))


@lru_cache(maxsize=512)
def _weights(piece: str, inputs: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights as PyTorch would draw them for a linear layer, and biases, for each repeat."""
    draw, scale = _of(piece), 1 / math.sqrt(3 * WIDTH)
    matrices = draw.normal(0, scale, (inputs, REPEATS, 1, WIDTH, WIDTH))
    return matrices, draw.normal(0, scale, (REPEATS, 1, 1, WIDTH))


def _computed(op: str, piece: str, inputs: Values, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The value of a node from those of its inputs, each of shape (REPEATS, …, WIDTH)."""
    kind = rule(op)
    if not inputs:
        return np.zeros(shape)
    if kind == "linear":
        matrices, bias = _weights(piece, len(inputs))
        return _sum([v @ m for v, m in zip(inputs, matrices, strict=True)]) + bias
    return _ARITHMETIC[str(kind)](inputs)


Values = Sequence["NDArray[np.float64]"]


def _sum(values: Values) -> NDArray[np.float64]:
    return sum(values[1:], start=values[0])


def _blend(values: Values) -> NDArray[np.float64]:
    if len(values) != 3:
        return _sum(values)
    gate, first, second = values
    return np.asarray(gate * first + (1 - gate) * second)


def _norm(values: Values) -> NDArray[np.float64]:
    total = _sum(values)
    centred = total - total.mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5))


_ARITHMETIC: dict[str, Callable[[Values], NDArray[np.float64]]] = {
    "sum": _sum,
    "product": lambda v: np.asarray(np.prod(v, axis=0)),
    "blend": _blend,
    "norm": _norm,
    "nothing": lambda v: np.zeros_like(v[0]),
    "sigmoid": lambda v: np.asarray(0.5 * (1 + np.tanh(0.5 * _sum(v)))),
    "tanh": lambda v: np.asarray(np.tanh(_sum(v))),
    "relu": lambda v: np.maximum(_sum(v), 0),
    "leaky_relu": lambda v: np.where(_sum(v) > 0, _sum(v), 0.01 * _sum(v)),
}


def _measured(graph: Graph) -> dict[str, float]:
    piece = _pieces(graph)
    lags = LAGS if graph.states else LAGS[:1]
    with np.errstate(all="ignore"):
        value = _after_steps(graph, piece) if graph.states else _at_once(graph, piece)
        ends = [_sum([value[n] for n in nodes]) for nodes in graph.outputs.values()]
        return _facts(ends, lags)


_kept: dict[str, NDArray[np.float64]] = {}  # of graphs without recurrence, by piece
MAX_KEPT = 1024


def _at_once(graph: Graph, piece: dict[str, str]) -> dict[str, NDArray[np.float64]]:
    """The values of all nodes of a graph without recurrent states."""
    shape = (REPEATS, 2, BATCH, WIDTH)  # undisturbed, and nudged
    value = {}
    for name in graph.inputs:
        if piece[name] not in _kept:
            draw = np.random.default_rng(list(name.encode()))
            given = np.repeat(draw.normal(0, 1, (REPEATS, 1, BATCH, WIDTH)), 2, axis=1)
            given[:, 1] += draw.normal(0, NUDGE, (REPEATS, BATCH, WIDTH))
            _kept[piece[name]] = given
        value[name] = _kept[piece[name]]
    for node, taken in graph.takes.items():
        known = _kept.get(piece[node])
        if known is None:
            inputs = [value[name] for name in taken]
            known = _computed(graph.op[node], piece[node], inputs, shape)
            if node in graph.taken and len(_kept) < MAX_KEPT:
                _kept[piece[node]] = known
        value[node] = known
    return value


def _after_steps(graph: Graph, piece: dict[str, str]) -> dict[str, NDArray[np.float64]]:
    """The values of all nodes of a recurrent cell after some steps."""
    shape = (REPEATS, 1 + len(LAGS), BATCH, WIDTH)  # undisturbed, and nudged at each lag
    draw = np.random.default_rng(1000)
    nudge = draw.normal(0, NUDGE, (REPEATS, BATCH, WIDTH))
    state = dict.fromkeys((n for n in graph.inputs if n in graph.states), np.zeros(shape))
    outside = [name for name in graph.inputs if name not in graph.states]
    value: dict[str, NDArray[np.float64]] = {}
    for step in range(STEPS):
        value = dict(state)
        for name in outside:
            given = np.repeat(draw.normal(0, 1, (REPEATS, 1, BATCH, WIDTH)), shape[1], axis=1)
            for i, lag in enumerate(LAGS):
                if step == STEPS - 1 - lag:
                    given[:, 1 + i] += nudge
            value[name] = given
        for node, taken in graph.takes.items():
            inputs = [value[name] for name in taken]
            value[node] = _computed(graph.op[node], piece[node], inputs, shape)
        state = {name: value[graph.states[name]] for name in state}
    return value


def _facts(ends: list[NDArray[np.float64]], lags: Sequence[int]) -> dict[str, float]:
    """What is measured at the outputs, each of shape (REPEATS, 1 + lags, BATCH, WIDTH)."""
    first = ends[0][:, 0]
    spread = _log(first.std(axis=1).mean(axis=1))
    level = _log(_size(first))
    facts = {"spread": spread, "level": level, "contrast": spread - level, "rank": _rank(first)}
    for i, lag in enumerate(lags):
        facts[f"lag {lag}"] = _log(_size(ends[0][:, 1 + i] - first) / NUDGE)
    for number, end in enumerate(ends[1:3], start=1):
        facts[f"level of output {number}"] = _log(_size(end[:, 0]))
    return {name: float(values.mean()) for name, values in facts.items()}


def _size(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The root mean square of each repeat."""
    return np.asarray(np.sqrt((values**2).mean(axis=(1, 2))))


def _rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean(axis=1, keepdims=True)
    if not np.isfinite(centred).all():
        return np.zeros(REPEATS)
    power = np.maximum(np.linalg.eigvalsh(centred @ centred.transpose(0, 2, 1)), 0)
    share = power / np.maximum(power.sum(axis=1, keepdims=True), FLOOR**2)
    rank = np.exp(-(share * np.log(share + FLOOR)).sum(axis=1))
    return np.where(power.sum(axis=1) > 0, rank, 0.0)


def _log(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(value), np.log10(value + FLOOR), -math.log10(FLOOR))


def _meaning(name: str) -> str:
    rest = name.removeprefix("signal:")
    if rest.startswith("lag "):
        steps = rest.removeprefix("lag ")
        return f"how much a small change of the input {steps} steps ago changes the output (log10)"
    if rest.startswith("level of"):
        return f"how large another output is ({rest}, log10 of the root mean square)"
    return _MEANINGS.get(rest, rest)


SIGNALS = Family(
    "signal",
    "ours, after the mean-field study of random networks (Schoenholz et al., ICLR 2017)",
    _compute,
    _meaning,
)
