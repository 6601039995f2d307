"""What every stop rule is: losses and costs in, "stop now" out, with the reason."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from earlycall.errors import InputError
from earlycall.stopping.state import Stateful


class Rule(Stateful, ABC):
    """A rule that says after each observation of a run whether to stop now.

    A rule remembers a bounded number of plain values, named in ``FIELDS``, so that its state is
    JSON and a restored rule goes on exactly. It does not latch: a `Monitor` stops the first time
    the rule says so.

    Attributes:
        FORM: how the rule is written, for error messages.
        NAMES: values of it that are names rather than numbers.
        averaged: whether the noise of single steps misleads the rule, so that a `Monitor` averages
            losses before the rule sees them (unless told ``every=1``).
    """

    FORM: ClassVar[str]
    NAMES: ClassVar[tuple[str, ...]] = ()
    averaged: bool = False
    __slots__ = ()

    @abstractmethod
    def __str__(self) -> str:
        """The rule as it is written, which `parse_rule` understands."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all observations."""

    @abstractmethod
    def update(self, loss: float, cost: float) -> bool:
        """Take one observation: a finite loss and the cost so far, in any unit; stop now?"""

    @property
    @abstractmethod
    def reason(self) -> str:
        """Why the rule last said stop, or why not: a clause with its numbers."""

    def spent(self, cost: float) -> bool:
        """Whether the cost alone, without a new loss, says stop now."""
        return False

    def plan(self, cost: str, observations: float | None = None) -> None:  # most do not ask
        """Take what the cost is called and, where it is known, how many observations will come.

        Raises:
            InputError: if the rule is of another cost.
        """

    def observe(self, n: int, cost: float) -> None:  # most do not ask
        """Take the cost so far at the n-th observation (from 1), before losses are averaged."""

    def state_dict(self) -> dict[str, Any]:
        """The rule and all that it remembers, as JSON."""
        return {"rule": str(self)} | super().state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            InputError: if the state is another rule's, or incomplete.
        """
        if state.get("rule") != str(self):
            raise InputError(
                f"the saved state is of the rule {state.get('rule')!r}, not of {str(self)!r}; "
                "make the monitor with the rule that was saved"
            )
        super().load_state_dict(state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"
