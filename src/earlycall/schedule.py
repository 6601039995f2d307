"""What a learning-rate schedule does to a curve: warm-up, drops, kinks.

A hyperbola, and any ranking that looks along a curve, expects it to flatten steadily. Where the
learning rate is logged, what it did is read off; where it is not, a bend against the curve's own
past is looked for. A run in such a phase keeps its rank, with a wider standard error and a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earlycall.curves import Prefixes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PARTS = 12  # of a prefix, between whose means falls are compared
FALL = 0.6  # a learning rate that comes to less than this part of the one before has dropped
UNUSUAL = 4.0  # times the usual fall: a kink
SURE = 5.0  # standard errors


@dataclass(frozen=True)
class Phase:
    """Something in a run's schedule that makes its early losses hard to extrapolate.

    Attributes:
        status: ``warm-up`` or ``kink``.
        reason: a sentence.
    """

    status: str
    reason: str


def phases(prefixes: Prefixes) -> list[Phase | None]:
    """The phase of each run at the end of its prefix, None for an ordinary one.

    Args:
        prefixes: m runs of finite losses; a column such as ``lr`` or ``learning_rate`` is used
            where there is one.

    Returns:
        m phases.
    """
    name = next((c for c in prefixes.columns if _is_rate(c)), None)
    if name is None:
        return [_from_loss(loss, step) for loss, step in zip(prefixes.loss, prefixes.step,
                                                             strict=True)]  # fmt: skip
    rates, steps = prefixes.ragged(name), prefixes.ragged("step", where=name)
    return [_from_rate(rate, step) for rate, step in zip(rates, steps, strict=True)]


def _is_rate(column: str) -> bool:
    name = column.lower().replace("-", "_")
    words = name.replace("/", "_").split("_")
    return "lr" in words or name.endswith("learning_rate")


def _from_rate(rate: Floats, step: Floats) -> Phase | None:
    """Warm-up where the rate still rises at the end; a drop in the second half of the prefix."""
    if len(rate) < 3 or not np.isfinite(rate).all():
        return None
    if rate[-1] >= rate.max() and rate[-1] > 1.05 * rate[3 * len(rate) // 4 - 1]:
        return Phase("warm-up", f"the learning rate still rises at step {step[-1]:g}")
    steep = rate[1:] < FALL * rate[:-1]
    # A step, not the end of a smooth decay, in which each fall is steeper than the last.
    level = np.append(True, rate[1:-1] > 0.9 * rate[:-2])
    drops = np.flatnonzero(steep & level) + 1
    if len(drops) and drops[-1] >= len(rate) // 2:
        return Phase("kink", f"the learning rate fell at step {step[drops[-1]]:g}")
    return None


def _from_loss(loss: Floats, step: Floats) -> Phase | None:
    """A fall much larger than those before it, well above the noise."""
    n = len(loss)
    if n < 2 * PARTS:
        return None
    cuts = np.linspace(0, n, PARTS + 1).astype(np.int64)
    counts = np.diff(cuts)
    means = np.add.reduceat(loss, cuts[:-1]) / counts
    # The noise from neighbouring differences, which a trend hardly enters.
    noise = float(np.median(np.abs(np.diff(loss)))) / 0.954 / np.sqrt(counts.min()) + 1e-300
    falls = means[:-1] - means[1:]
    if _steepens(means, falls, noise):
        return Phase("warm-up", "the curve still steepens: warm-up, or a plateau before a drop")
    for j in range(len(falls) - 1, PARTS // 2 - 1, -1):
        before = np.median(np.abs(falls[j - 4 : j]))
        if falls[j] > UNUSUAL * before and falls[j] > SURE * noise:
            where = step[cuts[j + 1]]
            return Phase("kink", f"the loss bends down at step {where:g}: a lower learning rate?")
    return None


def _steepens(means: Floats, falls: Floats, noise: float) -> bool:
    """Whether the last quarter falls faster than each part before it, by more than noise."""
    late = falls[-3:].mean()
    return bool(late > SURE * noise and late > 1.5 * np.max(falls[:-3]) and means[-1] < means[0])
