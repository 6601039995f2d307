"""Rules joined by "and" or "or"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from earlycall.errors import InputError
from earlycall.stopping.rule import Rule


class Combination(Rule):
    """Several rules as one: ``any`` stops when one of them says so, ``all`` when all do at once.

    Args:
        word: ``"or"`` or ``"and"``.
        parts: two or more rules.

    Raises:
        InputError: if there are fewer than two.

    Examples:
        >>> from earlycall.stopping.parse import parse_rule
        >>> rule = parse_rule("patience:2 or budget:100")
        >>> rule.update(1.0, 99.0), rule.update(0.5, 100.0), rule.reason
        (False, True, 'the cost 100 has reached the budget of 100')
    """

    FORM = "RULE and RULE, RULE or RULE"
    FIELDS = ("votes",)
    __slots__ = ("parts", "votes", "word")

    def __init__(self, word: str, parts: Sequence[Rule]) -> None:
        if word not in ("and", "or") or len(parts) < 2:
            raise InputError(f"a combination joins two or more rules by and/or, not {word!r}")
        self.word, self.parts = word, tuple(parts)
        self.reset()

    @property
    def averaged(self) -> bool:  # type: ignore[override]
        """Whether any of the rules needs averaged losses; then all are given them."""
        return any(part.averaged for part in self.parts)

    def __str__(self) -> str:
        return f" {self.word} ".join(map(str, self.parts))

    def reset(self) -> None:
        """Forget all observations."""
        self.votes = [False] * len(self.parts)
        for part in self.parts:
            part.reset()

    def update(self, loss: float, cost: float) -> bool:
        """Take one observation; stop now?"""
        self.votes = [part.update(loss, cost) for part in self.parts]
        return self._joined(self.votes)

    def plan(self, cost: str, observations: float | None = None) -> None:
        """Take the plan for each rule."""
        for part in self.parts:
            part.plan(cost, observations)

    def observe(self, n: int, cost: float) -> None:
        """Take the cost so far for each rule."""
        for part in self.parts:
            part.observe(n, cost)

    def spent(self, cost: float) -> bool:
        """Whether the cost alone says stop now."""
        spent = [part.spent(cost) for part in self.parts]
        self.votes = [a or b for a, b in zip(spent, self.votes, strict=True)]
        return any(spent) and self._joined(self.votes)

    @property
    def _joined(self) -> Callable[[Iterable[bool]], bool]:
        return any if self.word == "or" else all

    @property
    def reason(self) -> str:
        """The reasons of the rules that said stop; of all where none has."""
        stopping = [part for part, stop in zip(self.parts, self.votes, strict=True) if stop]
        return f" {self.word} ".join(part.reason for part in stopping or self.parts)

    def state_dict(self) -> dict[str, Any]:
        """All that the rules remember, as JSON."""
        return super().state_dict() | {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        super().load_state_dict({"votes": state.get("said")} | state)  # its name in 0.1
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)
