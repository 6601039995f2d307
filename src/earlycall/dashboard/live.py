"""Logs that are followed while the page is open."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.readers.growing.follower import Follower

REST = 4  # seconds without reading for each that the last reading took


@dataclass(frozen=True)
class Snapshot:
    """What the logs hold at a moment.

    Attributes:
        version: changes whenever anything else does.
        curves: the runs; None as long as there is none.
        broken: for each log that cannot be read now, the sentence that says why.
        at: when that was found, in UTC.
    """

    version: str = ""
    curves: CurveSet | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Live:
    r"""A thread that follows logs and keeps what they hold at hand.

    Args:
        follower: reads what is new.
        every: seconds between two looks at the logs; more where a look takes long.
        looked: is called after each look, with the runs, None as long as there is none.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.csv").write_text("step,train_loss\n1,2.5\n2,1.5\n")
        ...     live = Live(Follower(folder))
        ...     live.look()
        >>> len(live.now.curves)
        1
    """

    def __init__(
        self,
        follower: Follower,
        every: float = 2.0,
        looked: Callable[[CurveSet | None], None] | None = None,
    ) -> None:
        self.follower, self.every, self.looked = follower, every, looked
        self.now = Snapshot()
        self._start = secrets.token_hex(3)  # a page that outlives the server must look anew
        self._count = 0
        self._end = threading.Event()
        self._curves: CurveSet | None = None

    def look(self) -> None:
        """Look at the logs once."""
        curves, broken = self._curves, {}
        try:
            curves = self.follower.update()
            broken = {str(path): why for path, why in self.follower.broken.items()}
        except Exception as error:  # whatever a log holds, the page goes on and says so
            name = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            broken = {"": f"{name}{error}"}
        if curves is self._curves and broken == self.now.broken and self._count:
            return
        self._curves = curves
        self._count += 1
        self.now = Snapshot(
            version=f"{self._start}-{self._count}",
            curves=_contiguous(curves) if curves is not None and len(curves) else None,
            broken=broken,
        )

    def start(self) -> None:
        """Look again and again until `stop`."""
        threading.Thread(target=self._run, name="earlycall follows logs", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._end.set()

    def _run(self) -> None:
        took = 0.0
        while not self._end.wait(max(self.every, REST * took)):
            began = time.monotonic()
            self.look()
            if self.looked is not None:
                self.looked(self.now.curves)
            took = time.monotonic() - began


def _contiguous(curves: CurveSet) -> CurveSet:
    """The set in one piece, steps as floats, so that no view of it copies what it only reads."""
    rows = curves.observations.with_columns(pl.col("step").cast(pl.Float64))
    return replace(curves, observations=rows.rechunk())
