"""When each observation of a run was made, by the clock."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earlycall.curves.columns import CLOCKS

Floats = NDArray[np.float64]

_EARLIEST, _LATEST = 9e8, 2e10  # seconds since 1970 that a stamp may be


@dataclass(frozen=True)
class Clocked:
    """A run on the clock.

    Attributes:
        seconds: shape (n,), of each observation since the start, without pauses.
        sessions: where each session begins: in those seconds, and in seconds since 1970.
        assumed: what was assumed to know them, None where the log says it all.
    """

    seconds: Floats
    sessions: tuple[tuple[float, float], ...]
    assumed: str | None = None

    @property
    def start(self) -> float:
        """Seconds since 1970 at which the run started."""
        return self.sessions[0][1]

    @property
    def end(self) -> float:
        """Seconds since 1970 of the last observation."""
        return self.intervals[-1][1]

    @property
    def intervals(self) -> list[tuple[float, float]]:
        """Start and end of each session, in seconds since 1970."""
        last = max(float(np.max(self.seconds, initial=0.0)), self.sessions[-1][0])
        stops = [*(begin for begin, _ in self.sessions[1:]), last]
        return [
            (clock, clock + stop - begin)
            for (begin, clock), stop in zip(self.sessions, stops, strict=True)
        ]

    @property
    def lasted(self) -> float:
        """Seconds from the start to the last observation, without pauses."""
        return float(sum(end - start for start, end in self.intervals))


def clocked(rows: pl.DataFrame, known: dict[str, Any]) -> Clocked | None:
    """A run on the clock, as far as its own log tells; None where it does not.

    Args:
        rows: its observations: ``step``, and ``seconds`` or a column of stamps.
        known: its row of the table of runs: ``started``, ``ended``, ``restarted``.
    """
    started = _number(known.get("started"))
    seconds = seconds_of(rows)
    if started is not None and seconds is not None:
        later = [(float(a), float(b)) for a, b in json.loads(known.get("restarted") or "[]")]
        return Clocked(seconds, ((0.0, started), *later))
    for name in CLOCKS:
        if name in rows.columns and rows[name].count():
            stamps = _filled(rows, rows[name].cast(pl.Float64))
            stamps = stamps / 1000 if stamps[0] > _LATEST else stamps
            if _EARLIEST < stamps[0] < _LATEST:
                return Clocked(stamps - stamps[0], ((0.0, float(stamps[0])),))
    ended = _number(known.get("ended"))
    if started is not None and ended is not None and ended > started:
        return spread(rows, started, ended)
    return None


def spread(rows: pl.DataFrame, start: float, end: float) -> Clocked:
    """A run whose steps take equal times between two times of the clock."""
    step = rows["step"].cast(pl.Float64).to_numpy()
    before = max(float(np.median(np.diff(step))), 0.0) if len(step) > 1 else 1.0
    part = (step - step[0] + before) / max(step[-1] - step[0] + before, 1e-300)
    said = "its log has no times: its steps are spread evenly"
    return Clocked(part * (end - start), ((0.0, start),), said)


def seconds_of(rows: pl.DataFrame) -> Floats | None:
    """The seconds since the start of each observation; None where none was logged."""
    if "seconds" not in rows.columns or not rows["seconds"].count():
        return None
    return _filled(rows, rows["seconds"].cast(pl.Float64))


def _filled(rows: pl.DataFrame, values: pl.Series) -> Floats:
    """A column that never falls, between its recorded values along the steps."""
    step = rows["step"].cast(pl.Float64).to_numpy()
    known = (values.is_not_null() & values.is_finite()).to_numpy()
    if not known.any():
        return np.zeros(len(step))
    filled = np.interp(step, step[known], values.to_numpy()[known])
    return np.asarray(np.maximum.accumulate(filled))


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and np.isfinite(value)
    return float(value) if known else None
