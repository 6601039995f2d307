"""Logs that grow: `Follower` reads what is new under some paths and gives the whole set so far.

A log of one run whose format grows at its end (`earlycall.readers.growing`) is read on, and its
observations are put together piece by piece (`Growth`), so that an update takes time in proportion
to what is new. Any other log is read again when its files have changed.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from earlycall.curves import KEYS, CurveSet
from earlycall.curves.cleaning import with_step_name
from earlycall.curves.columns import training_loss, validation_loss
from earlycall.errors import CurveWarning, InputError, NothingYetError
from earlycall.readers import Source, assembled, remote, run_table, sources
from earlycall.readers.growing import DoubtError, Gathering, Tail
from earlycall.readers.log import Log, as_text

Signature = tuple[tuple[str, int, int, int], ...]
PATIENCE = 10  # a log that must be read whole is read again after so many times what it took
SOON = 1.0  # seconds; but what takes less is read whenever it has changed
_SOURCE = "source of the run"  # the column of runs that tells which log a run is from
_RAW = "epoch of the log"


class Follower:
    r"""The runs under one or several paths, kept up to date.

    Logs that appear, grow, are replaced or vanish are noticed at the next `update`. A log that
    cannot be read for a while is named in `broken`, and the rest goes on.

    Args:
        paths: as `earlycall.read` takes them; a folder may still be empty.
        pattern: for plain text logs, as `earlycall.read` takes it.

    Attributes:
        changed: the runs that are new, have grown or are gone since the update before the last.
        broken: for each log that cannot be read now, the sentence that says why.

    Raises:
        InputError: if there is no such file or folder, or the pattern is none.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     follower = Follower(folder)
        ...     log = Path(folder, "a.csv")
        ...     _ = log.write_text("step,train_loss\n1,2.5\n")
        ...     first = follower.update()
        ...     _ = log.write_text("step,train_loss\n1,2.5\n2,1.5\n")
        ...     follower.update().curve("a.csv").loss.tolist(), follower.changed
        ([2.5, 1.5], frozenset({'a.csv'}))
    """

    def __init__(
        self, paths: str | Path | Sequence[str | Path], *, pattern: str | None = None
    ) -> None:
        if isinstance(paths, str | Path):
            paths = [paths]
        if not paths:
            raise InputError("no path was given; name a curve set, a log file or a folder of logs")
        self._places = [Place(Path(path), pattern) for path in paths]
        self._whole = _nothing()
        self._prints: dict[str, tuple[object, ...]] = {}
        self.changed: frozenset[str] = frozenset()
        self.broken: dict[Path, str] = {}

    def update(self) -> CurveSet:
        """The whole set so far: the same object as before if nothing is new.

        As long as no log has an observation, the set has no runs (``len(curves) == 0``).
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CurveWarning)
            new = [place.update() for place in self._places]
            self.changed = frozenset()
            if any(new):
                self._put_together()
            self.broken = {
                path: why for place in self._places for path, why in place.broken.items()
            }
        return self._whole

    def _put_together(self) -> None:
        every: list[Followed] = []
        sets = []
        for place in self._places:
            sets += place.first_rows(len(every))
            every += place.logs
        before = self._prints
        if not sets:
            self._whole, self._prints = _nothing(), {}
            self.changed = frozenset(before)
            return
        short = CurveSet.concat(sets)
        logs = [every[i] for i in short.runs[_SOURCE].to_list()]
        known = CurveSet(short.observations, short.runs.drop(_SOURCE), short.name)
        self._prints = _fingerprints(known, logs)
        self.changed = frozenset(
            run
            for run in before.keys() | self._prints.keys()
            if before.get(run) != self._prints.get(run)
        )
        self._whole = _with_all_rows(known, logs)


def _nothing() -> CurveSet:
    text = pl.String
    observations = {"run_id": pl.UInt32, "step": pl.Float64}
    return CurveSet(
        pl.DataFrame(schema=observations), pl.DataFrame(schema={"group": text, "run": text})
    )


def _fingerprints(curves: CurveSet, logs: list[Followed]) -> dict[str, tuple[object, ...]]:
    """What differs when a run's observations do."""
    rows, runs = curves.observations, curves.runs["run"].to_list()
    whole = [i for i, log in enumerate(logs) if log.growth is None]
    codes = [
        pl.col(c).cast(pl.Float64).hash().filter(pl.col(c).is_not_null()).sum().alias(c)
        for c in rows.columns
        if c != "run_id"
    ]
    some = rows.filter(pl.col("run_id").is_in(whole)) if len(whole) < len(logs) else rows
    found = (
        some.group_by("run_id").agg(codes).select("run_id", pl.sum_horizontal(pl.exclude("run_id")))
    )
    out: dict[str, tuple[object, ...]] = {runs[i]: (code,) for i, code in found.iter_rows()}
    for run, log in zip(runs, logs, strict=True):
        if log.growth is not None:
            out[run] = (id(log.growth), log.growth.additions)
    return out


