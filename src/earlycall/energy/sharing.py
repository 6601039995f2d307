"""Which power logs a run draws from, and how runs at the same time share them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earlycall.energy.timeline import Timeline
from earlycall.readers.power.logs import Device, PowerLog

Floats = NDArray[np.float64]

MIN_COVERAGE = 0.5  # part of a run's time in which power must have been measured
ZONE_SHIFTS = np.arange(-14 * 4, 14 * 4 + 1) * 900.0  # quarters of an hour that zones differ by


def logs_by_home(
    logs: Sequence[PowerLog], homes: Sequence[Path | None]
) -> dict[Path, list[PowerLog]]:
    """The power logs by the folder whose runs they are for: the deepest around that holds one.

    Args:
        logs: those found beside the runs.
        homes: the folder of each run.
    """
    holding = {folder for home in homes if home for folder in (home, *home.parents)}
    by_home: dict[Path, list[PowerLog]] = {}
    for log in logs:
        around = log.path.resolve().parents
        home = next((folder for folder in around if folder in holding), around[0])
        by_home.setdefault(home, []).append(log)
    return by_home


def nearest_logs(home: Path | None, by_home: dict[Path, list[PowerLog]]) -> list[PowerLog]:
    """The logs for the folder nearest to a run's own, on the way up."""
    folders = () if home is None else (home, *home.parents)
    return next((by_home[folder] for folder in folders if folder in by_home), [])


def own_log(logs: Sequence[PowerLog], run: Timeline) -> PowerLog | None:
    """Of the logs that are of one run each, the one whose time agrees best with a run's."""

    def agreement(log: PowerLog) -> float:
        common = min(log.end, run.end) - max(log.start, run.start)
        return common / max(max(log.end, run.end) - min(log.start, run.start), 1e-9)

    agreeing = [log for log in logs if not log.shared and agreement(log) > 0]
    return max(agreeing, key=agreement, default=None)


def merge_machines(logs: Sequence[PowerLog]) -> PowerLog | None:
    """The logs of machines as one; a GPU in two logs is one device. None if there are none.

    A log of GPUs that an earlier log covers at the same time is left out.
    """
    devices: dict[str, list[Device]] = {}
    notes: list[str] = []
    merged: list[PowerLog] = []
    for log in (log for log in logs if log.shared):
        if any(_repeats(log, earlier) for earlier in merged):
            notes.append(f"{log.path}: its GPUs are in another log of that time; it is left out")
            continue
        merged.append(log)
        notes += log.notes
        for device in log.devices:
            devices.setdefault(device.name, []).append(device)
    if not merged:
        return None
    joined = [
        Device(name, [trace for device in same for trace in device.traces])
        for name, same in devices.items()
    ]
    return replace(merged[0], devices=joined, notes=notes)


def _repeats(log: PowerLog, earlier: PowerLog) -> bool:
    names = {device.name for device in log.devices}
    common = min(log.end, earlier.end) - max(log.start, earlier.start)
    unique = all(name.startswith("GPU-") for name in names)
    same = unique and names <= {device.name for device in earlier.devices}
    return same and common > 0.5 * (log.end - log.start)


class PowerShare:
    """The energy of a machine, in equal parts for the runs that run at the same time.

    Args:
        log: what the machine drew.
        runs: all runs on it.

    Attributes:
        max_runs: the largest number of runs at the same time.

    Examples:
        >>> from earlycall.readers.power.logs import Trace
        >>> trace = Trace.of_samples([0.0, 10.0], [100.0, 100.0])
        >>> log = PowerLog(Path("p"), "", [Device("0", [trace])], shared=True)
        >>> a, b = (Timeline(np.array([0.0, 6.0]), ((0.0, start),)) for start in (0.0, 4.0))
        >>> share = PowerShare(log, [a, b])
        >>> share.joules(a).tolist(), share.joules(b).tolist(), share.max_runs
        ([0.0, 500.0], [0.0, 500.0], 2)
    """

    def __init__(self, log: PowerLog, runs: Sequence[Timeline]) -> None:
        self.log = log
        spans = np.array([span for run in runs for span in run.intervals]).reshape(-1, 2)
        self._cuts = np.unique(spans)
        starts, ends = np.sort(spans[:, 0]), np.sort(spans[:, 1])
        middle = (self._cuts[:-1] + self._cuts[1:]) / 2
        at_once = np.searchsorted(starts, middle) - np.searchsorted(ends, middle)
        self._part = 1.0 / np.maximum(at_once, 1)
        self._until = log.joules(self._cuts)
        shared = np.diff(self._until) * self._part
        self._so_far = np.concatenate([[0.0], np.cumsum(shared)])
        self.max_runs = int(at_once.max(initial=1))

    def joules(self, run: Timeline) -> Floats:
        """The energy of a run until each of its observations, shape (n,)."""
        return energy_along(run, self._shared)

    def _shared(self, at: Floats) -> Floats:
        i = np.clip(np.searchsorted(self._cuts, at, side="right") - 1, 0, None)
        part = np.append(self._part, 0.0)[i]
        return np.asarray(self._so_far[i] + part * (self.log.joules(at) - self._until[i]))


def energy_along(run: Timeline, joules: Callable[[Floats], Floats]) -> Floats:
    """The energy of a run until each observation, from energies until times of the clock.

    What is drawn in the pause before a restart is not the run's.
    """
    energy, before = np.zeros(len(run.seconds)), 0.0
    for (begin, clock), (start, end) in zip(run.sessions, run.intervals, strict=True):
        rows = run.seconds >= begin
        at = np.concatenate([[start], np.minimum(clock + run.seconds[rows] - begin, end), [end]])
        until = joules(at) - float(joules(np.array([start]))[0])
        energy[rows] = before + until[1:-1]
        before += float(until[-1])
    return np.asarray(np.maximum.accumulate(np.maximum(energy, 0.0)))


def coverage(log: PowerLog, run: Timeline) -> float:
    """The part of a run's time in which power was measured, from 0 to 1."""
    parts = [log.covered(start, end) for start, end in run.intervals]
    lengths = [max(end - start, 1e-9) for start, end in run.intervals]
    return float(np.average(parts, weights=lengths))


def mismatch(log: PowerLog, run: Timeline) -> str:
    """Why a log covers too little of a run, with what may help."""
    if min(log.end, run.end) > max(log.start, run.start):
        return f"power was measured in only {coverage(log, run):.0%} of its time"
    reason = f"it ran {_span(run)}, its power log covers {_span(log)} (UTC)"
    start, end = run.start + ZONE_SHIFTS, run.end + ZONE_SHIFTS
    if ((start >= log.start - 1) & (end <= log.end + 1)).any():
        return f"{reason}; give the time zone in which the power was logged (--zone)"
    return reason


def _span(timed: PowerLog | Timeline) -> str:
    first, last = (datetime.fromtimestamp(t, UTC) for t in (timed.start, timed.end))
    return f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S}"
