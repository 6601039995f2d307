"""Who is told of the progress of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from earlycall.study.folder import State


class Watcher(Protocol):
    """Is told of each run's progress."""

    def begin(self, states: Sequence[State]) -> None:
        """How far each run of the study has come."""

    def epoch(self, run: str, told: dict[str, Any]) -> None:
        """A run has done an epoch: ``epoch``, ``val_accuracy``, ``seconds``."""

    def done(self, run: str, result: dict[str, Any]) -> None:
        """A run is done, with its result."""

    def failed(self, run: str, why: str, *, again: bool) -> None:
        """A run has failed; ``again`` where it will be tried again."""


class Silent:
    """A watcher that says nothing."""

    def begin(self, states: Sequence[State]) -> None:
        """Nothing."""

    def epoch(self, run: str, told: dict[str, Any]) -> None:
        """Nothing."""

    def done(self, run: str, result: dict[str, Any]) -> None:
        """Nothing."""

    def failed(self, run: str, why: str, *, again: bool) -> None:
        """Nothing."""