def _with_all_rows(short: CurveSet, logs: list[Followed]) -> CurveSet:
    """The set with all observations of the logs of which it has the first ones only."""
    if all(log.growth is None for log in logs):
        return short
    rows = short.observations
    starts = np.searchsorted(rows["run_id"].to_numpy(), np.arange(len(logs) + 1)).tolist()
    parts, begun = [rows.clear()], 0
    for run, log in enumerate(logs):
        if log.growth is None:
            continue
        parts.append(rows[begun : starts[run]])
        begun = starts[run + 1]
        parts.append(_named_alike(log.growth.rows(run), rows[starts[run] : begun]))
    parts.append(rows[begun:])
    whole = pl.concat(parts, how="diagonal_relaxed", rechunk=False)
    return CurveSet(whole, short.runs, short.name)


def _named_alike(rows: pl.DataFrame, short: pl.DataFrame) -> pl.DataFrame:
    """The rows with the further name of a loss, if their first ones were given one."""
    given = {}
    for name in ("train_loss", "val_loss"):
        if name in short.columns and name not in rows.columns:
            find = training_loss if name == "train_loss" else validation_loss
            old, _ = find([c for c in rows.columns if c not in KEYS])
            same = old is not None and short[name].cast(pl.Float64).equals(
                short[old].cast(pl.Float64), null_equal=True
            )
            if same and old is not None:
                given[name] = pl.col(old)
    return rows.with_columns(**given)


class Growth:
    """The observations of one run, clean, to which further ones are added.

    Attributes:
        additions: how often some were added.
    """

    def __init__(self) -> None:
        self.additions = 0
        self._parts: list[pl.DataFrame] = []  # in the order of steps, all of one schema
        self._run = 0
        self._fractional = False
        self._first_epoch = 0.0

    def add(self, new: pl.DataFrame) -> None:
        """Take further observations, as a reader gives them.

        Raises:
            DoubtError: if they change what the observations before them mean.
        """
        before = list(self._parts)
        try:
            self._add(with_step_name(new))
        except DoubtError:
            self._parts = before
            raise

    def _add(self, new: pl.DataFrame) -> None:
        if not new.height:
            return
        if "step" not in new.columns or not new.schema["step"].is_numeric():
            raise DoubtError
        step = new["step"]
        if step.null_count() or (step.dtype.is_float() and not step.is_finite().all()):
            raise DoubtError
        steps = step.to_numpy()
        if np.any(steps[1:] <= steps[:-1]) or (self._parts and steps[0] <= self._last_step()):
            new = self._merged(new, steps.min())
        self._append(self._with_epochs(new).with_columns(run_id=self._id()))
        self.additions += 1

    def head(self) -> pl.DataFrame:
        """The first observations, with all columns that were ever logged."""
        return self._whole().head(3).drop("run_id")

    def rows(self, run: int) -> pl.DataFrame:
        """All observations, with the number of the run."""
        if run != self._run:
            self._run = run
            self._parts = [part.with_columns(run_id=self._id()) for part in self._parts]
        return self._whole()

    def _whole(self) -> pl.DataFrame:
        rows = pl.concat(self._parts, how="vertical", rechunk=False)
        empty = [name for name, kind in rows.schema.items() if kind == pl.Null]
        return rows.with_columns(pl.col(empty).cast(pl.Float64)).drop(_RAW, strict=False)

    def _id(self) -> pl.Expr:
        return pl.lit(self._run, dtype=pl.UInt32)

    def _last_step(self) -> float:
        return float(self._parts[-1]["step"][-1])

    def _merged(self, new: pl.DataFrame, first: float) -> pl.DataFrame:
        """What is new, one row a step, with the rows so far that are not before it."""
        again: list[pl.DataFrame] = []
        while self._parts and self._last_step() >= first:
            part = self._parts.pop()
            cut = int(np.searchsorted(part["step"].to_numpy(), first))
            again.insert(0, part[cut:])
            if cut:
                self._parts.append(part[:cut])
        again = [part.drop("run_id") for part in again]
        if again and _RAW in again[0].columns:
            again = [part.drop("epoch").rename({_RAW: "epoch"}) for part in again]
        both = pl.concat([*again, new], how="diagonal_relaxed")
        grouped = both.sort("step", maintain_order=True).group_by("step", maintain_order=True)
        if "epoch" in both.columns:
            several = grouped.agg(pl.col("epoch").drop_nulls().n_unique())["epoch"].max()
            if isinstance(several, int) and several > 1:
                raise DoubtError  # perhaps steps that start anew in each epoch
        rows: pl.DataFrame = grouped.agg(pl.all().drop_nulls().last())
        return rows

    def _with_epochs(self, new: pl.DataFrame) -> pl.DataFrame:
        """Epochs counted from 0, as `earlycall.curves.cleaning` counts those of a whole log."""
        before = self._parts[-1] if self._parts else None
        known = before is not None and _RAW in before.columns
        if "epoch" not in new.columns or not (new["epoch"].count() or known):
            if known:
                new = new.with_columns(epoch=pl.lit(None, dtype=pl.Float64))
            else:
                return new.drop("epoch", strict=False)
        if before is not None and not known:
            raise DoubtError  # the rows before would get epochs, too
        epoch = new["epoch"].cast(pl.Float64).fill_null(strategy="forward")
        if before is not None:
            epoch = epoch.fill_null(before[_RAW][-1])
        epoch = epoch.fill_null(strategy="backward")
        fractional = bool((epoch % 1 != 0).any())
        least = float(epoch.min())  # type: ignore[arg-type]
        if before is None:
            self._fractional, self._first_epoch = fractional, least
        elif fractional > self._fractional or least < self._first_epoch:
            raise DoubtError
        ended, from_zero = (epoch.ceil() - 1).clip(0), epoch - self._first_epoch
        counted = ended if self._fractional else from_zero
        return new.with_columns(counted.alias("epoch"), epoch.alias(_RAW))

    def _append(self, new: pl.DataFrame) -> None:
        """Put rows at the end; a part is joined to the one before it when it is no smaller."""
        if self._parts:
            both = pl.concat([self._parts[-1].clear(), new.clear()], how="diagonal_relaxed")
            if both.schema != self._parts[-1].schema:
                self._parts = [_fitted(part, both) for part in self._parts]
            new = _fitted(new, both)
        self._parts.append(new)
        while len(self._parts) > 1 and self._parts[-2].height <= 2 * self._parts[-1].height:
            last = self._parts.pop()
            self._parts[-1] = pl.concat([self._parts[-1], last], rechunk=True)


