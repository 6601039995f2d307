"""Joules and money beside each observation, from power logs, joined by the clock."""

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
    LEAST,
    Placed,
    Share,
    apart,
    covered,
    energy_of,
    nearest,
    own,
    placed,
    together,
)
from earlycall.energy.timeline import Clocked, clocked, seconds_of, spread
from earlycall.errors import EmptyLogError, InputError
from earlycall.readers import read
from earlycall.readers.discovery import sources
from earlycall.readers.power.logs import PowerLog, load, power_logs, zone_of

KWH = 3.6e6  # joules
Floats = NDArray[np.float64]
Paths = str | Path | Sequence[str | Path]
_FACTS = pl.Schema({
    "group": pl.String, "run": pl.String, "source": pl.String, "covered": pl.Float64,
    "estimated": pl.Boolean, "seconds": pl.Float64, "reason": pl.String,
})  # fmt: skip


@dataclass(frozen=True)
class Joined:
    """Runs with the energy that is known of them.

    Attributes:
        curves: the runs; those whose energy is known have ``joules`` (and ``usd``, where a price
            was given) beside each observation.
        facts: a row per run: ``source`` (what the joules come from, null where none are known),
            ``covered`` (the part of its time in which power was measured), ``estimated`` (whether
            they were estimated rather than counted), ``seconds`` (how long it ran, null where
            that is not known) and ``reason`` (why no joules are known).
        notes: sentences on what was assumed.
        carbon: grams of CO2e per kWh, where a power log says so.
    """

    curves: CurveSet
    facts: pl.DataFrame
    notes: tuple[str, ...] = ()
    carbon: float | None = None

    @property
    def measured(self) -> CurveSet:
        """Only the runs whose energy is known.

        Raises:
            InputError: if it is known of none, with the reason.
        """
        known = self.facts["source"].is_not_null()
        if not known.any():
            reason = self.facts["reason"].drop_nulls()
            said = (
                reason[0]
                if len(reason)
                else "no power log was found beside the runs; name one by --power"
            )
            raise InputError(f"{self.curves.name or 'the runs'}: no energy is known: {said}")
        if known.all():
            return self.curves
        keep = self.facts.filter(known).select("group", "run")
        numbered = self.curves.runs.with_row_index("run_id")
        ids = numbered.join(keep, on=["group", "run"], how="semi", maintain_order="left")
        new = ids.select("run_id").with_row_index("new")
        rows = self.curves.observations.join(new, on="run_id", maintain_order="left")
        rows = rows.with_columns(run_id=pl.col("new")).drop("new")
        return replace(self.curves, observations=rows, runs=ids.drop("run_id"))


