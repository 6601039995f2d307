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
    """The learning rate of an optimiser step, counted from 0, with so many steps an epoch.

    Linear warm-up, then constant, cosine to 0 (Loshchilov & Hutter 2017), a tenth after half and
    again after three quarters (step), linear to 0, or one cycle (Smith 2018): up for 30 %, down.
    """
    hyper, whole, warm = plan.hyper, plan.epochs * steps, plan.hyper["warmup_epochs"] * steps
    lr = float(hyper["lr"])
    if step < warm:
        return float(lr * (step + 1) / warm)
    part = (step - warm) / max(whole - warm, 1)
    return float(lr * SHARES[hyper["schedule"]](part))


def _cosine(part: float) -> float:
    return (1 + math.cos(math.pi * part)) / 2


def _one_cycle(part: float, up: float = 0.3) -> float:
    return (1 + 24 * part / up) / 25 if part < up else _cosine((part - up) / (1 - up))


SHARES: dict[str, Callable[[float], float]] = {  # of the learning rate, by the part that is done
    "constant": lambda part: 1.0,
    "cosine": _cosine,
    "step": lambda part: 0.01 if part >= 0.75 else 0.1 if part >= 0.5 else 1.0,
    "linear": lambda part: 1 - part,
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
