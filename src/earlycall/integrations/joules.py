"""The energy of a training across restarts: what the callbacks that log joules share."""

from __future__ import annotations

from collections.abc import Callable

from earlycall.energy import Meter
from earlycall.energy.meter import Scope


class JoulesLogger:
    """The base of a callback that logs joules.

    Args:
        scope: ``machine`` or ``process`` (see `earlycall.energy.Meter`).

    Attributes:
        joules: the energy since training began, with that of earlier sessions.
        meter: what measures it, while training runs.
    """

    def __init__(self, scope: Scope = "machine") -> None:
        super().__init__()
        self.scope: Scope = scope
        self.joules = 0.0
        self.meter: Meter | None = None

    def start_meter(self, warn: Callable[[str], object]) -> None:
        """Start to measure from the energy so far; warn if nothing can measure it."""
        self.meter = Meter(self.scope, before=self.joules)
        if self.meter.joules() is None:
            warn(f"earlycall: no energy is measured: {self.meter.source}")

    def read_meter(self) -> float | None:
        """The energy so far; None if nothing measures it."""
        now = None if self.meter is None else self.meter.joules()
        if now is not None:
            self.joules = now
        return now

    def close_meter(self) -> None:
        """Stop to measure."""
        if self.meter is not None:
            self.meter.close()
