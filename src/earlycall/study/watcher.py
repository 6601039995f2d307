"""Who receives the progress of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from earlycall.study.folder import State


class Watcher:
    """Receives progress events; this one ignores them all."""

    def begin(self, states: Sequence[State]) -> None:
        """The study begins, with the state of each run."""

    def epoch(self, run: str, progress: dict[str, Any]) -> None:
        """A run has finished an epoch: ``epoch`` of ``epochs``, ``val_accuracy``, ``seconds``."""

    def done(self, run: str, result: dict[str, Any]) -> None:
        """A run is done, with its result."""

    def failed(self, run: str, reason: str, *, again: bool) -> None:
        """A run has failed; ``again`` where it will be tried again."""
