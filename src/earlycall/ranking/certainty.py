"""How sure a ranking is: who may be best, who cannot be told apart, and when one could."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_Z = 1.2816  # the standard normal's 0.9 quantile: how sure "can be told apart" is

MANY = 2000  # numbers of which the standard library's Φ, in all Newton's steps, costs 0.1 s
SURE = 0.95  # that the runs to keep hold the best
TOP_EXPONENT = 3


def near_the_top(place: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """Expected places and their deviations, as far as they tell the very best runs apart.

    Places are normal scores. Over all runs they correlate with the outcomes by ρ = √(1 − mean of
    sd²); the best runs of a group are more alike, and among them it is ρ³, as measured on public
    sets (``docs/calibration.md``). All get the same deviation: where places say little, the run
    that is merely less known than others would else be the likeliest to end first.

    Examples:
        >>> place, sd = near_the_top(np.array([1.0, -1.0]), np.full(2, 0.6))
        >>> place.round(2).tolist(), sd.round(2).tolist()
        ([0.64, -0.64], [0.86, 0.86])
    """
    rho = math.sqrt(max(1 - float(np.mean(sd**2)), 1e-9))
    among = rho**TOP_EXPONENT
    return place * among / rho, np.full(len(sd), math.sqrt(1 - among**2))


def chance_of_best(score: Floats, se: Floats, k: int = 1) -> Floats:
    """For each run the probability that it is among the best k.

    With outcomes spread normally around the scores, P_i = Φ((s_i − τ)/se_i) with the threshold τ at
    which the probabilities add up to k: the chance to pass the mark that k runs are expected to
    pass.

    Args:
        score: shape (n,), larger is better.
        se: shape (n,), their standard errors, > 0.
        k: how many.

    Returns:
        Shape (n,), adding up to k; 1 for all where k is n or more.

    Examples:
        >>> chance_of_best(np.array([0.0, 0.0, -9.0]), np.ones(3)).round(2).tolist()
        [0.5, 0.5, 0.0]
    """
    n = len(score)
    if k >= n:
        return np.ones(n)
    low, high = float((score - 9 * se).min()), float((score + 9 * se).max())
    mark = (low + high) / 2
    before = math.inf
    for _ in range(200):  # Newton's steps within a bracket, which is halved where they do not pay
        z = (score - mark) / se
        excess = float(normal_cdf(z).sum()) - k
        if abs(excess) <= 1e-13 * n:
            break
        low, high = (mark, high) if excess > 0 else (low, mark)
        slope = float((np.exp(-z * z / 2) / se).sum()) / math.sqrt(2 * math.pi)
        newton = mark + excess / slope if slope > 0 else math.inf
        pays = 2 * abs(excess) < before and low < newton < high
        mark, before = newton if pays else (low + high) / 2, abs(excess)
    return normal_cdf((score - mark) / se)


_ERFC = np.frompyfunc(math.erfc, 1, 1)


def normal_cdf(z: Floats) -> Floats:
    """Φ(z) = ½ erfc(−z/√2), elementwise.

    By the standard library, since importing ``scipy.special`` takes as long as half of all that
    ``earlycall rank`` otherwise imports; of many numbers that pays.

    Examples:
        >>> normal_cdf(np.array([0.0, 1.96])).round(3).tolist()
        [0.5, 0.975]
    """
    if len(z) > MANY:
        from scipy.special import ndtr

        return np.asarray(ndtr(z), dtype=np.float64)
    return np.asarray(_ERFC(z / -math.sqrt(2)), dtype=np.float64) / 2


def smallest_set(chance: Floats, sure: float = SURE) -> NDArray[np.int64]:
    """The fewest runs of which one is the best with 95 %, by their chances to be it.

    Args:
        chance: shape (n,), the chance of each to end first.
        sure: how sure the set holds the best, in (0, 1].

    Returns:
        Their rows, the likeliest first.

    Examples:
        >>> smallest_set(np.array([0.3, 0.6, 0.06, 0.04])).tolist()
        [1, 0, 2]
    """
    order = np.argsort(-chance, kind="stable")
    held = np.cumsum(chance[order]) / max(float(chance.sum()), 1e-300)
    return order[: int((held < sure).sum()) + 1]


def tied_with_first(score: Floats, se: Floats) -> int:
    """How many of the runs, the best first, cannot be told apart from the first at 90 %.

    A run can be told apart when P(its outcome is worse than the first's) > 0.9, its difference
    being normal with variance se₁² + se_i².

    Args:
        score: shape (n,), falling.
        se: shape (n,).

    Examples:
        >>> tied_with_first(np.array([1.0, 0.9, -1.0]), np.full(3, 0.2))
        2
    """
    apart = (score[0] - score) > _Z * np.hypot(se[0], se)
    return int(np.argmax(apart)) if apart.any() else len(score)


@dataclass(frozen=True)
class Verdict:
    """What can be said of a group's ranking.

    Attributes:
        n_tied: how many of the first cannot be told apart.
        runs: how many were ranked.
        budget: the part of the horizon seen so far (median over runs), None where the end of
            training is unknown.
        budget_needed: the part of the horizon at which the first could be told from the last of
            the tied, None where no amount of training losses would tell, or the end is unknown.
        keep: the runs of which one ends first with 95 %, the likeliest first; what lies outside
            can be stopped.
    """

    n_tied: int
    runs: int
    budget: float | None
    budget_needed: float | None
    keep: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.n_tied <= 1:
            at = "" if self.budget is None else f", at {self.budget:.2g} of training"
            return f"the first is ahead of the others (90 % sure{at})"
        here = "so far" if self.budget is None else "at this budget"
        if self.n_tied == self.runs:
            said = f"none of the {self.runs} runs can be told from the first {here}"
        else:
            said = f"the first {self.n_tied} cannot be told apart {here}"
        if self.budget is None:
            return said
        if self.budget_needed is None:
            return f"{said}; their losses are too close for more training to tell them apart"
        more = 100 * (self.budget_needed - self.budget)
        return f"{said}; about {more:.2g} % more of training would tell their first from their last"


def verdict(
    score: Floats, se: Floats, stability: float, budget: float | None, agreement: float
) -> Verdict:
    """What can be said of runs ranked by a standing in [−1, 1] that fades with training left.

    At a part p of training the standing R (in [−1, 1]) correlates with the outcome by ρ(p) =
    agreement · stability^(−log2 p), and tells two runs ΔR apart when ρ·ΔR > z·√(2(1 − ρ²)/3), so
    that ρ² > 1/(1 + 3·ΔR²/(2z²)). The training needed follows from solving ρ(p) for p.

    Args:
        score: shape (n,), falling; ρ·R.
        se: shape (n,).
        stability: the part of its standing that a run keeps over a doubling, in (0, 1).
        budget: the part of the horizon seen so far, None where the end of training is unknown.
        agreement: ρ at the horizon.

    Examples:
        >>> score, se = np.array([0.6, 0.5, -0.5]), np.full(3, 0.3)
        >>> str(verdict(score, se, stability=0.9, budget=0.1, agreement=0.9))[:40]
        'the first 2 cannot be told apart at this'
    """
    tied = tied_with_first(score, se)
    if tied <= 1 or budget is None:
        return Verdict(tied, len(score), budget, budget)
    rho = float(np.sqrt(max(1 - 3 * np.median(se) ** 2, 1e-9)))
    gap = float(score[0] - score[tied - 1]) / rho
    needed = np.sqrt(1 / (1 + 3 * gap**2 / (2 * _Z**2)))
    if needed >= agreement or stability >= 1:
        return Verdict(tied, len(score), budget, None)
    budget_needed = 2.0 ** (-np.log(needed / agreement) / np.log(stability))
    more = float(budget_needed) if budget_needed > budget else None
    return Verdict(tied, len(score), budget, more)
