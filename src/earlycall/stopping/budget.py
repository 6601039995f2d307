"""Stop when a cost has been spent."""

from __future__ import annotations

import math

from earlycall.errors import InputError
from earlycall.stopping.rule import Rule


class BudgetRule(Rule):
    """``budget:COST``: stop as soon as the cost so far reaches COST.

    The unit is the monitor's: seconds, joules, money, steps. It does not wait for losses to be
    averaged.

    Args:
        budget: a cost above 0.

    Raises:
        InputError: if it is not above 0.

    Examples:
        >>> rule = BudgetRule(3600)
        >>> rule.update(1.0, 3599.0), rule.update(1.0, 3600.0), rule.reason
        (False, True, 'the cost 3600 has reached the budget of 3600')
    """

    FORM = "budget:COST"
    FIELDS = ("cost",)
    __slots__ = ("budget", "cost")

    def __init__(self, budget: float) -> None:
        if not 0 < budget < math.inf:
            raise InputError(f"budget {budget!r} must be a cost above 0")
        self.budget = float(budget)
        self.reset()

    def __str__(self) -> str:
        return f"budget:{self.budget!r}"

    def reset(self) -> None:
        """Forget all observations."""
        self.cost = 0.0

    def update(self, loss: float, cost: float) -> bool:
        """Take one observation; stop now?"""
        return self.spent(cost)

    def spent(self, cost: float) -> bool:
        """Whether the cost has reached the budget."""
        self.cost = cost
        return cost >= self.budget

    @property
    def reason(self) -> str:
        """The cost beside the budget."""
        done = "has reached" if self.cost >= self.budget else "is within"
        return f"the cost {self.cost:.6g} {done} the budget of {self.budget:.6g}"
