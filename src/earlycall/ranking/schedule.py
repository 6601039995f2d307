"""What a learning-rate schedule does to a curve: warm-up, drops, kinks.

A hyperbola, and any ranking that looks along a curve, expects it to flatten steadily. Where the
learning rate is logged, what it did is read off; where it is not, a bend against the curve's own
past is looked for. A run in such a phase keeps its rank, with a wider standard error and a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earlycall.curves import Prefixes, Ragged
from earlycall.curves.columns import is_learning_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

N_PARTS = 12  # of a prefix, between whose means falls are compared
LR_DROP = 0.6  # a learning rate that comes to less than this part of the one before has dropped
KINK_RATIO = 4.0  # times the usual fall: a kink
MIN_STANDARD_ERRORS = 5.0  # standard errors


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
    name = next((c for c in prefixes.columns if is_learning_rate(c)), None)
    if name is None:
        return [phase for part in prefixes.parts() for phase in _from_losses(part)]
    rates, steps = prefixes.ragged(name), prefixes.ragged("step", where=name)
    return [_from_rate(rate, step) for rate, step in zip(rates, steps, strict=True)]


def _from_rate(rate: Floats, step: Floats) -> Phase | None:
    """Warm-up where the rate still rises at the end; a drop in the second half of the prefix."""
    if len(rate) < 3 or not np.isfinite(rate).all():
        return None
    if rate[-1] >= rate.max() and rate[-1] > 1.05 * rate[3 * len(rate) // 4 - 1]:
        return Phase("warm-up", f"the learning rate still rises at step {step[-1]:g}")
    steep = rate[1:] < LR_DROP * rate[:-1]
    # A step, not the end of a smooth decay, in which each fall is steeper than the last.
    level = np.append(True, rate[1:-1] > 0.9 * rate[:-2])
    drops = np.flatnonzero(steep & level) + 1
    if len(drops) and drops[-1] >= len(rate) // 2:
        return Phase("kink", f"the learning rate fell at step {step[drops[-1]]:g}")
    return None


def _from_losses(prefixes: Prefixes) -> list[Phase | None]:
    """A fall much larger than those before it, well above the noise."""
    out: list[Phase | None] = [None] * len(prefixes)
    long = np.flatnonzero(prefixes.loss.lengths >= 2 * N_PARTS)
    if not len(long):
        return out
    loss = prefixes.loss
    means, noise, cuts = _parts(loss, long)
    falls = means[:, :-1] - means[:, 1:]
    steepens = _steepens(means, falls, noise)
    kinks = _last_kink(falls, noise)
    for row, run in enumerate(long.tolist()):
        if steepens[row]:
            out[run] = Phase("warm-up", "the curve still steepens: warm-up, or a plateau")
        elif kinks[row]:
            where = prefixes.step[run][cuts[row, kinks[row] + 1]]
            reason = f"the loss bends down at step {where:g}: a lower learning rate?"
            out[run] = Phase("kink", reason)
    return out


def _parts(loss: Ragged, runs: NDArray[np.int64]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """The means of equal parts of some curves, their standard error, and where the parts start."""
    lengths = loss.lengths[runs]
    cuts = lengths[:, None] * np.arange(N_PARTS + 1) // N_PARTS
    starts = (loss.offsets[runs][:, None] + cuts).ravel()
    padded = np.append(loss.values, 0.0)
    counts = np.diff(cuts, axis=1)
    means = np.add.reduceat(padded, starts).reshape(len(runs), -1)[:, :-1] / counts
    # The noise from neighbouring differences, which a trend hardly enters: E|N − N'| = 1.128 σ.
    jumps = np.append(np.abs(np.diff(loss.values)), 0.0)
    bounds = np.stack([loss.offsets[runs], loss.offsets[runs] + lengths - 1], axis=1).ravel()
    sigma = np.add.reduceat(jumps, bounds)[::2] / (lengths - 1) / 1.128
    return means, np.sqrt(2 / counts.min(axis=1)) * sigma + 1e-300, cuts


def _last_kink(falls: Floats, noise: Floats) -> NDArray[np.int64]:
    """The last fall in the second half that is unlike the four before it, 0 where there is none."""
    found = np.zeros(len(falls), dtype=np.int64)
    for j in range(N_PARTS // 2, falls.shape[1]):
        before = np.median(np.abs(falls[:, j - 4 : j]), axis=1)
        found[(falls[:, j] > KINK_RATIO * before) & (falls[:, j] > MIN_STANDARD_ERRORS * noise)] = j
    return found


def _steepens(means: Floats, falls: Floats, noise: Floats) -> NDArray[np.bool_]:
    """Whether the last quarter falls faster than each part before it, by more than noise."""
    late = falls[:, -3:].mean(axis=1)
    return np.asarray(
        (late > MIN_STANDARD_ERRORS * noise)
        & (late > 1.5 * falls[:, :-3].max(axis=1))
        & (means[:, -1] < means[:, 0])
    )
