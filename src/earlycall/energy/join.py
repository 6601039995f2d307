"""Joules and money beside each observation, from power logs joined by the clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earlycall.curves import CurveSet
from earlycall.energy.sharing import (
    MIN_COVERAGE,
    PowerShare,
    coverage,
    energy_along,
    logs_by_home,
    merge_machines,
    mismatch,
    nearest_logs,
    own_log,
)
from earlycall.energy.timeline import Timeline, evenly_spaced, seconds_of, timeline
from earlycall.errors import EmptyLogError, InputError
from earlycall.readers import read
from earlycall.readers.assembly import together
from earlycall.readers.discovery import sources
from earlycall.readers.power.logs import PowerLog, load, power_logs, zone_of
from earlycall.readers.power.trace import KWH

Floats = NDArray[np.float64]
Paths = str | Path | Sequence[str | Path]
_SCHEMA = pl.Schema({
    "group": pl.String, "run": pl.String, "source": pl.String, "covered": pl.Float64,
    "estimated": pl.Boolean, "seconds": pl.Float64, "reason": pl.String,
})  # fmt: skip


@dataclass(frozen=True)
class EnergyTable:
    """Runs with their energy, as far as it is known.

    Attributes:
        curves: the runs; those with known energy have ``joules`` (and ``usd``, if a price was
            given) beside each observation.
        table: a row per run: ``source`` (where the joules come from, null if there are none),
            ``covered`` (the part of its time in which power was measured), ``estimated`` (whether
            they were estimated rather than counted), ``seconds`` (how long it ran, null if
            unknown) and ``reason`` (why there are no joules).
        notes: sentences on what was assumed.
        carbon: grams of CO2e per kWh, if a power log says so.
    """

    curves: CurveSet
    table: pl.DataFrame
    notes: tuple[str, ...] = ()
    carbon: float | None = None

    @property
    def measured(self) -> CurveSet:
        """Only the runs with known energy.

        Raises:
            InputError: if there are none, with the reason.
        """
        known = self.table["source"].is_not_null()
        if not known.any():
            reasons = self.table["reason"].drop_nulls()
            reason = reasons[0] if len(reasons) else f"{_NO_LOG} the runs{_NAME_ONE}"
            raise InputError(f"{self.curves.name or 'the runs'}: no energy is known: {reason}")
        return self.curves.filter(known)

    def priced(self, price: float | None) -> EnergyTable:
        """The same with ``usd`` beside the joules, at a price per kWh.

        Raises:
            InputError: if the price is negative or not finite.
        """
        check_not_negative(price, "price of a kWh")
        if price is None or "joules" not in self.curves.observations.columns:
            return self
        usd = pl.col("joules") * (price / KWH)
        rows = self.curves.observations.with_columns(usd=usd)
        return replace(self, curves=replace(self.curves, observations=rows))


_NO_LOG, _NAME_ONE = "no power log was found beside", "; name one by --power"


def with_energy(
    paths: Paths,
    *,
    power: Paths | None = None,
    price: float | None = None,
    power_offset: float | None = None,
    zone: str | None = None,
    pattern: str | None = None,
) -> EnergyTable:
    """Read runs together with their energy from power logs.

    Logs of nvidia-smi, CodeCarbon and Zeus beside the runs are recognised by their content. A log
    is for the runs of its folder and below; the nearest log counts. Runs on one machine at the
    same time share its power equally. Logs of CodeCarbon and Zeus belong to one run each: the one
    whose time agrees best. A run that logged ``joules`` itself keeps them.

    Args:
        paths: as in `earlycall.read`.
        power: power logs or folders of them for all runs, instead of those beside the runs.
        price: price per kWh; adds ``usd`` (in the currency of the price).
        power_offset: seconds from the start of the power log to that of a run whose own log does
            not say when it started.
        zone: the time zone of the power log, by default this machine's.
        pattern: as in `earlycall.read`.

    Raises:
        InputError: if a path, a power log or an argument cannot be used.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     curves = {"step": [1, 2], "loss": [2.5, 1.5], "seconds": [10, 20]}
        ...     pl.DataFrame(curves).write_csv(Path(folder, "a.csv"))
        ...     power = {"timestamp": ["2026/01/01 00:00:00", "2026/01/01 00:00:20"],
        ...              "power.draw [W]": ["100 W", "100 W"]}
        ...     pl.DataFrame(power).write_csv(Path(folder, "power.csv"))
        ...     with_energy(folder).curves.observations["joules"].to_list()
        [1000.0, 2000.0]
    """
    check_not_negative(price, "price of a kWh")
    power_zone = zone_of(zone)
    named = None if power is None else _named_logs(_as_list(power), power_zone)
    parts = [_of_path(path, named, power_offset, power_zone, pattern) for path in _as_list(paths)]
    curves = together([part.curves for part in parts])
    table = pl.concat([part.table for part in parts])
    if table.select("group", "run").is_duplicated().any():  # as CurveSet.concat names them
        names = [part.curves.name for part in parts for _ in range(part.table.height)]
        table = table.with_columns(run=pl.format("{}/{}", pl.Series(names), "run"))
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    carbon = next((part.carbon for part in parts if part.carbon is not None), None)
    return EnergyTable(curves, table.sort("group", "run"), notes, carbon).priced(price)


def recorded_energy(curves: CurveSet) -> EnergyTable:
    """Runs with the ``joules`` that they logged themselves."""
    runs = _runs(curves, [[]] * len(curves), recorded=True)
    for run in runs:
        run.reason = None if run.source else "it logged no joules"
    return _table(curves, runs, [])


def check_not_negative(number: float | None, what: str) -> None:
    """Raise an `InputError` about a price or the like that is negative or not finite."""
    if number is not None and not 0 <= number < np.inf:
        raise InputError(f"a {what} of {number:g} cannot be used; give a number of at least 0")


def _as_list(paths: Paths) -> list[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _named_logs(paths: Sequence[str | Path], zone: tzinfo | None) -> list[PowerLog]:
    logs: list[PowerLog] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        files = list(power_logs(path)) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: no power log in this folder")
        logs += [log for file in files for log in load(file, zone)]
    return logs


def _of_path(
    path: str | Path, named: list[PowerLog] | None, offset: float | None, zone: tzinfo | None,
    pattern: str | None,
) -> EnergyTable:  # fmt: skip
    curves = read(path, pattern=pattern)
    logs = [named or []] * len(curves)
    notes: list[str] = []
    if named is None and Path(path).exists():
        homes = _homes(Path(path), pattern, curves.runs["run"].to_list())
        by_home = logs_by_home(_logs_beside(Path(path), zone, notes), homes)
        logs = [nearest_logs(home, by_home) for home in homes]
    return _join(curves, _runs(curves, logs, recorded=named is None), offset, notes)


def _homes(path: Path, pattern: str | None, runs: list[str]) -> list[Path | None]:
    """The folder in which the log of each run lies."""
    folders = {
        source.run: (source.path if source.path.is_dir() else source.path.parent).resolve()
        for source in sources(path, pattern)
    }
    only = next(iter(folders.values())) if len(folders) == 1 else None
    homes: list[Path | None] = []
    for run in runs:
        parts = run.split("/")
        prefixes = ("/".join(parts[:n]) for n in range(len(parts), 0, -1))
        homes.append(next((folders[name] for name in prefixes if name in folders), only))
    return homes


def _logs_beside(path: Path, zone: tzinfo | None, notes: list[str]) -> list[PowerLog]:
    """The power logs below a folder, or beside a file; one that cannot be read is noted."""
    files = list(power_logs(path if path.is_dir() else path.parent))
    if path.is_file():
        files = [file for file in files if file.parent == path.parent]
    logs: list[PowerLog] = []
    for file in files:
        try:
            logs += load(file, zone)
        except EmptyLogError:
            continue
        except InputError as error:
            notes.append(str(error))
    return logs


@dataclass
class _Run:
    """A run that is being joined with its power logs."""

    row: dict[str, Any]
    observations: pl.DataFrame
    logs: list[PowerLog]
    timeline: Timeline | None = None
    joules: Floats | None = None
    source: str | None = None
    covered: float | None = None
    estimated: bool | None = None
    reason: str | None = None

    @property
    def log_ids(self) -> tuple[int, ...]:
        return tuple(id(log) for log in self.logs)

    @property
    def seconds(self) -> float | None:
        if self.timeline is not None:
            return self.timeline.duration
        seconds = seconds_of(self.observations)
        return None if seconds is None or not len(seconds) else float(seconds[-1])

    def take(self, log: PowerLog, run: Timeline, joules: Floats) -> None:
        """The energy from a log, unless that covers too little of the run."""
        part = coverage(log, run)
        if part < MIN_COVERAGE:
            self.reason = mismatch(log, run)
            return
        self.joules, self.covered = joules, part
        self.source, self.estimated = log.kind, log.estimated

    def assumptions(self) -> list[str]:
        notes = []
        if self.source is not None and self.timeline is not None:
            if self.timeline.assumption is not None:
                notes.append(self.timeline.assumption)
            if self.covered is not None and self.covered < 0.99:
                notes.append(
                    f"power was measured in {self.covered:.0%} of its time; the rest is assumed "
                    "from the power next to it"
                )
        return [f"run {self.row['run']!r}: {note}" for note in notes]


def _runs(curves: CurveSet, logs: Sequence[list[PowerLog]], *, recorded: bool) -> list[_Run]:
    """The runs of a set with their logs, and where ``recorded`` with joules of their own."""
    tables = curves.observations.partition_by("run_id", as_dict=True, maintain_order=True)
    runs = []
    for i, row in enumerate(curves.runs.iter_rows(named=True)):
        run = _Run(row, tables.get((i,), curves.observations.clear()), logs[i])
        if recorded and "joules" in run.observations.columns:
            joules = run.observations["joules"].cast(pl.Float64)
            if joules.count():
                run.joules, run.source = joules.to_numpy(), "recorded"
        runs.append(run)
    return runs


def _join(
    curves: CurveSet, runs: list[_Run], offset: float | None, notes: list[str]
) -> EnergyTable:
    """The energy of each run of a set from its logs."""
    users = Counter(run.log_ids for run in runs)
    for run in runs:
        if run.source is not None:
            continue
        if not run.logs:
            run.reason = f"{_NO_LOG} it{_NAME_ONE}"
            continue
        run.timeline = _placed(run, offset, alone=users[run.log_ids] == 1)
        if run.timeline is not None and (log := own_log(run.logs, run.timeline)) is not None:
            run.take(log, run.timeline, energy_along(run.timeline, log.joules))
            notes += log.notes
    _share_machines(runs, notes)
    notes += [note for run in runs for note in run.assumptions()]
    return _table(curves, runs, notes)


def _placed(run: _Run, offset: float | None, *, alone: bool) -> Timeline | None:
    """A run on the clock of its power log; by assumption if its own log has no clock."""
    found = timeline(run.observations, run.row)
    if found is not None:
        return found
    if not run.observations.height:
        run.reason = "it has no observation"
        return None
    if offset is None and not alone:
        run.reason = "its log does not say when it started; give --power-offset"
        return None
    start = min(log.start for log in run.logs) + (offset or 0.0)
    seconds = seconds_of(run.observations)
    if seconds is None:
        return evenly_spaced(run.observations, start, max(log.end for log in run.logs))
    assumption = (
        f"its log does not say when it started: {offset or 0:g} s after the power log is assumed"
    )
    return Timeline(seconds, ((0.0, start),), assumption)


def _share_machines(runs: list[_Run], notes: list[str]) -> None:
    """The energy of runs from the logs of machines, shared where they ran at once."""
    users_of_logs: dict[tuple[int, ...], list[tuple[_Run, Timeline]]] = {}
    for run in runs:
        if run.timeline is not None and run.joules is None:
            users_of_logs.setdefault(run.log_ids, []).append((run, run.timeline))
    for users in users_of_logs.values():
        logs = users[0][0].logs
        log = merge_machines(logs)
        if log is None:
            for run, times in users:
                run.reason = run.reason or mismatch(logs[0], times)
            continue
        share = PowerShare(log, [times for _, times in users])
        for run, times in users:
            run.take(log, times, share.joules(times))
        notes += log.notes
        if share.max_runs > 1:
            notes.append(
                f"{log.path}: up to {share.max_runs} runs ran at the same time; each is given an "
                "equal part of the power"
            )


def _table(curves: CurveSet, runs: Sequence[_Run], notes: list[str]) -> EnergyTable:
    """What was found of each run, with its joules beside the observations (null if unknown)."""
    table = pl.DataFrame(
        [
            (run.row["group"], run.row["run"], run.source, run.covered, run.estimated, run.seconds,
             run.reason)
            for run in runs
        ],
        schema=_SCHEMA, orient="row",
    )  # fmt: skip
    if any(run.joules is not None for run in runs):
        columns = [
            pl.Series([None] * run.observations.height, dtype=pl.Float64)
            if run.joules is None
            else pl.Series(run.joules, dtype=pl.Float64, nan_to_null=True)
            for run in runs
        ]
        rows = curves.observations.with_columns(joules=pl.concat(columns))
        curves = replace(curves, observations=rows)
    carbon = next((log.carbon for run in runs for log in run.logs if log.carbon is not None), None)
    return EnergyTable(curves, table, tuple(notes), carbon)
