"""Ranks of numbers, ties averaged, and their correlation."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 for the smallest value; ties share the mean of their ranks.

    What ``scipy.stats.rankdata`` gives, without importing ``scipy.stats``, which takes longer than
    ranking a thousand runs.

    Args:
        values: shape (n,), no NaN.

    Examples:
        >>> mean_ranks(np.array([3.0, 1.0, 3.0])).tolist()
        [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(middle[inverse.reshape(-1)])


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's, 0 where one of the two is constant.

    Examples:
        >>> round(rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])), 2)
        0.5
    """
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(mean_ranks(a), mean_ranks(b))[0, 1])


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks as quantiles of the standard normal, Φ⁻¹((rank − ½)/n); ties share their mean rank.

    Args:
        values: shape (n,), no NaN.

    Examples:
        >>> normal_scores(np.array([3.0, 1.0, 2.0])).round(2).tolist()
        [0.97, -0.97, 0.0]
    """
    halves = np.rint(2 * mean_ranks(values)).astype(np.int64)
    return _quantiles(len(values))[halves - 2]


@lru_cache(maxsize=16)
def _quantiles(n: int) -> NDArray[np.float64]:
    """The normal scores of the ranks 1, 1½, 2 … n."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((half - 1) / (2 * n)) for half in range(2, 2 * n + 1)])
