"""Agreement of a score with outcomes under many weightings of the runs at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earlycall.ranks import mean_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Resampled:
    """Each of shape (samples,); NaN where a sample says nothing.

    Attributes:
        spearman: rank correlations, the ranks being those within all runs.
        kendall: Kendall's τ-b.
        top1_regret: (best − chosen) / (best − median) of the runs drawn.
        points_lost: best − chosen, in points of 0.01.
    """

    spearman: Floats
    kendall: Floats
    top1_regret: Floats
    points_lost: Floats


def resampled(score: Floats, outcome: Floats, times: Floats) -> Resampled:
    """The agreement of a score with the outcomes of resampled runs.

    Args:
        score: shape (n,), larger is better, no NaN.
        outcome: shape (n,), finite, larger is better.
        times: shape (samples, n), how often each run was drawn.

    Examples:
        >>> r = resampled(np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]),
        ...               np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0]]))
        >>> r.kendall.round(3).tolist(), r.top1_regret.round(3).tolist()
        ([0.667, 1.0], [0.667, 0.0])
    """
    regret, lost = _regret(score, outcome, times)
    a, b = mean_ranks(score), mean_ranks(outcome)
    return Resampled(_correlation(a, b, times), _tau(a, b, times), regret, lost)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Part / whole, NaN where the whole is 0."""
    return np.where(whole > 1e-12, part / np.where(whole > 1e-12, whole, 1.0), np.nan)


def _correlation(a: Floats, b: Floats, times: Floats) -> Floats:
    total = times.sum(axis=1, keepdims=True)
    total = np.where(total > 0, total, 1.0)
    x = a - times @ a[:, None] / total
    y = b - times @ b[:, None] / total
    scale = np.sqrt((times * x * x).sum(axis=1) * (times * y * y).sum(axis=1))
    return _ratio((times * x * y).sum(axis=1), scale)


def _tau(a: Floats, b: Floats, times: Floats) -> Floats:
    x, y = np.sign(a[:, None] - a), np.sign(b[:, None] - b)

    def summed(pairs: Floats) -> Floats:
        return np.asarray(((times @ pairs) * times).sum(axis=1))

    return _ratio(summed(x * y), np.sqrt(summed(x * x) * summed(y * y)))


def _regret(score: Floats, outcome: Floats, times: Floats) -> tuple[Floats, Floats]:
    drawn = times > 0
    best = np.where(drawn, outcome, -np.inf).max(axis=1)
    first = np.where(drawn, score, -np.inf).max(axis=1, keepdims=True)
    chosen = drawn & (score == first)
    mean = (times * chosen * outcome).sum(axis=1) / np.maximum((times * chosen).sum(axis=1), 1e-12)
    spread = best - _median(outcome, times)
    lost = np.where(drawn.any(axis=1), best - mean, np.nan)
    return _ratio(lost, spread), 100 * lost


def _median(outcome: Floats, times: Floats) -> Floats:
    """The median of the outcomes of each sample."""
    order = np.argsort(outcome)
    ends = np.cumsum(times[:, order], axis=1)
    half = ends[:, -1:] / 2
    low = outcome[order][(ends >= half - 1e-9).argmax(axis=1)]
    high = outcome[order][(ends > half + 1e-9).argmax(axis=1)]
    return np.asarray((low + high) / 2)
