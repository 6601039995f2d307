"""Stop after so many observations without improvement, as Keras and Lightning do."""

from __future__ import annotations

import math

from earlycall.errors import InputError
from earlycall.stopping.rule import Rule


class PatienceRule(Rule):
    """``patience:P[:REL_DELTA]``: stop once P observations in a row brought no improvement.

    An observation improves when ``loss < best − rel_delta·|best|``; only then does it become the
    best. The first observation is the first best (Keras ``EarlyStopping``, Lightning; with a
    relative rather than an absolute least change).

    Args:
        patience: a whole number of observations, at least 1.
        rel_delta: the least improvement as a part of the best loss, in [0, 1).

    Raises:
        InputError: if either is outside its range.

    Examples:
        >>> rule = PatienceRule(2)
        >>> [rule.update(loss, step) for step, loss in enumerate([3.0, 2.0, 2.5, 2.2])]
        [False, False, False, True]
    """

    FORM = "patience:P[:REL_DELTA]"
    FIELDS = ("best", "wait")
    __slots__ = ("patience", "rel_delta", *FIELDS)

    def __init__(self, patience: int, rel_delta: float = 0.0) -> None:
        if not 1 <= patience < math.inf or patience != int(patience):
            raise InputError(f"patience {patience!r} must be a whole number, at least 1")
        if not 0 <= rel_delta < 1:
            raise InputError(f"relative delta {rel_delta!r} must be at least 0 and below 1")
        self.patience, self.rel_delta = int(patience), rel_delta
        self.reset()

    def __str__(self) -> str:
        return f"patience:{self.patience}" + (f":{self.rel_delta!r}" if self.rel_delta else "")

    def reset(self) -> None:
        """Forget all observations."""
        self.best: float | None = None
        self.wait = 0

    def update(self, loss: float, cost: float) -> bool:
        """Take one observation; stop now?"""
        best = self.best
        if best is None or loss < best - self.rel_delta * abs(best):
            self.best, self.wait = loss, 0
            return False
        self.wait += 1
        return self.wait >= self.patience

    @property
    def reason(self) -> str:
        """How long ago the best loss was."""
        best = math.nan if self.best is None else self.best
        margin = f" by {self.rel_delta:.3g} of it" if self.rel_delta else ""
        return (
            f"{self.wait} of {self.patience} observations in a row did not improve on the best "
            f"loss {best:.4g}{margin}"
        )
