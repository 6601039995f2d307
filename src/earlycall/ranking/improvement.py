"""The chance that further trials of a search beat its best one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from earlycall.errors import InputError

# How many times likelier than by chance a sampler that learns finds a better trial: chosen on
# recorded searches by TPE (docs/search.md).
GUIDED = 1.5
DEFAULT_TRIALS = 10
MAX_TRIALS = 1e9  # of a time that pays for more, the chance is as good as 1
MIN_OUTCOMES = 5  # finite ones, before anything is said


def chance_of_improvement(
    outcomes: Sequence[float], margin: float = 0.0, *, trials: float = 10, guided: bool = False
) -> float:
    """The chance that one of the next trials beats the best so far by more than a margin.

    Where the order of n trials does not matter, as in a random search, the best of the next m is
    the best of all with probability m/(n + m), whatever the outcomes are. How likely it is then
    better by more than the margin is told by Laplace's rule of succession, of the r times that the
    best was beaten so far, b of them by more than the margin. (Where outcomes thin out
    exponentially, those are equally likely early and late, and the next m beat the best by a margin
    as m·S would beat it at all.) With g = 1.5 for a sampler that learns, else 1::

        S = (1 + b) / (2 + r)        chance = g·m·S / (n + g·m·S)

    Without a margin, S is 1.

    Args:
        outcomes: of the trials so far in their order, smaller is better; infinity or NaN for those
            that diverged or were pruned.
        margin: in the unit of the outcomes.
        trials: how many, m.
        guided: whether trials are proposed by what earlier ones gave, as by TPE.

    Returns:
        The chance; 1 where fewer than five outcomes are finite, of which nothing can be said.

    Raises:
        InputError: if the margin is negative, or the number of trials is not above 0.

    Examples:
        >>> outcomes = [0.9, 0.5, 0.7, 0.4, 0.8, 0.6, 0.95, 0.55, 0.45, 0.85]
        >>> chance_of_improvement(outcomes)
        0.5
        >>> round(chance_of_improvement(outcomes, margin=0.1), 2)
        0.33
    """
    if not 0 <= margin < math.inf:
        raise InputError(f"margin {margin!r} must be at least 0, in the unit of what is optimised")
    if not 0 < trials < math.inf:
        raise InputError(f"{trials!r} trials to come must be a number above 0")
    values = np.asarray(outcomes, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if len(finite) < MIN_OUTCOMES:
        return 1.0
    beyond = 1.0
    if margin > 0:
        gains = -np.diff(np.minimum.accumulate(finite))
        beyond = (1 + np.sum(gains > margin)) / (2 + np.sum(gains > 0))
    coming = (GUIDED if guided else 1.0) * trials * float(beyond)
    return coming / (len(values) + coming)


class SearchLimit:
    """Ends a search when a better trial is no longer likely: what the tuners' callbacks share.

    Args:
        margin: the improvement that is wanted, in the unit of the outcomes.
        chance: the chance below which the search ends.
        trials: how many trials the chance is for, by default 10.
        seconds: instead, as many as this time pays for, at the mean duration of those so far.

    Attributes:
        last_chance: the chance when it was last asked.
        coming: of how many trials one would have to be better.

    Raises:
        InputError: if an argument cannot be used.

    Examples:
        >>> limit = SearchLimit(0.1, seconds=30)
        >>> outcomes = [0.9, 0.5, 0.7, 0.4, 0.8, 0.6, 0.95, 0.55, 0.45, 0.85]
        >>> limit.reached(outcomes, seconds=[30.0] * 10, guided=False)
        True
        >>> limit.explain()
        'the chance that the next trial is better by more than 0.1 is 0.0476, below 0.1'
    """

    def __init__(
        self,
        margin: float,
        chance: float = 0.1,
        trials: float | None = None,
        seconds: float | None = None,
    ) -> None:
        if trials is not None and seconds is not None:
            raise InputError("give trials or seconds: the chance is for one of them")
        if not 0 < chance < 1:
            raise InputError(f"chance {chance!r} must lie between 0 and 1, such as 0.1")
        if seconds is not None and not 0 < seconds < math.inf:
            raise InputError(f"seconds {seconds!r} must be a time above 0")
        self.margin, self.chance, self.seconds = margin, chance, seconds
        self.coming = float(DEFAULT_TRIALS if trials is None else trials)
        self.last_chance = chance_of_improvement([], margin, trials=self.coming)

    def reached(
        self, outcomes: Sequence[float], *, seconds: Sequence[float] = (), guided: bool
    ) -> bool:
        """Whether the search should end.

        Args:
            outcomes: as in `chance_of_improvement`.
            seconds: how long trials took, those that were pruned among them.
            guided: as in `chance_of_improvement`.
        """
        if self.seconds is not None:
            spent = math.fsum(seconds)
            affordable = self.seconds * len(seconds) / spent if spent > 0 else math.inf
            self.coming = min(max(affordable, 1.0), MAX_TRIALS)  # one would be under way
        self.last_chance = chance_of_improvement(
            outcomes, self.margin, trials=self.coming, guided=guided
        )
        return self.last_chance < self.chance

    def explain(self) -> str:
        """Why the search should end, or why not: a clause with its numbers."""
        beside = "below" if self.last_chance < self.chance else "not below"
        one = f"one of the next {self.coming:.3g} trials" if self.coming > 1 else "the next trial"
        return (
            f"the chance that {one} is better by more than {self.margin:g} is "
            f"{self.last_chance:.3g}, {beside} {self.chance:g}"
        )
