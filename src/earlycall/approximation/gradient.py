"""The Loss Curve Gradient Approximation: how fast the fitted curve still falls.

Zhao, Frey, Gadepally, Samsi, *Loss Curve Approximations for Fast Neural Architecture Ranking &
Training Elasticity Estimation*, IPDPSW 2022. Over the first T epochs, ignoring the first B = 2; a
curve that still falls faster ranks higher. (The authors' released code averages f'' where the paper
has f'/√f'' in the last of the four: a slip, not reproduced.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earlycall.approximation.parameters import Parameters
from earlycall.approximation.training_speed import WeightedSum, epoch_means, weighted_sum
from earlycall.curves import Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

BURN_IN = 2
GAMMA = 0.999


@dataclass(frozen=True)
class Lcga:
    """The four published values for m runs, NaN where they cannot be told.

    Attributes:
        d1: shape (m,), mean of f', in loss per unit of x.
        norm: shape (m,), mean of f'/√f'', in the square root of the loss.
        d1_ema: Σ_{t=1..T−B} γ^(T−t) · mean of f' over epoch B+t.
        norm_ema: the same of f'/√f''.
    """

    d1: NDArray[np.float64]
    norm: NDArray[np.float64]
    d1_ema: WeightedSum
    norm_ema: WeightedSum


def lcga(
    fits: Parameters, x: Ragged, epoch: Ragged, *, burn_in: int = BURN_IN, gamma: float = GAMMA
) -> Lcga:
    """The four published values from the fits of m runs.

    Args:
        fits: the m fits.
        x: the axis that was fitted, one value per observation.
        epoch: the epoch of each observation, counted from 0.
        burn_in: B, the epochs that are ignored.
        gamma: γ, the weight of the moving average.

    Examples:
        >>> from earlycall import fit_many
        >>> x = Ragged.of([np.arange(1.0, 13.0)])
        >>> values = lcga(fit_many([2 / x[0] + 1]), x, Ragged.of([np.arange(12) // 4]))
        >>> round(float(values.d1[0]), 5)
        -0.01878
    """
    d1, d1_ema = averages(fits.slopes(x), epoch, burn_in, gamma)
    norm, norm_ema = averages(fits.normed_slopes(x), epoch, burn_in, gamma)
    return Lcga(d1, norm, d1_ema, norm_ema)


def averages(
    values: NDArray[np.float64],
    epoch: Ragged,
    burn_in: int,
    gamma: float,
) -> tuple[NDArray[np.float64], WeightedSum]:
    """The mean over observations after the burn-in, and the weighted sum of epochs' means."""
    kept = epoch.values >= burn_in
    counts = np.bincount(epoch.row[kept], minlength=len(epoch))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    later = Ragged(values[kept], offsets)
    mean = later.reduce(np.add) / np.maximum(counts, 1)
    by_epoch = epoch_means(later, Ragged(epoch.values[kept], offsets))
    last = (by_epoch.lengths + burn_in)[by_epoch.row]  # T
    # Epoch B + t has position t − 1 here, and weight γ^(T−t).
    return mean, weighted_sum(by_epoch, gamma ** (last - by_epoch.position - 1).astype(np.float64))
