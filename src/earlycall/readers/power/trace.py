"""The power of a device along the clock, and the energy between two times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MAX_GAP_PERIODS = 10  # a gap is one of more than this many usual periods
MAX_GAP_SECONDS = 5.0  # and of more than this
KWH = 3.6e6  # joules
SINGLE_SAMPLE_SECONDS = 1.0  # that a single sample stands for


@dataclass(frozen=True, eq=False)
class Trace:
    """Power that is linear between times: samples joined by lines, or means of intervals.

    Attributes:
        time: shape (n,), n ≥ 2, seconds since 1970 (UTC), increasing.
        first: shape (n − 1,), watts at the start of each interval.
        last: shape (n − 1,), watts at the end of each interval.
        assumed: shape (n − 1,), whether nothing was measured in the interval.

    Examples:
        >>> trace = Trace.of_samples([0.0, 1.0, 2.0], [100.0, 200.0, 200.0])
        >>> trace.joules([0.5, 2.0, 9.0]).tolist()
        [62.5, 350.0, 350.0]
    """

    time: Floats
    first: Floats
    last: Floats
    assumed: NDArray[np.bool_]

    @classmethod
    def of_samples(cls, time: ArrayLike, watts: ArrayLike) -> Trace:
        """Samples joined by lines (trapezoids); a gap of over 10 periods and 5 s is assumed.

        Args:
            time: shape (n,), seconds, increasing; a single sample stands for one second.
            watts: shape (n,).
        """
        t, p = np.asarray(time, dtype=np.float64), np.asarray(watts, dtype=np.float64)
        if len(t) == 1:
            return cls.of_means(t, t + SINGLE_SAMPLE_SECONDS, p)
        gap = np.diff(t)
        return cls(
            t, p[:-1], p[1:], gap > max(MAX_GAP_PERIODS * float(np.median(gap)), MAX_GAP_SECONDS)
        )

    @classmethod
    def of_means(cls, start: ArrayLike, end: ArrayLike, watts: ArrayLike) -> Trace:
        """Mean power of intervals that do not overlap; between them it is assumed, as a line.

        Args:
            start: shape (n,), seconds, increasing.
            end: shape (n,).
            watts: shape (n,).
        """
        s, e, p = (np.asarray(x, dtype=np.float64) for x in (start, end, watts))
        between = s[1:] > e[:-1]
        place = np.arange(len(s) - 1)[between] + 1
        spread = [np.insert(p, place, p[place - 1]), np.insert(p, place, p[place])]
        assumed = np.insert(np.zeros(len(s), dtype=bool), place, True)
        time = np.append(np.insert(s, place, e[place - 1]), e[-1])
        return cls(time, spread[0], spread[1], assumed)

    @property
    def start(self) -> float:
        """The first time."""
        return float(self.time[0])

    @property
    def end(self) -> float:
        """The last time."""
        return float(self.time[-1])

    def joules(self, at: ArrayLike) -> Floats:
        """The energy from the first time on, shape of ``at``; none before it and after the last."""
        t = np.clip(np.asarray(at, dtype=np.float64), self.start, self.end)
        i = np.clip(np.searchsorted(self.time, t, side="right") - 1, 0, len(self.first) - 1)
        since = t - self.time[i]
        rise = (self.last[i] - self.first[i]) / (self.time[i + 1] - self.time[i])
        return np.asarray(self._so_far[i] + since * (self.first[i] + rise * since / 2))

    def measured(self, at: ArrayLike) -> Floats:
        """The seconds from the first time on in which power was measured, shape of ``at``."""
        t = np.clip(np.asarray(at, dtype=np.float64), self.start, self.end)
        return np.asarray(np.interp(t, self.time, self._seconds))

    @cached_property
    def _so_far(self) -> Floats:
        energy = np.diff(self.time) * (self.first + self.last) / 2
        return np.concatenate([[0.0], np.cumsum(energy)])

    @cached_property
    def _seconds(self) -> Floats:
        return np.concatenate([[0.0], np.cumsum(np.where(self.assumed, 0.0, np.diff(self.time)))])


def trace_of_windows(start: ArrayLike, end: ArrayLike, joules: ArrayLike) -> Trace | None:
    """The power that explains the energy of windows of time; None where no window lasts.

    The shortest windows are taken as measured; a longer one gives the power of the time that the
    shorter ones within it leave open, from the energy that they leave over (at least none). So a
    window over a training and one for each of its epochs count once.

    Args:
        start: shape (n,), seconds since 1970.
        end: shape (n,).
        joules: shape (n,), the energy of each window.

    Examples:
        >>> trace = trace_of_windows([0, 2], [10, 4], [100, 60])
        >>> trace.joules([2, 4, 10]).tolist()
        [10.0, 70.0, 100.0]
    """
    s, e, energy = (np.asarray(x, dtype=np.float64) for x in (start, end, joules))
    good = np.isfinite(s) & np.isfinite(e) & np.isfinite(energy) & (e > s) & (energy >= 0)
    s, e, energy = s[good], e[good], energy[good]
    if not len(s):
        return None
    cuts = np.unique(np.concatenate([s, e]))
    length, watts = np.diff(cuts), np.full(len(cuts) - 1, np.nan)
    first, last = np.searchsorted(cuts, s), np.searchsorted(cuts, e)
    for i in np.argsort(e - s, kind="stable").tolist():
        part = slice(int(first[i]), int(last[i]))
        is_known = np.isfinite(watts[part])
        left = float(length[part][~is_known].sum())
        if left > 0:
            rest = energy[i] - float((watts[part] * length[part])[is_known].sum())
            watts[part] = np.where(is_known, watts[part], max(rest, 0.0) / left)
    is_known = np.isfinite(watts)
    return Trace.of_means(cuts[:-1][is_known], cuts[1:][is_known], watts[is_known])


@dataclass(frozen=True, eq=False)
class Device:
    """What was recorded of one device.

    Attributes:
        name: what the log calls it.
        traces: a trace for each stretch between two changes of the clock, in the order of the log.
    """

    name: str
    traces: Sequence[Trace]

    @property
    def start(self) -> float:
        """The earliest time."""
        return min(trace.start for trace in self.traces)

    @property
    def end(self) -> float:
        """The latest time."""
        return max(trace.end for trace in self.traces)

    def joules(self, at: ArrayLike) -> Floats:
        """The energy until some times; what was not recorded drew what it drew next to it.

        Where the clock was set back a time has come twice, and both count.
        """
        t = np.asarray(at, dtype=np.float64)
        inside = sum((trace.joules(t) for trace in self.traces), np.zeros(t.shape))
        earliest = min(self.traces, key=lambda trace: trace.start)
        latest = max(self.traces, key=lambda trace: trace.end)
        before = float(earliest.first[0]) * np.minimum(t - earliest.start, 0)
        after = float(latest.last[-1]) * np.maximum(t - latest.end, 0)
        return np.asarray(inside + before + after)

    def covered(self, start: float, end: float) -> float:
        """The part of the time between two times in which power was measured, from 0 to 1."""
        if end <= start:
            return float(self.start <= start <= self.end)
        measured = sum(float(np.diff(trace.measured([start, end]))[0]) for trace in self.traces)
        return min(measured / (end - start), 1.0)


@dataclass(frozen=True, eq=False)
class PowerLog:
    """What one log says of power: of all devices that it covers, which are added up.

    Attributes:
        path: the file.
        kind: what wrote it: nvidia-smi, CodeCarbon or Zeus.
        devices: at least one.
        shared: whether it covers the machine, and so all runs on it; else it is one run's own.
        notes: sentences on what was assumed.
        carbon: grams of CO2e per kWh, where the log says so.
        estimated: whether some of the energy was estimated rather than counted.
    """

    path: Path
    kind: str
    devices: Sequence[Device]
    shared: bool
    notes: Sequence[str] = field(default_factory=tuple)
    carbon: float | None = None
    estimated: bool = False

    @property
    def start(self) -> float:
        """The earliest time."""
        return min(device.start for device in self.devices)

    @property
    def end(self) -> float:
        """The latest time."""
        return max(device.end for device in self.devices)

    def joules(self, at: ArrayLike) -> Floats:
        """The energy of all devices until some times, shape of ``at``."""
        t = np.asarray(at, dtype=np.float64)
        return sum((device.joules(t) for device in self.devices), np.zeros(t.shape))

    def covered(self, start: float, end: float) -> float:
        """The part of the time between two times in which power was measured, from 0 to 1."""
        return float(np.mean([device.covered(start, end) for device in self.devices]))
