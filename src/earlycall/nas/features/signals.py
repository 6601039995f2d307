"""Whether a graph with random weights keeps, forgets or drowns a signal.

The graph is computed once with random weights on random inputs, 32 numbers wide, without any
training or data. A recurrent cell is run for 12 steps. What is measured at its (first) output is
how far different inputs still lie apart, and how much it still depends on a small change of the
input some steps ago. A recurrent cell is then run on random words, with half of these weights, at
which it is nearly linear, and a linear readout is fitted to its output: how much it tells of the
word some steps ago (memory capacity, Jaeger 2001), and of what only a product of two words tells.

Weights are drawn by what a node computes, not by its name or place: equal graphs give equal
signals, and without recurrence, nodes that compute the same in many graphs are computed once.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.nas.features.family import Architecture, Family

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earlycall.nas.features.graph import Graph

WIDTH, BATCH, STEPS, REPEATS = 32, 24, 12, 2
LAGS = (0, 1, 2, 4, 8)
NUDGE, FLOOR = 1e-4, 1e-12
WORDS, READERS = 16, 64  # of the readout: a vocabulary, and texts that are read side by side
BEFORE, READ, RECALLED = 8, 12, range(7)  # steps before it, steps of it, lags that are asked for
GAIN, READING_NOISE = 0.5, 0.01  # part of the weights; of the output's standard deviation
MAX_NODES = 400

_MEANINGS = {
    "spread": "how far different inputs lie apart at the output (log10 of the standard deviation)",
    "level": "how large the output is (log10 of its root mean square)",
    "contrast": "spread minus level: how much of the output depends on the input",
    "rank": "in how many directions the outputs differ (exponential of the spectrum's entropy)",
    "spread of words": "spread at half of the weights, over random words",
    "product": "how much a linear readout tells of a product of this word and the one before (R²)",
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


def _computed(
    op: str, piece: str, inputs: Values, shape: tuple[int, ...], gain: float = 1.0
) -> NDArray[np.float64]:
    """The value of a node from those of its inputs, each of shape (REPEATS, …, WIDTH)."""
    kind = rule(op)
    if not inputs:
        return np.zeros(shape)
    if kind == "linear":
        matrices, bias = _weights(piece, len(inputs))
        own = inputs[0].dtype
        products = [v @ m.astype(own) for v, m in zip(inputs, matrices, strict=True)]
        return gain * (_sum(products) + bias.astype(own))
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
        facts = _facts([_end(value, nodes) for nodes in graph.outputs.values()], lags)
        return facts | (_readout(graph, piece) if graph.states else {})


def _end(value: dict[str, NDArray[np.float64]], nodes: Sequence[str]) -> NDArray[np.float64]:
    return _sum([value[name] for name in nodes])


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

    def given(step: int) -> NDArray[np.float64]:
        fresh = np.repeat(draw.normal(0, 1, (REPEATS, 1, BATCH, WIDTH)), shape[1], axis=1)
        for i, lag in enumerate(LAGS):
            if step == STEPS - 1 - lag:
                fresh[:, 1 + i] += nudge
        return fresh

    return deque(_steps(graph, piece, given, STEPS, np.zeros(shape)), maxlen=1).pop()


def _steps(
    graph: Graph,
    piece: dict[str, str],
    given: Callable[[int], NDArray[Any]],
    number: int,
    start: NDArray[Any],
    gain: float = 1.0,
) -> Iterator[dict[str, NDArray[Any]]]:
    """The values of all nodes of a recurrent cell at each step, all states equal at the start."""
    state = {name: start for name in graph.inputs if name in graph.states}
    outside = [name for name in graph.inputs if name not in graph.states]
    for step in range(number):
        value = dict(state)
        for name in outside:
            value[name] = given(step)
        for node, taken in graph.takes.items():
            inputs = [value[name] for name in taken]
            value[node] = _computed(graph.op[node], piece[node], inputs, start.shape, gain)
        yield value
        state = {name: value[graph.states[name]] for name in state}


def _readout(graph: Graph, piece: dict[str, str]) -> dict[str, float]:
    """What a recurrent cell's output tells of random words that it was given."""
    draw = np.random.default_rng(5)
    words = draw.integers(0, WORDS, (BEFORE + READ, READERS))
    vectors = draw.normal(0, 1, (REPEATS, WORDS, WIDTH)).astype(np.float32)
    start = np.zeros((REPEATS, 1, READERS, WIDTH), np.float32)
    steps = _steps(graph, piece, lambda i: vectors[:, None, words[i]], len(words), start, GAIN)
    first = next(iter(graph.outputs.values()))
    read = np.stack([_end(value, first) for value in islice(steps, BEFORE, None)], axis=1)
    read = np.clip(np.nan_to_num(read), -1e6, 1e6).astype(np.float64).reshape(REPEATS, -1, WIDTH)
    read -= read.mean(axis=1, keepdims=True)
    spread = _size(read)
    told = _told(read / np.maximum(spread, FLOOR**0.75)[:, None, None], words)
    return told | {"spread of words": float(_log(spread).mean())}


def _told(read: NDArray[np.float64], words: NDArray[np.int64]) -> dict[str, float]:
    """R² of linear readouts, shape (REPEATS, READ · READERS, WIDTH), by ridge regression.

    Of the word at each lag (one of 16, as 16 indicators), and of whether it and the one before are
    both even or both odd, which no sum of two words tells.
    """
    even = np.where(words % 2, 1.0, -1.0)
    targets = [np.eye(WORDS)[words[BEFORE - lag :][:READ]].reshape(-1, WORDS) for lag in RECALLED]
    targets.append((even[BEFORE:] * even[BEFORE - 1 : -1]).reshape(-1, 1))
    target = np.concatenate(targets, axis=1)
    target -= target.mean(axis=0)
    shared = read.transpose(0, 2, 1) @ target
    own = read.transpose(0, 2, 1) @ read + READING_NOISE**2 * len(target) * np.eye(WIDTH)
    r2 = (shared * np.linalg.solve(own, shared)).sum(axis=1) / (target**2).sum(axis=0)
    *recalled, product = np.split(r2.mean(axis=0), WORDS * np.arange(1, len(targets)))
    facts = {f"recall {lag}": values.mean() for lag, values in zip(RECALLED, recalled, strict=True)}
    return {name: float(value) for name, value in (facts | {"product": product[0]}).items()}


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
    if rest.startswith("recall "):
        steps = rest.removeprefix("recall ")
        return f"how much a linear readout tells of the word {steps} steps ago (R²)"
    if rest.startswith("level of"):
        return f"how large another output is ({rest}, log10 of the root mean square)"
    return _MEANINGS.get(rest, rest)


SIGNALS = Family(
    "signal",
    "ours, after the mean-field study of random networks (Schoenholz et al., ICLR 2017)",
    _compute,
    _meaning,
)
