"""How well a score agrees with outcomes: over all runs, and under many weightings of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earlycall.scores.ranks import mean_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


RESAMPLES = 200


@dataclass(frozen=True)
class Agreement:
    """How well one score agrees with the outcomes of n runs.

    Attributes:
        spearman: rank correlation, in [-1, 1]; 0 for a score that tells no run from another, None
            where the outcomes are all equal or fewer than 3.
        low: lower end of the bootstrap interval (95 %) of ``spearman``.
        high: upper end of it.
        kendall: Kendall's τ-b, in [-1, 1].
        top1_regret: (best − outcome of the run ranked first) / (best − median).
    """

    spearman: float | None
    low: float | None
    high: float | None
    kendall: float | None
    top1_regret: float | None


def agreement(
    score: NDArray[np.float64], outcome: NDArray[np.float64], *, resamples: int = RESAMPLES
) -> Agreement:
    """How well a score agrees with the outcomes, both oriented so that larger is better.

    Args:
        score: shape (n,); NaN counts as worse than all others.
        outcome: shape (n,), finite.
        resamples: how many bootstrap samples of the runs the interval rests on; 0 for none.

    Examples:
        >>> a = agreement(np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]))
        >>> round(a.spearman, 3), round(a.top1_regret, 3)
        (0.8, 0.667)
    """
    from scipy.stats import kendalltau

    n = len(outcome)
    told = np.where(np.isnan(score), np.nanmin(score, initial=0.0) - 1, score)
    regret = _top1_regret(told, outcome)
    if n < 3 or np.ptp(outcome) == 0:
        return Agreement(None, None, None, None, regret)
    if np.ptp(told) == 0:
        return Agreement(0.0, 0.0, 0.0, 0.0, regret)
    pairs = np.stack([mean_ranks(told), mean_ranks(outcome)])
    low = high = None
    if resamples:
        low, high = np.quantile(_bootstrap(pairs, resamples), [0.025, 0.975]).tolist()
    spearman = float(np.asarray(np.corrcoef(pairs))[0, 1])
    tau = float(kendalltau(told, outcome).statistic)
    return Agreement(spearman, low, high, tau, regret)


def _bootstrap(pairs: NDArray[np.float64], resamples: int) -> NDArray[np.float64]:
    """Correlations of resampled pairs of ranks, shape (resamples,).

    The ranks are those within all runs; ranking anew within each sample changes little and costs
    much. The samples are the same in every call.
    """
    n = pairs.shape[1]
    sample = np.random.default_rng(0).integers(0, n, (resamples, n))
    centred = pairs - pairs.mean(axis=1, keepdims=True)
    a, b = centred[0][sample], centred[1][sample]
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.where(scale > 0, scale, np.inf))


def _top1_regret(score: NDArray[np.float64], outcome: NDArray[np.float64]) -> float | None:
    """(best − chosen) / (best − median), the chosen being the mean of those tied for first."""
    if not len(outcome):
        return None
    best, chosen = outcome.max(), outcome[score == score.max()].mean()
    spread = best - np.median(outcome)
    return float((best - chosen) / spread) if spread > 0 else None


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
