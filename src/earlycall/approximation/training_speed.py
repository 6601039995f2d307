"""Training Speed Estimation: the sum of training losses (Ru et al., NeurIPS 2021).

Ru, Lyle, Schut, Fil, van der Wilk, Gal, *Speedy Performance Estimation for Neural Architecture
Search*, NeurIPS 2021. With ℓ̄_t the mean training loss of epoch t = 1…T; where a log has no epochs,
each observation counts as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earlycall.curves import Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAMMA = 0.9
LAST_EPOCHS = 1


@dataclass(frozen=True)
class WeightedSum:
    """A weighted sum over the epochs of m runs; ``weight`` is what the weights add up to.

    Attributes:
        value: shape (m,), in the units of the loss; NaN for a run without losses.
        weight: shape (m,), Σ of the weights of the epochs.
    """

    value: NDArray[np.float64]
    weight: NDArray[np.float64]

    @property
    def score(self) -> NDArray[np.float64]:
        """−value, brought to the same number of epochs for all runs.

        Sums over different numbers of epochs do not compare; where the prefixes of a group differ,
        each sum is scaled to the weight of the longest one. Where they do not, this is −value.
        """
        longest = np.nanmax(self.weight, initial=0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return -self.value * np.where(self.weight == longest, 1.0, longest / self.weight)


def epoch_means(loss: Ragged, epoch: Ragged) -> Ragged:
    """The mean loss of each epoch of each run, in order.

    Args:
        loss: the losses of m runs.
        epoch: the epoch of each loss, not decreasing within a run.

    Examples:
        >>> epoch_means(Ragged.of([[4.0, 2.0, 1.0]]), Ragged.of([[0, 0, 1]]))[0].tolist()
        [3.0, 1.0]
    """
    if not len(loss.values):
        return loss
    starts = np.ones(len(loss.values), dtype=bool)
    starts[1:] = (np.diff(epoch.values) != 0) | (np.diff(loss.row) != 0)
    first = np.flatnonzero(starts)
    sizes = np.diff(np.append(first, len(loss.values)))
    means = np.add.reduceat(loss.values, first) / sizes
    counts = np.bincount(loss.row[first], minlength=len(loss))
    return Ragged(means, np.concatenate([[0], np.cumsum(counts)]))


def tse(means: Ragged) -> WeightedSum:
    """TSE = Σ_{t≤T} ℓ̄_t.

    Examples:
        >>> tse(Ragged.of([[3.0, 1.0]])).value.tolist()
        [4.0]
    """
    return weighted_sum(means, np.ones(len(means.values)))


def tse_e(means: Ragged, last: int = LAST_EPOCHS) -> WeightedSum:
    """TSE-E = Σ ℓ̄_t over the last E epochs (here E = 1 by default).

    Examples:
        >>> tse_e(Ragged.of([[3.0, 1.0]])).value.tolist()
        [1.0]
    """
    return weighted_sum(means, (_from_end(means) < last).astype(np.float64))


def tse_ema(means: Ragged, gamma: float = GAMMA) -> WeightedSum:
    """TSE-EMA = Σ_{t≤T} γ^(T−t) ℓ̄_t (γ = 0.9 by default).

    Three definitions of the moving average are in circulation; this is the project's.

    Examples:
        >>> tse_ema(Ragged.of([[3.0, 1.0]]), gamma=0.5).value.tolist()
        [2.5]
    """
    return weighted_sum(means, gamma ** _from_end(means).astype(np.float64))


def _from_end(means: Ragged) -> NDArray[np.int64]:
    return np.repeat(means.lengths, means.lengths) - 1 - means.position


def weighted_sum(means: Ragged, weights: NDArray[np.float64]) -> WeightedSum:
    """Σ weight · value of each run; values of weight 0 do not count even if they are NaN."""
    chosen = weights > 0
    values = np.where(chosen, means.values, 0.0) * weights
    total = Ragged(values, means.offsets).reduce(np.add)
    return WeightedSum(total, Ragged(weights, means.offsets).reduce(np.add))
