"""A model's graph of operations, as architecture features are computed from it."""

from __future__ import annotations

import operator
import warnings
from typing import Any

from earlycall.extras import needed_for

with needed_for("a study", "study"):
    from torch import fx, nn


Graph = dict[str, dict[str, Any]]
_OPERATORS = {
    operator.add: "add", operator.mul: "mul", operator.sub: "sub", operator.truediv: "div",
    operator.matmul: "matmul", operator.getitem: "getitem",
}  # fmt: skip
# Functions that only inspect shapes, or leave values unchanged.
_IGNORED = {
    "getattr", "getitem", "size", "dim", "eq", "ne", "assert", "floordiv", "identity", "contiguous",
}  # fmt: skip


def graph_of(model: nn.Module) -> Graph:
    """The operations of a model and what each takes, traced by ``torch.fx``.

    Each node has an ``op`` (the class of a module, or the name of a function, in small letters),
    the list ``input`` of the nodes that it takes (``x`` is the image), and where it has weights,
    their number ``params``. A model that cannot be traced gives its modules one after the other.

    Examples:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> graph_of(net)  # doctest: +NORMALIZE_WHITESPACE
        {'_0': {'op': 'flatten', 'input': ['x']},
         '_1': {'op': 'linear', 'input': ['_0'], 'params': 650}}
    """
    model.eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = fx.Tracer().trace(model)
    except Exception:  # whatever a user's forward may raise under tracing
        return _chain(model)
    modules = dict(model.named_modules())
    names: dict[fx.Node, str] = {}
    graph: Graph = {}
    for node in traced.nodes:
        inputs = list(dict.fromkeys(names[n] for n in node.all_input_nodes if n in names))
        if node.op == "placeholder":
            names[node] = "x"
        elif node.op in ("output", "get_attr") or not inputs:
            continue
        elif (kind := _kind(node, modules)) in _IGNORED:
            names[node] = inputs[0]
        else:
            names[node] = node.name
            weights = _weights(modules[str(node.target)]) if node.op == "call_module" else {}
            graph[node.name] = {"op": kind, "input": inputs} | weights
    return graph


def _kind(node: fx.Node, modules: dict[str, nn.Module]) -> str:
    if node.op == "call_module":
        return type(modules[str(node.target)]).__name__.lower()
    if node.op == "call_method":
        return str(node.target).lower()
    operator_name = _OPERATORS.get(node.target)  # type: ignore[arg-type]
    return operator_name or str(getattr(node.target, "__name__", node.target)).lower().strip("_")


def _weights(module: nn.Module) -> dict[str, int]:
    count = sum(p.numel() for p in module.parameters())
    return {"params": count} if count else {}


def _chain(model: nn.Module) -> Graph:
    """The innermost modules, one after the other."""
    graph, before = {}, "x"
    for path, module in model.named_modules():
        if not list(module.children()):
            name = path.replace(".", "_") or "model"
            kind = type(module).__name__.lower()
            graph[name] = {"op": kind, "input": [before]} | _weights(module)
            before = name
    return graph