def with_energy(
    paths: Paths,
    *,
    power: Paths | None = None,
    price: float | None = None,
    offset: float | None = None,
    zone: str | None = None,
    pattern: str | None = None,
) -> Joined:
    """Read runs, with the energy that power logs know of them.

    Logs of nvidia-smi, CodeCarbon and Zeus beside the runs are found by what they hold: a log is
    for the runs of its folder and below, and of several the nearest counts. Runs on one machine at
    the same time share its power in equal parts. CodeCarbon's and Zeus's logs are of one run each:
    the one whose time agrees best. A run that logged ``joules`` itself keeps them.

    Args:
        paths: as in `earlycall.read`.
        power: power logs or folders of them, for all runs; instead of those beside the runs.
        price: of a kWh; adds ``usd`` (in whatever currency the price is).
        offset: seconds from the start of the power log to the start of a run whose log does not
            say when it started.
        zone: the time zone in which power was logged, by default this machine's.
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
    _checked(price, "price of a kWh")
    where = zone_of(zone)
    given = None if power is None else _given(_listed(power), where)
    parts = [_of_path(path, given, offset, where, pattern) for path in _listed(paths)]
    curves = _priced(CurveSet.concat([part.curves for part in parts]), price)
    facts = pl.concat([part.facts for part in parts]).with_columns(
        curves.runs.select("group", "run") if len(parts) == 1 else _keys_of(curves, parts)
    )
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    carbon = next((part.carbon for part in parts if part.carbon is not None), None)
    return Joined(curves, facts.sort("group", "run"), notes, carbon)


def _keys_of(curves: CurveSet, parts: Sequence[Joined]) -> pl.DataFrame:
    """The names that the runs of several sets have in one."""
    keys = pl.concat([part.facts.select("group", "run") for part in parts])
    if keys.height == keys.unique().height:
        return keys
    names = [name for part in parts for name in [part.curves.name] * part.facts.height]
    return keys.with_columns(run=pl.format("{}/{}", pl.Series(names), "run"))


def _listed(paths: Paths) -> list[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _checked(number: float | None, what: str) -> None:
    if number is not None and not 0 <= number < np.inf:
        raise InputError(f"a {what} of {number:g} cannot be used; give a number of at least 0")


def _given(paths: Sequence[str | Path], zone: tzinfo | None) -> list[PowerLog]:
    """The power logs that were named.

    Raises:
        InputError: if one is missing or none is there.
    """
    out: list[PowerLog] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        files = list(power_logs(path)) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: no power log in this folder")
        out += [log for file in files for log in load(file, zone)]
    return out


def _of_path(
    path: str | Path, given: list[PowerLog] | None, offset: float | None, zone: tzinfo | None,
    pattern: str | None,
) -> Joined:  # fmt: skip
    curves = read(path, pattern=pattern)
    local = Path(path)
    homes: list[Path | None] = [None] * len(curves)
    notes: list[str] = []
    if given is None and local.exists():
        homes = _homes(local, pattern, curves.runs["run"].to_list())
        logs = _beside(local, zone, notes)
        around = placed(logs, [home for home in homes if home is not None])
    else:
        around = [Placed(log, None) for log in given or []]
    supplies = [nearest(home, around) for home in homes]
    return _join(curves, supplies, offset, recorded=given is None, notes=notes)


def _homes(path: Path, pattern: str | None, runs: list[str]) -> list[Path | None]:
    """The folder in which the log of each run lies."""
    found = {
        source.run: (source.path if source.path.is_dir() else source.path.parent).resolve()
        for source in sources(path, pattern)
    }
    only = next(iter(found.values())) if len(found) == 1 else None
    out: list[Path | None] = []
    for run in runs:
        parts = run.split("/")
        heads = ("/".join(parts[:n]) for n in range(len(parts), 0, -1))
        out.append(next((found[head] for head in heads if head in found), only))
    return out


def _beside(path: Path, zone: tzinfo | None, notes: list[str]) -> list[PowerLog]:
    """The power logs below a folder, or beside a file; one that cannot be read is named."""
    folder = path if path.is_dir() else path.parent
    files = list(power_logs(folder))
    if path.is_file():
        files = [file for file in files if file.parent == folder]
    out: list[PowerLog] = []
    for file in files:
        try:
            out += load(file, zone)
        except EmptyLogError:
            continue
        except InputError as error:
            notes.append(str(error))
    return out


@dataclass
class _Run:
    """A run that is being joined."""

    name: str
    rows: pl.DataFrame
    logs: list[PowerLog]
    known: dict[str, Any]
    clock: Clocked | None = None
    joules: Floats | None = None
    source: str | None = None
    covered: float | None = None
    estimated: bool | None = None
    reason: str | None = None

    @property
    def key(self) -> tuple[int, ...]:
        """Tells which runs have the same logs."""
        return tuple(id(log) for log in self.logs)

    @property
    def seconds(self) -> float | None:
        """How long it ran, None where that is not known."""
        if self.clock is not None:
            return self.clock.lasted
        found = seconds_of(self.rows)
        return None if found is None or not len(found) else float(found[-1])

    def take(self, log: PowerLog, clock: Clocked, joules: Floats) -> None:
        """The energy from a log, unless that says too little of the run."""
        part = covered(log, clock)
        if part < LEAST:
            self.reason = apart(log, clock)
            return
        self.joules, self.covered = joules, part
        self.source, self.estimated = log.kind, log.estimated


def _join(
    curves: CurveSet,
    supplies: Sequence[list[PowerLog]],
    offset: float | None,
    *,
    recorded: bool,
    notes: list[str],
) -> Joined:
    """The energy of each run of a set from the logs that are for it."""
    tables = curves.observations.partition_by("run_id", as_dict=True, maintain_order=True)
    runs = []
    for i, (known, logs) in enumerate(
        zip(curves.runs.iter_rows(named=True), supplies, strict=True)
    ):
        rows = tables.get((i,), curves.observations.clear())
        runs.append(_Run(known["run"], rows, logs, known))
    users = Counter(run.key for run in runs)
    for run in runs:
        if recorded and "joules" in run.rows.columns and run.rows["joules"].count():
            run.joules, run.source = run.rows["joules"].cast(pl.Float64).to_numpy(), "recorded"
        elif not run.logs:
            run.reason = "no power log was found beside it; name one by --power"
        else:
            run.clock = _on_the_clock(run, offset, alone=users[run.key] == 1)
    for run in runs:
        if run.clock is not None and (log := own(run.logs, run.clock)) is not None:
            run.take(log, run.clock, energy_of(run.clock, log.joules))
            notes += log.notes
    _from_machines(runs, notes)
    notes += _words(runs)
    carbon = next((log.carbon for run in runs for log in run.logs if log.carbon is not None), None)
    keys = curves.runs.select("group", "run")
    facts = keys.with_columns(
        source=pl.Series([run.source for run in runs], dtype=pl.String),
        covered=pl.Series([run.covered for run in runs], dtype=pl.Float64),
        estimated=pl.Series([run.estimated for run in runs], dtype=pl.Boolean),
        seconds=pl.Series([run.seconds for run in runs], dtype=pl.Float64),
        reason=pl.Series([run.reason for run in runs], dtype=pl.String),
    ).select(pl.col(name).cast(kind) for name, kind in _FACTS.items())
    return Joined(_with_joules(curves, runs), facts, tuple(notes), carbon)


def _on_the_clock(run: _Run, offset: float | None, *, alone: bool) -> Clocked | None:
    """A run on the clock of its power log; by assumption where its own log knows no clock."""
    found = clocked(run.rows, run.known)
    if found is not None:
        return found
    if not run.rows.height:
        run.reason = "it has no observation"
        return None
    if offset is None and not alone:
        run.reason = "its log does not say when it started; give --power-offset"
        return None
    start = min(log.start for log in run.logs) + (offset or 0.0)
    seconds = seconds_of(run.rows)
    if seconds is None:
        return spread(run.rows, start, max(log.end for log in run.logs))
    said = f"its log does not say when it started: {offset or 0:g} s after the power log is assumed"
    return Clocked(seconds, ((0.0, start),), said)


def _from_machines(runs: list[_Run], notes: list[str]) -> None:
    """The energy of runs from the logs of machines, shared where they ran at once."""
    shares: dict[tuple[int, ...], list[tuple[_Run, Clocked]]] = {}
    for run in runs:
        if run.clock is not None and run.joules is None:
            shares.setdefault(run.key, []).append((run, run.clock))
    for users in shares.values():
        logs = users[0][0].logs
        log = together(logs)
        if log is None:
            for run, clock in users:
                run.reason = run.reason or apart(logs[0], clock)
            continue
        share = Share(log, [clock for _, clock in users])
        for run, clock in users:
            run.take(log, clock, share.joules(clock))
        notes += log.notes
        if share.most > 1:
            notes.append(
                f"{log.path}: up to {share.most} runs ran at the same time; each is given an equal "
                "part of the power"
            )


def _words(runs: list[_Run]) -> list[str]:
    """Sentences on what was assumed of single runs."""
    notes = []
    for run in runs:
        if run.source is None or run.clock is None:
            continue
        if run.clock.assumed is not None:
            notes.append(f"run {run.name!r}: {run.clock.assumed}")
        if run.covered is not None and run.covered < 0.99:
            notes.append(
                f"run {run.name!r}: power was measured in {run.covered:.0%} of its time; the rest "
                "is assumed from the power next to it"
            )
    return notes


def _with_joules(curves: CurveSet, runs: Sequence[_Run]) -> CurveSet:
    """The curves with the runs' energies; a run without keeps nulls."""
    if all(run.joules is None for run in runs):
        return curves
    parts = [
        pl.Series([None] * run.rows.height, dtype=pl.Float64)
        if run.joules is None
        else pl.Series(run.joules, dtype=pl.Float64, nan_to_null=True)
        for run in runs
    ]
    return replace(curves, observations=curves.observations.with_columns(joules=pl.concat(parts)))


def _priced(curves: CurveSet, price: float | None) -> CurveSet:
    """The curves with money, where there is a price and energy."""
    if price is None or "joules" not in curves.observations.columns:
        return curves
    priced = curves.observations.with_columns(usd=pl.col("joules") * (price / KWH))
    return replace(curves, observations=priced)
