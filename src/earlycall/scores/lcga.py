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

from earlycall.approximation import SHORTEST, Fits, fit_many
from earlycall.curves import Prefixes, Ragged
from earlycall.scores.registry import Scored, group_score
from earlycall.scores.tse import WeightedSum, epoch_means, weighted_sum

if TYPE_CHECKING:
    from numpy.typing import NDArray

EPOCHS = 10
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
    fits: Fits, x: Ragged, epoch: Ragged, *, burn_in: int = BURN_IN, gamma: float = GAMMA
) -> Lcga:
    """The four published values from the fits of m runs.

    Args:
        fits: the m fits.
        x: the axis that was fitted, one value per observation.
        epoch: the epoch of each observation, counted from 0.
        burn_in: B, the epochs that are ignored.
        gamma: γ, the weight of the moving average.

    Examples:
        >>> x = Ragged.of([np.arange(1.0, 13.0)])
        >>> values = lcga(fit_many([2 / x[0] + 1]), x, Ragged.of([np.arange(12) // 4]))
        >>> round(float(values.d1[0]), 5)
        -0.01878
    """
    d1, d1_ema = _averages(_slope(fits, x), epoch, burn_in, gamma)
    norm, norm_ema = _averages(_normed_slope(fits, x), epoch, burn_in, gamma)
    return Lcga(d1, norm, d1_ema, norm_ema)


def _slope(fits: Fits, x: Ragged) -> NDArray[np.float64]:
    """The slope f' at each observation, shape (total,)."""
    denominator = fits.b1[x.row] + fits.b2[x.row] * x.values
    return np.asarray(-(fits.scale * fits.b2)[x.row] / denominator**2)


def _normed_slope(fits: Fits, x: Ragged) -> NDArray[np.float64]:
    """f'/√f'' = −√(scale/(2·(b1 + b2·x))) at each observation; 0 where a curve does not fall."""
    denominator = fits.b1[x.row] + fits.b2[x.row] * x.values
    with np.errstate(divide="ignore", invalid="ignore"):
        normed = -np.sqrt(fits.scale[x.row] / (2 * denominator))
    return np.where(fits.b2[x.row] == 0, 0.0, normed)


def _averages(
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


def _scored(prefixes: Prefixes, which: str) -> Scored:
    values = _slope if which.startswith("d1") else _normed_slope
    found = [
        _averages(values(fit_many(part), part.x), part.epoch, BURN_IN, GAMMA)
        for part in prefixes.parts()
    ]
    value = np.concatenate([mean for mean, _ in found])
    score = -value
    if which.endswith("ema"):
        value = np.concatenate([ema.value for _, ema in found])
        score = WeightedSum(value, np.concatenate([ema.weight for _, ema in found])).score
    reasons = tuple(
        f"no epoch after the burn-in of {BURN_IN}" if np.isnan(v) else None for v in value
    )
    return Scored.smaller_is_better(value, score=score, reasons=reasons, sign=prefixes.sign)


@group_score("lcga_d1", shortest=SHORTEST)
def lcga_d1(prefixes: Prefixes) -> Scored:
    """The mean slope f' of the fitted curve, after 2 epochs of burn-in.

    Raw: mean of f', in loss per unit of x. Score: −raw. Source: Zhao et al., IPDPSW 2022.
    """
    return _scored(prefixes, "d1")


@group_score("lcga_norm", shortest=SHORTEST)
def lcga_norm(prefixes: Prefixes) -> Scored:
    """The mean of f'/√f'' of the fitted curve, after 2 epochs of burn-in.

    Raw: mean of f'/√f''. Score: −raw. Source: Zhao et al., IPDPSW 2022.
    """
    return _scored(prefixes, "norm")


@group_score("lcga_d1_ema", shortest=SHORTEST)
def lcga_d1_ema(prefixes: Prefixes) -> Scored:
    """The epochs' mean slopes f', summed with weights γ^(T−t), γ = 0.999, after the burn-in.

    Raw: Σ_{t=1..T−B} γ^(T−t) · mean of f' over epoch B+t. Score: −raw. Source: Zhao et al., 2022.
    """
    return _scored(prefixes, "d1_ema")


@group_score("lcga_norm_ema", shortest=SHORTEST)
def lcga_norm_ema(prefixes: Prefixes) -> Scored:
    """The epochs' means of f'/√f'', summed with weights γ^(T−t), γ = 0.999, after the burn-in.

    Raw: Σ_{t=1..T−B} γ^(T−t) · mean of f'/√f'' over epoch B+t. Score: −raw. Source: Zhao et al.,
    IPDPSW 2022 (as in the paper, not as in its released code).
    """
    return _scored(prefixes, "norm_ema")
