"""Which power logs a run draws from, and how runs that run at once share them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earlycall.energy.timeline import Clocked
from earlycall.readers.power.logs import Device, PowerLog

Floats = NDArray[np.float64]

LEAST = 0.5  # part of a run's time in which power must have been measured
SHIFTS = np.arange(-14 * 4, 14 * 4 + 1) * 900.0  # quarters of an hour that zones differ by


@dataclass(frozen=True)
class Placed:
    """A power log and where it lies.

    Attributes:
        log: the log.
        home: the folder whose runs it is for; None for all runs.
    """

    log: PowerLog
    home: Path | None


def placed(logs: Sequence[PowerLog], homes: Sequence[Path]) -> list[Placed]:
    """Each log with the deepest folder around it that holds a run.

    Args:
        logs: those found beside the runs.
        homes: the folder of each run.
    """
    holding = {parent for home in homes for parent in (home, *home.parents)}
    out = []
    for log in logs:
        around = [log.path.resolve().parent, *log.path.resolve().parent.parents]
        out.append(Placed(log, next((f for f in around if f in holding), around[0])))
    return out


def nearest(home: Path | None, logs: Sequence[Placed]) -> list[PowerLog]:
    """The logs in the folder nearest to a run's own, on the way up; and those for all runs."""
    for_all = [one.log for one in logs if one.home is None]
    if for_all or home is None:
        return for_all
    for folder in (home, *home.parents):
        found = [one.log for one in logs if one.home == folder]
        if found:
            return found
    return []


def own(logs: Sequence[PowerLog], run: Clocked) -> PowerLog | None:
    """Of the logs that are of one run each, the one whose time agrees best with a run's."""
    best, most = None, 0.0
    for log in logs:
        if log.shared:
            continue
        common = min(log.end, run.end) - max(log.start, run.start)
        agreement = common / max(max(log.end, run.end) - min(log.start, run.start), 1e-9)
        if agreement > most:
            best, most = log, agreement
    return best


def together(logs: Sequence[PowerLog]) -> PowerLog | None:
    """The logs of machines as one; a GPU that two logs name is one device. None without any.

    A log of GPUs that an earlier log covers at the same time is left out.
    """
    devices: dict[str, list[Device]] = {}
    notes: list[str] = []
    kept: list[PowerLog] = []
    for log in (one for one in logs if one.shared):
        if any(_same(log, earlier) for earlier in kept):
            notes.append(f"{log.path}: its GPUs are in another log of that time; it is left out")
            continue
        kept.append(log)
        notes += log.notes
        for device in log.devices:
            devices.setdefault(device.name, []).append(device)
    if not kept:
        return None
    merged = [
        Device(name, [trace for part in parts for trace in part.traces])
        for name, parts in devices.items()
    ]
    return replace(kept[0], devices=merged, notes=notes)


def _same(log: PowerLog, earlier: PowerLog) -> bool:
    names = {d.name for d in log.devices}
    known = {d.name for d in earlier.devices}
    common = min(log.end, earlier.end) - max(log.start, earlier.start)
    unique = all(name.startswith("GPU-") for name in names)
    return unique and names <= known and common > 0.5 * (log.end - log.start)


class Share:
    """The energy of a machine, in equal parts for the runs that run at the same time.

    Args:
        log: what the machine drew.
        runs: all runs on it.

    Examples:
        >>> from earlycall.readers.power.logs import Trace
        >>> trace = Trace.of_samples([0.0, 10.0], [100.0, 100.0])
        >>> log = PowerLog(Path("p"), "", [Device("0", [trace])], shared=True)
        >>> a, b = (Clocked(np.array([0.0, 6.0]), ((0.0, start),)) for start in (0.0, 4.0))
        >>> share = Share(log, [a, b])
        >>> share.joules(a).tolist(), share.joules(b).tolist(), share.most
        ([0.0, 500.0], [0.0, 500.0], 2)
    """

    def __init__(self, log: PowerLog, runs: Sequence[Clocked]) -> None:
        self.log = log
        spans = np.array([span for run in runs for span in run.intervals]).reshape(-1, 2)
        self._cuts = np.unique(spans)
        starts, ends = np.sort(spans[:, 0]), np.sort(spans[:, 1])
        middle = (self._cuts[:-1] + self._cuts[1:]) / 2
        at_once = np.searchsorted(starts, middle) - np.searchsorted(ends, middle)
        self._part = 1.0 / np.maximum(at_once, 1)
        self._until = log.joules(self._cuts)
        each = np.diff(self._until) * self._part
        self._so_far = np.concatenate([[0.0], np.cumsum(each)])
        self.most = int(at_once.max(initial=1))  # runs at the same time

    def joules(self, run: Clocked) -> Floats:
        """The energy of a run until each of its observations, shape (n,)."""
        return energy_of(run, self._shared)

    def _shared(self, at: Floats) -> Floats:
        i = np.clip(np.searchsorted(self._cuts, at, side="right") - 1, 0, None)
        part = np.append(self._part, 0.0)[i]
        return np.asarray(self._so_far[i] + part * (self.log.joules(at) - self._until[i]))


def energy_of(run: Clocked, joules: Callable[[Floats], Floats]) -> Floats:
    """The energy of a run until each observation, from energies until times of the clock.

    What is drawn in the pause before a restart is not the run's.
    """
    out, before = np.zeros(len(run.seconds)), 0.0
    for (begin, clock), (start, end) in zip(run.sessions, run.intervals, strict=True):
        rows = run.seconds >= begin
        at = np.concatenate([[start], np.minimum(clock + run.seconds[rows] - begin, end), [end]])
        until = joules(at) - float(joules(np.array([start]))[0])
        out[rows] = before + until[1:-1]
        before += float(until[-1])
    return np.asarray(np.maximum.accumulate(np.maximum(out, 0.0)))


def covered(log: PowerLog, run: Clocked) -> float:
    """The part of a run's time in which power was measured, from 0 to 1."""
    spans = run.intervals
    length = [max(end - start, 1e-9) for start, end in spans]
    parts = [log.covered(start, end) for start, end in spans]
    return float(np.average(parts, weights=length))


def apart(log: PowerLog, run: Clocked) -> str:
    """Why a log says too little of a run, in words that help."""
    part = covered(log, run)
    if min(log.end, run.end) > max(log.start, run.start):
        return f"power was measured in only {part:.0%} of its time"
    ran, known = _span(run.start, run.end), _span(log.start, log.end)
    said = f"it ran {ran}, its power log covers {known} (UTC)"
    inside = (run.start + SHIFTS >= log.start - 1) & (run.end + SHIFTS <= log.end + 1)
    if inside.any():
        return f"{said}; give the time zone in which the power was logged (--zone)"
    return said


def _span(start: float, end: float) -> str:
    first, last = (datetime.fromtimestamp(t, UTC) for t in (start, end))
    return f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S}"
