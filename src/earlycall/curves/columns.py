"""What logs call the training and the validation loss."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

Axis = Literal["observation", "step", "epoch", "seconds", "joules", "usd"]
AXES: tuple[Axis, ...] = get_args(Axis)
COSTS = ("seconds", "joules", "usd")
KEYS = ("group", "run", "run_id", "step", "epoch", *COSTS)
_HIGHER_IS_BETTER = ("acc", "auc", "f1", "bleu", "iou", "psnr", "ssim", "precision", "recall", "r2")

# The finest first: losses of single steps tell more than means of epochs.
_TRAINING = (
    "train_loss", "train_loss_step", "train_step_loss", "training_loss", "loss", "loss_train",
    "loss_training", "train_loss_epoch", "train_epoch_loss", "epoch_loss", "batch_loss",
)  # fmt: skip
_VALIDATION = (
    "val_loss", "valid_loss", "validation_loss", "eval_loss", "loss_val", "loss_valid",
    "loss_validation", "loss_eval", "val_loss_epoch", "val_epoch_loss", "dev_loss",
)  # fmt: skip
_ELSEWHERE = re.compile(r"(^|_)(val|valid|validation|eval|evaluation|test|dev)(_|$)")
_WRAPPERS = re.compile(r"^(metrics|scalars|log|logs|losses)_")


def plain(name: str) -> str:
    """A name in small letters with one kind of separator, without what wraps it.

    Examples:
        >>> plain("Train/Loss"), plain("metrics/val-loss"), plain("train.loss")
        ('train_loss', 'val_loss', 'train_loss')
    """
    return _WRAPPERS.sub("", re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"))


def training_loss(metrics: Sequence[str]) -> tuple[str | None, list[str]]:
    """The metric that is the training loss, and the candidates among which it was looked for.

    Args:
        metrics: the names in a log.

    Returns:
        The name, None where none or several could be meant; and all losses that could be.

    Examples:
        >>> training_loss(["Loss/train", "Loss/val", "lr"])[0]
        'Loss/train'
        >>> training_loss(["train/box_loss", "train/cls_loss", "val/cls_loss"])
        (None, ['train/box_loss', 'train/cls_loss'])
    """
    return _chosen(metrics, _TRAINING, validation=False)


def validation_loss(metrics: Sequence[str]) -> str | None:
    """The metric that is the validation loss, None where none or several could be meant.

    Examples:
        >>> validation_loss(["loss", "eval_loss"]), validation_loss(["loss", "test_loss"])
        ('eval_loss', None)
    """
    return _chosen(metrics, _VALIDATION, validation=True)[0]


def _chosen(
    metrics: Sequence[str], known: Sequence[str], *, validation: bool
) -> tuple[str | None, list[str]]:
    if known[0] in metrics:
        return known[0], [known[0]]
    by_name: dict[str, list[str]] = {}
    for metric in metrics:
        by_name.setdefault(plain(metric), []).append(metric)
    for name in known:
        if name in by_name:
            found = by_name[name]
            return (found[0] if len(found) == 1 else None), found
    losses = [m for m in metrics if "loss" in plain(m)]
    if validation:
        return None, []
    here = [m for m in losses if not _ELSEWHERE.search(plain(m))]
    among = here or losses
    return (among[0] if len(among) == 1 else None), among


def higher_is_better(metric: str) -> bool:
    """Whether a metric's name says that larger values are better (an accuracy, not a loss).

    Examples:
        >>> higher_is_better("val_accuracy"), higher_is_better("val_loss")
        (True, False)
    """
    name = metric.lower()
    return "loss" not in name and any(word in name for word in _HIGHER_IS_BETTER)
