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

_MIN_STAMP, _MAX_STAMP = 9e8, 2e10  # seconds since 1970


@dataclass(frozen=True)
class Timeline:
    """A run on the clock.

    Attributes:
        seconds: shape (n,), of each observation since the start, without pauses.
        sessions: where each session begins: in those seconds, and in seconds since 1970.
        assumption: what was assumed to place the run; None if its log says it all.
    """

    seconds: Floats
    sessions: tuple[tuple[float, float], ...]
    assumption: str | None = None

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
    def duration(self) -> float:
        """Seconds from the start to the last observation, without pauses."""
        return float(sum(end - start for start, end in self.intervals))


def timeline(rows: pl.DataFrame, run: dict[str, Any]) -> Timeline | None:
    """A run on the clock as its own log places it; None if the log does not.

    Args:
        rows: its observations: ``step``, and ``seconds`` or a column of time stamps.
        run: its row of the table of runs: ``started``, ``ended``, ``restarted``.
    """
    started, ended = _finite(run.get("started")), _finite(run.get("ended"))
    seconds = seconds_of(rows)
    if started is not None and seconds is not None:
        restarts = [(float(a), float(b)) for a, b in json.loads(run.get("restarted") or "[]")]
        return Timeline(seconds, ((0.0, started), *restarts))
    for name in CLOCKS:
        stamps = _monotone(rows, name)
        if stamps is None:
            continue
        stamps = stamps / 1000 if stamps[0] > _MAX_STAMP else stamps
        if _MIN_STAMP < stamps[0] < _MAX_STAMP:
            spent = 0.0 if seconds is None else max(float(seconds[0]), 0.0)
            begun = float(stamps[0]) - spent  # the first interval is part of the run
            return Timeline(stamps - begun, ((0.0, begun),))
    if started is not None and ended is not None and ended > started:
        return evenly_spaced(rows, started, ended)
    return None


def evenly_spaced(rows: pl.DataFrame, start: float, end: float) -> Timeline:
    """A run whose steps take equal times between two times of the clock."""
    step = rows["step"].cast(pl.Float64).to_numpy()
    first = max(float(np.median(np.diff(step))), 0.0) if len(step) > 1 else 1.0
    part = (step - step[0] + first) / max(step[-1] - step[0] + first, 1e-300)
    assumption = "its log has no times: its steps are spread evenly"
    return Timeline(part * (end - start), ((0.0, start),), assumption)


def seconds_of(rows: pl.DataFrame) -> Floats | None:
    """The seconds since the start of each observation; None if none were logged."""
    return _monotone(rows, "seconds")


def _monotone(rows: pl.DataFrame, column: str) -> Floats | None:
    """A column that never falls, interpolated along the steps; None if it was not logged."""
    if column not in rows.columns or not rows[column].count():
        return None
    step = rows["step"].cast(pl.Float64).to_numpy()
    values = rows[column].cast(pl.Float64)
    finite = (values.is_not_null() & values.is_finite()).to_numpy()
    if not finite.any():
        return np.zeros(len(step))
    filled = np.interp(step, step[finite], values.to_numpy()[finite])
    return np.asarray(np.maximum.accumulate(filled))


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None
