"""One log, and one path with the logs under it, as they grow."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import InputError, NothingYetError
from earlycall.readers import remote
from earlycall.readers.assembly import assembled, run_table
from earlycall.readers.base.log import Log, as_text
from earlycall.readers.discovery import Source, sources
from earlycall.readers.growing.growth import Growth
from earlycall.readers.growing.tails import DoubtError, Gathering, Tail

Signature = tuple[tuple[str, int, int, int], ...]
PATIENCE = 10  # a log that must be read whole is read again after so many times what it took
SOON = 1.0  # seconds; but what takes less is read whenever it has changed
SOURCE = "source of the run"  # the column of runs that tells which log a run is from


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
        runs = curves.runs.with_columns(pl.Series(SOURCE, of, dtype=pl.Int64))
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
