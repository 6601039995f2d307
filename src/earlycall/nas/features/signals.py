"""Whether a graph with random weights keeps, forgets or drowns a signal.

The graph is computed once with random weights on random inputs, 32 numbers wide, without any
training or data. A recurrent cell is run for 12 steps. What is measured at its (first) output is
how far different inputs still lie apart, and how much it still depends on a small change of the
input some steps ago.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
    runs = [_measured(_Cell(graph, seed), seed) for seed in range(REPEATS)]
    return {f"signal:{key}": float(np.mean([r[key] for r in runs])) for key in runs[0]}


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


class _Cell:
    """A graph with random weights, as PyTorch would draw them for a linear layer."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self.graph = graph
        self.rules = {op: rule(op) for op in graph.operations}
        draw = np.random.default_rng(seed)
        scale = 1 / math.sqrt(3 * WIDTH)
        self.weights = {
            node: (draw.normal(0, scale, (len(taken), WIDTH, WIDTH)), draw.normal(0, scale, WIDTH))
            for node, taken in graph.takes.items()
            if self.rules[graph.op[node]] == "linear"
        }

    def __call__(self, given: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """The values of all nodes from those of the inputs, each of shape (…, WIDTH)."""
        value = dict(given)
        for node, taken in self.graph.takes.items():
            inputs = [value[name] for name in taken]
            kind = self.rules[self.graph.op[node]]
            if not inputs:
                value[node] = np.zeros_like(next(iter(given.values())))
            elif kind == "linear":
                matrices, bias = self.weights[node]
                products = [v @ m for v, m in zip(inputs, matrices, strict=True)]
                value[node] = _sum(products) + bias
            else:
                value[node] = _ARITHMETIC[str(kind)](inputs)
        return value


Values = Sequence["NDArray[np.float64]"]


def _sum(values: Values) -> NDArray[np.float64]:
    return np.asarray(np.sum(values, axis=0))


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


def _measured(cell: _Cell, seed: int) -> dict[str, float]:
    graph = cell.graph
    draw = np.random.default_rng(1000 + seed)
    recurrent = bool(graph.states)
    lags = LAGS if recurrent else LAGS[:1]
    steps = STEPS if recurrent else 1
    shape = (1 + len(lags), BATCH, WIDTH)  # undisturbed, and nudged at each lag
    nudge = draw.normal(0, NUDGE, (BATCH, WIDTH))
    state = dict.fromkeys((n for n in graph.inputs if n in graph.states), np.zeros(shape))
    outside = [name for name in graph.inputs if name not in graph.states]
    value: dict[str, NDArray[np.float64]] = {}
    with np.errstate(all="ignore"):
        for step in range(steps):
            given = dict(state)
            for name in outside:
                given[name] = np.broadcast_to(draw.normal(0, 1, (BATCH, WIDTH)), shape).copy()
                for i, lag in enumerate(lags):
                    if step == steps - 1 - lag:
                        given[name][1 + i] += nudge
            value = cell(given)
            state = {name: value[graph.states[name]] for name in state}
        ends = [_sum([value[n] for n in nodes]) for nodes in graph.outputs.values()]
        return _facts(ends, lags)


def _facts(ends: list[NDArray[np.float64]], lags: Sequence[int]) -> dict[str, float]:
    """What is measured at the outputs, each of shape (1 + lags, BATCH, WIDTH)."""
    first = ends[0][0]
    spread, level = _log(first.std(axis=0).mean()), _log(np.sqrt((first**2).mean()))
    facts = {"spread": spread, "level": level, "contrast": spread - level, "rank": _rank(first)}
    for i, lag in enumerate(lags):
        change = np.sqrt(((ends[0][1 + i] - first) ** 2).mean()) / NUDGE
        facts[f"lag {lag}"] = _log(change)
    for number, end in enumerate(ends[1:3], start=1):
        facts[f"level of output {number}"] = _log(np.sqrt((end[0] ** 2).mean()))
    return facts


def _rank(values: NDArray[np.float64]) -> float:
    centred = values - values.mean(axis=0)
    if not np.isfinite(centred).all():
        return 0.0
    power = np.linalg.svd(centred, compute_uv=False) ** 2
    if power.sum() <= 0:
        return 0.0
    share = power / power.sum()
    return float(np.exp(-(share * np.log(share + FLOOR)).sum()))


def _log(value: float) -> float:
    return float(np.log10(value + FLOOR)) if np.isfinite(value) else -math.log10(FLOOR)


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