def _fitted(part: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """A part with the columns and types of another table."""
    return pl.concat([like, part], how="diagonal_relaxed", rechunk=False)


class Followed:
    """A log: read on where its reader can, else read again when its files have changed.

    Attributes:
        growth: its one run, where it is read on.
        log: what it holds, where it is read again.
        broken: why it cannot be read now.
    """

    def __init__(self) -> None:
        self.growth: Growth | None = None
        self.log: Log | None = None
        self.broken: str | None = None
        self._tail: Tail | None = None
        self._gathering: Gathering | None = None
        self._runs: pl.DataFrame | None = None
        self._again = False  # it must be read again as a whole
        self._signature: Signature = ()
        self._wait_until = 0.0

    def update(self, source: Source) -> bool:
        """Whether the log holds something else than before."""
        if not self._again:
            try:
                return self._read_on(source)
            except OSError as error:
                self.broken = f"{source.path}: cannot be read: {error.strerror or error}"
                return False
            except DoubtError:
                self._again = True
        return self._read_again(source)

    def known(self) -> Log | None:
        """All that it holds or, where it is read on, its first observations."""
        if self.growth is None or self._tail is None:
            return self.log
        head = self.growth.head()
        if self._runs is not None and "run" in self._runs.columns:
            head = head.with_columns(run=pl.lit(self._runs["run"][0]))  # as the log calls it
        return Log(head, self._runs)

    def _read_on(self, source: Source) -> bool:
        if self._tail is None:
            self._tail = _begun(source)
        try:
            grown = self._take(self._tail, self.growth or Growth())
            return self._told_else() or grown
        except DoubtError:
            if self.growth is None:
                raise
        if not self._take(_begun(source), Growth()):  # from the beginning
            self.growth = self._tail = None
        self._told_else()
        return True

    def _take(self, tail: Tail, growth: Growth) -> bool:
        """Add what a tail gives; only when all of it fits, it is what the log holds."""
        before = growth.additions
        try:
            while (new := tail.more()) is not None:
                growth.add(new)
        except (InputError, pl.exceptions.PolarsError) as error:
            raise DoubtError from error
        if growth.additions == before:
            return False
        self._tail, self.growth, self.log, self.broken = tail, growth, None, None
        return True

    def _told_else(self) -> bool:
        """Whether something else is known of the run than before."""
        before = self._runs
        self._runs = None if self.growth is None or self._tail is None else self._tail.runs()
        if before is None or self._runs is None:
            return before is not self._runs
        return not self._runs.equals(before)

    def _read_again(self, source: Source) -> bool:
        begun = time.monotonic()
        signature = _signature(source.path)
        if signature == self._signature or begun < self._wait_until:
            return False
        self._signature = signature
        try:
            return self._take_whole(source)
        except InputError as error:
            self.broken = str(error)  # what was read before it broke stands
            return False
        finally:
            spent = time.monotonic() - begun
            self._wait_until = begun + (PATIENCE * spent if spent > SOON else 0)

    def _take_whole(self, source: Source) -> bool:
        had = self.known() is not None
        try:
            log = self._gathered(source)
            if log.observations.height:
                assembled([(source.run, log)], None, source.run)  # each log must be sound alone
        except NothingYetError:
            log = None
        # Once it is sound again, or has anything, it may be read on.
        self._again = self.broken is None and log is not None
        self.growth = self._tail = self.broken = None
        self.log = log
        return had or log is not None

    def _gathered(self, source: Source) -> Log:
        """All of the log, of which only what is new is read where its reader knows how."""
        for way in (self._gathering, source.gathering()):
            if way is None:
                continue
            try:
                log = way.log()
            except NothingYetError:
                self._gathering = way
                raise
            except (DoubtError, InputError, OSError):
                continue
            self._gathering = way
            return log
        self._gathering = None
        return source.log()


def _begun(source: Source) -> Tail:
    tail = source.tail()
    if tail is None:
        raise DoubtError
    return tail


class Place:
    """What is known of one path.

    Attributes:
        logs: the logs there that have observations.
        broken: the logs that cannot be read now, and why.
    """

    def __init__(self, path: Path, pattern: str | None) -> None:
        if not remote.is_address(path) and not path.exists():
            raise InputError(f"{path}: no such file or folder")
        self.path, self.pattern = path, pattern
        self.logs: list[Followed] = []
        self.broken: dict[Path, str] = {}
        self._followed: dict[tuple[str, Path, str], Followed] = {}
        self._told: Signature = ()

    def update(self) -> bool:
        """Whether anything is new."""
        self.broken = {}
        now = {(source.run, source.path, source.kind): source for source in self._sources()}
        changed = bool(self._followed.keys() - now.keys())
        self._followed = {key: self._followed.get(key) or Followed() for key in now}
        for key, source in now.items():
            log = self._followed[key]
            changed |= log.update(source)
            if log.broken is not None:
                self.broken[source.path] = log.broken
        told = _signature(*(self.path / name for name in ("runs.parquet", "runs.csv")))
        changed |= told != self._told
        self._told = told
        return changed

    def first_rows(self, number: int) -> list[CurveSet]:
        """The runs there, with the first observations of those that are read on; none, or one set.

        Args:
            number: of the first of `logs`; a column of the runs tells which each is from.
        """
        found = [(key[0], log, log.known()) for key, log in self._followed.items()]
        logs = [(run, log, held) for run, log, held in found if held is not None]
        self.logs = [log for _, log, _ in logs]
        if not logs:
            return []
        try:
            told = None if remote.is_address(self.path) else run_table(self.path)
            curves = assembled([(run, held) for run, _, held in logs], told, self._name())
        except InputError as error:
            self.broken[self.path] = str(error)
            return []
        numbers = {run: number + i for i, (run, _, _) in enumerate(logs)}
        only = number if len(logs) == 1 else None
        of = [_log_of(run, numbers) if only is None else only for run in curves.runs["run"]]
        runs = curves.runs.with_columns(pl.Series(_SOURCE, of, dtype=pl.Int64))
        return [CurveSet(curves.observations, runs, curves.name)]

    def _name(self) -> str:
        if remote.is_address(self.path):
            return str(self.path).rpartition("/")[2]
        return as_text(self.path.resolve().name)

    def _sources(self) -> list[Source]:
        if remote.is_address(self.path):
            address = str(self.path)
            return [Source(address, self.path, lambda: remote.load(address))]
        try:
            return sources(self.path, self.pattern)
        except (InputError, OSError) as error:
            if not (self.path.is_dir() and not any(_files(self.path))):
                self.broken[self.path] = str(error)
            return []


def _log_of(run: str, numbers: dict[str, int]) -> int:
    """The log that a run is from, by its name: the log's own, or one that begins with it."""
    while run not in numbers and "/" in run:
        run = run.rpartition("/")[0]
    return numbers[run]


def _signature(*paths: Path) -> Signature:
    """What changes when files are written: sizes, times and places of all below the paths."""
    if any(map(remote.is_address, paths)):
        return (("", 0, time.monotonic_ns(), 0),)  # it cannot be told from here
    found = []
    for path in paths:
        beside = (path.with_name(path.name + end) for end in ("", "-wal"))
        for file in _files(path) if path.is_dir() else beside:
            try:
                stat = file.stat()
            except OSError:
                continue
            found.append((str(file), stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(sorted(found))


def _files(folder: Path) -> Iterator[Path]:
    for where, _, files in os.walk(folder):
        yield from (Path(where, file) for file in files)
