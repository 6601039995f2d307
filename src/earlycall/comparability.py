"""Whether the runs of a group may be compared at all: scales, settings, logging, budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from earlycall.curves import Prefixes, Ragged
from earlycall.curves.columns import is_validation, validation_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Settings that change the scale of the training loss.
_CHANGES_LOSS = ("smoothing", "mixup", "cutmix", "dropout", "loss")


def not_comparable(prefixes: Prefixes) -> list[str]:
    """What makes the runs of a group hard to compare, a sentence each.

    Settings that change the training loss and differ between runs; first losses that differ more
    than threefold between the 10th and the 90th percentile; logging rates that differ more than
    twofold; prefixes that end at steps more than a fifth apart.
    """
    finite = np.flatnonzero(prefixes.loss.all_finite() & (prefixes.loss.lengths > 0))
    found = _settings(prefixes)
    if len(finite) > 1:
        seen = prefixes.take(finite)
        found += _scales(seen.values) + _logging(seen) + _ends(seen)
    return [f"group {prefixes.group!r}: {sentence}" for sentence in found]


def other_loss(prefixes: Prefixes) -> list[str | None]:
    """For each run of finite losses why its training loss seems to be another one than its group's.

    A first loss far outside those of the group, or a training loss that lies much higher above the
    validation loss than is usual in the group (mixup, label smoothing, dropout).
    """
    out: list[str | None] = [None] * len(prefixes)
    first = prefixes.values.first()
    for i in np.flatnonzero(_outliers(first)):
        out[i] = f"its first loss, {first[i]:.3g}, is unlike its group's {np.median(first):.3g}"
    held_out = validation_loss(prefixes.columns)[0]
    if held_out is not None and prefixes.sign > 0 and not is_validation(prefixes.metric):
        last, val = prefixes.loss.last(), prefixes.ragged(held_out).last()
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = last / val
        if np.isfinite(ratio).sum() > 4 and np.nanmin(ratio) > 0:
            high = ratio > 2 * np.nanmedian(ratio)
            for i in np.flatnonzero(high & (ratio > 1.5)):
                out[i] = (
                    f"its training loss is {ratio[i]:.2g} times its validation loss: mixup, label "
                    "smoothing or another loss?"
                )
    return out


def _outliers(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Values more than 8 median deviations and 50 % away from the median."""
    middle = np.median(values)
    away = np.abs(values - middle)
    spread = np.median(away)
    return np.asarray((len(values) > 4) & (away > 8 * spread) & (away > 0.5 * abs(middle)))


def _settings(prefixes: Prefixes) -> list[str]:
    found = []
    for column in prefixes.settings.columns:
        name = column.lower().removeprefix("hp.")
        if any(word in name for word in _CHANGES_LOSS):
            values = prefixes.settings[column].drop_nulls().unique()
            if 1 < len(values) < len(prefixes):
                found.append(f"runs differ in {column}, which changes the scale of training losses")
    return found


def _scales(loss: Ragged) -> list[str]:
    low, high = np.quantile(loss.first(), [0.1, 0.9])
    if low > 0 and high > 3 * low:
        return [f"the first losses range from {low:.3g} to {high:.3g}: another loss or scale?"]
    return []


def _logging(seen: Prefixes) -> list[str]:
    span = np.maximum(seen.step.last() - seen.step.first(), 1)
    low, high = np.quantile(np.maximum(seen.loss.lengths - 1, 1) / span, [0.1, 0.9])
    return [f"logging rates differ {high / low:.2g}-fold"] if high > 2 * low else []


def _ends(seen: Prefixes) -> list[str]:
    low, high = np.quantile(seen.step.last(), [0.1, 0.9])
    if low > 0 and high > 1.2 * low:
        return [f"prefixes end between step {low:g} and {high:g}"]
    return []
