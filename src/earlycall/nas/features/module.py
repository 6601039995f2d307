"""A ``torch.nn.Module`` in the columns that the other features read."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn


def described(module: nn.Module, image: torch.Tensor, name: str = "") -> dict[str, Any]:
    """Describe a module without training it.

    Args:
        module: the module, on the CPU; it is not changed.
        image: one input, shape (1, channels, height, width).
        name: its ``arch.name``.

    Returns:
        ``arch.name``, ``arch.params`` and ``arch.flops`` (of one image; a multiplication and an
        addition count as two), ``arch.graph`` (traced by ``torch.fx``), ``arch.resolution``,
        ``arch.depth`` (layers with weights), ``arch.width`` (most channels), and for each stage,
        the layers between two changes of the resolution, ``arch.stage1.params``,
        ``arch.stage1.flops``, ``arch.stage1.layers``, ``arch.stage1.width`` and so on, up to 6.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10))
        >>> found = described(net, torch.zeros(1, 1, 8, 8))
        >>> found["arch.params"], found["arch.depth"], found["arch.flops"]
        (1490, 2, 5472)
    """
    from earlycall.study.graph import graph_of

    stages = _stages(module, image)
    columns: dict[str, Any] = {
        "arch.params": sum(p.numel() for p in module.parameters()),
        "arch.flops": sum(stage["flops"] for stage in stages),
        "arch.resolution": int(image.shape[-1]),
        "arch.depth": sum(stage["layers"] for stage in stages),
        "arch.width": max((stage["width"] for stage in stages), default=0),
    }
    graph = graph_of(module)
    if graph:
        columns["arch.graph"] = json.dumps(graph)
    if name:
        columns["arch.name"] = name
    for number, stage in enumerate(stages[:6], start=1):
        columns |= {f"arch.stage{number}.{key}": value for key, value in stage.items()}
    return columns


def _stages(module: nn.Module, image: torch.Tensor) -> list[dict[str, int]]:
    """Parameters, FLOPs, layers and width of the layers with weights, by resolution."""
    import torch

    stages: list[dict[str, int]] = []
    resolution = None

    def add_layer(layer: nn.Module, _: Any, out: Any) -> None:
        nonlocal resolution
        weight = getattr(layer, "weight", None)
        if weight is None or weight.ndim < 2 or not torch.is_tensor(out):
            return
        spatial = weight.ndim > 2  # a convolution
        positions = math.prod(out.shape[2:]) if spatial else math.prod(out.shape[1:-1])
        width = int(out.shape[1] if spatial else out.shape[-1])
        if positions != resolution:
            stages.append({"params": 0, "flops": 0, "layers": 0, "width": 0})
            resolution = positions
        stage = stages[-1]
        stage["params"] += sum(p.numel() for p in layer.parameters(recurse=False))
        stage["flops"] += 2 * weight.numel() * positions
        stage["layers"] += 1
        stage["width"] = max(stage["width"], width)

    handles = [m.register_forward_hook(add_layer) for m in module.modules()]
    training = module.training
    try:
        module.eval()
        with torch.no_grad():
            module(image)
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    return stages
