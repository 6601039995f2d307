"""Ranks of numbers, ties averaged, and their correlation."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 for the smallest value along the last axis; ties share the mean of their ranks.

    What ``scipy.stats.rankdata`` gives, without importing ``scipy.stats``, which takes longer than
    ranking a thousand runs.

    Args:
        values: shape (n,) or (k, n), no NaN.

    Examples:
        >>> mean_ranks(np.array([3.0, 1.0, 3.0])).tolist()
        [2.5, 1.0, 2.5]
    """
    n = values.shape[-1]
    order = np.argsort(values)
    if values.ndim > 1:
        order += np.arange(0, values.size, max(n, 1))[:, None]
    ordered = values.ravel()[order]
    first = np.ones(values.shape, dtype=bool)
    np.not_equal(ordered[..., 1:], ordered[..., :-1], out=first[..., 1:])
    start = np.flatnonzero(first)
    ranks = np.empty(values.size)
    if len(start) == values.size:
        ranks[order] = np.arange(1.0, n + 1)
    else:
        ties = np.diff(start, append=values.size)
        ranks[order.ravel()] = np.repeat(start % n + (ties + 1) / 2, ties)
    return ranks.reshape(values.shape)


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
        values: shape (n,) or (k, n), no NaN.

    Examples:
        >>> normal_scores(np.array([3.0, 1.0, 2.0])).round(2).tolist()
        [0.97, -0.97, 0.0]
    """
    halves = np.rint(2 * mean_ranks(values)).astype(np.int64)
    return _quantiles(values.shape[-1])[halves - 2]


@lru_cache(maxsize=16)
def _quantiles(n: int) -> NDArray[np.float64]:
    """The normal scores of the ranks 1, 1½, 2 … n."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((half - 1) / (2 * n)) for half in range(2, 2 * n + 1)])
