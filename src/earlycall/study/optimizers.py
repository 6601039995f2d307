"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from earlycall.extras import needed_for
from earlycall.study.plan import RunPlan

with needed_for("a study", "study"):
    import torch
    from torch import nn


def learning_rate(plan: RunPlan, step: int, steps: int) -> float:
    """The learning rate of an optimiser step, counted from 0, with ``steps`` steps per epoch.

    Linear warm-up, then constant, cosine to 0 (Loshchilov & Hutter 2017), a tenth after half and
    again after three quarters (step), linear to 0, or one cycle (Smith 2018): up for 30 %, down.
    """
    lr, warmup = float(plan.hyper["lr"]), plan.hyper["warmup_epochs"] * steps
    if step < warmup:
        return float(lr * (step + 1) / warmup)
    progress = (step - warmup) / max(plan.epochs * steps - warmup, 1)
    return float(lr * FACTORS[plan.hyper["schedule"]](progress))


def _cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def _one_cycle(progress: float, up: float = 0.3) -> float:
    return (1 + 24 * progress / up) / 25 if progress < up else _cosine((progress - up) / (1 - up))


FACTORS: dict[str, Callable[[float], float]] = {  # of the learning rate, by progress from 0 to 1
    "constant": lambda progress: 1.0,
    "cosine": _cosine,
    "step": lambda progress: 0.01 if progress >= 0.75 else 0.1 if progress >= 0.5 else 1.0,
    "linear": lambda progress: 1 - progress,
    "onecycle": _one_cycle,
}


def optimizer(hyper: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a setting, for all weights of a model."""
    lr, decay, momentum = float(hyper["lr"]), float(hyper["weight_decay"]), hyper["momentum"]
    match hyper["optimizer"]:
        case "sgd":
            return torch.optim.SGD(model.parameters(), lr, momentum=momentum, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(model.parameters(), lr, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(model.parameters(), lr, weight_decay=decay)
    return torch.optim.RMSprop(model.parameters(), lr, momentum=momentum, weight_decay=decay)
