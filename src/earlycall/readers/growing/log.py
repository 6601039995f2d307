"""One log, and one path with the logs under it, read once or again and again as they grow."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import polars as pl

from earlycall.curves import CurveSet
from earlycall.curves.cleaning import Observations, RereadRequiredError
from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.address import is_address
from earlycall.readers.assembly import assembled
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import Log, concat_sparse
from earlycall.readers.beside import Facts
from earlycall.readers.discovery import Source, sources
from earlycall.readers.formats.curve_set import RUN_TABLES
from earlycall.readers.mirror import mirror_of
from earlycall.readers.trainings import VERSION, CleanLog

Signature = tuple[tuple[str, int, int, int], ...]
REREAD_INTERVAL = 10  # times what a whole reading took, before the log is read whole again
MAX_FREE_SECONDS = 1.0  # a log that takes less is read whenever it has changed
_VERSIONS = count()


class FollowedLog:
    """The clean observations of a log, to which each reading adds what is new.

    Args:
        source: the log.

    Attributes:
        source: the log.
        broken: why it cannot be read now.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.broken: str | None = None
        self._state: State = {}
        self._facts = Facts()
        self._rows: Observations | None = None
        self._settings: pl.DataFrame | None = None
        self._names_runs = False
        self._together: pl.DataFrame | None = None  # all as logged, if only clean together
        self._version: int | None = None
        self._signature: Signature = ()
        self._wait_until = 0.0

    def update(self) -> bool:
        """Read what is new, if the files have changed; whether the log holds something else now."""
        begun = time.monotonic()
        signature = _signature(self.source.path)
        said = self._facts.update(self.source.beside)
        if signature == self._signature or begun < self._wait_until:
            return said
        self._signature, self.broken = signature, None
        had = self._rows is not None
        try:
            return self.read() or said
        except EmptyLogError:
            self._rows = self._settings = self._together = None
            return had
        except InputError as error:
            self.broken = str(error)  # what was read before it broke stands
            return said
        finally:
            spent = time.monotonic() - begun
            is_slow = spent > MAX_FREE_SECONDS and (not self._state or self._together is not None)
            self._wait_until = begun + (REREAD_INTERVAL * spent if is_slow else 0)

    def read(self) -> bool:
        """Read what is new; whether the log holds something else now.

        Raises:
            InputError: naming the place in the log that cannot be read.
        """
        self._facts.update(self.source.beside)
        try:
            return self._add(list(self.source.parts(self._state)))
        except (RereadRequiredError, pl.exceptions.PolarsError):
            return self._reload()
        except InputError:
            self._state = {}
            raise

    def clean(self, *, versions: bool = False) -> CleanLog | None:
        """What the log holds, None while that is nothing.

        Args:
            versions: add a column to the keys that changes when the run's observations do.
        """
        if self._rows is None:
            return None
        keys, names_runs = self._rows.named(), self._names_runs
        runs = self._facts.joined(self._settings, self._rows, named=names_runs)
        if not names_runs and runs is not None and "run" in runs.columns and runs.height:
            keys, names_runs = keys.with_columns(run=pl.lit(runs["run"][0])), True
        if versions:
            keys = keys.with_columns(self._versions().alias(VERSION))
        return CleanLog(
            self.source.run, self._rows, keys, runs, names_runs,
            self.source.path, self.source.reader.NAME,
        )  # fmt: skip

    def _reload(self) -> bool:
        """Read all of it again; from now on all of it is cleaned together."""
        self._state, self._together = {}, pl.DataFrame()
        try:
            return self._add(list(self.source.parts(self._state)))
        except InputError:
            self._state = {}
            raise

    def _add(self, parts: list[Log]) -> bool:
        starts = [i for i, part in enumerate(parts) if not part.continues]
        parts = parts[starts[-1] :] if starts else parts
        tables = [part.observations for part in parts if part.observations.height]
        if not tables and (starts or self._rows is None):
            self._state = {}
            raise EmptyLogError(f"{self.source.path}: no observation in this log yet")
        if tables:
            try:
                self._clean(concat_sparse(tables), anew=bool(starts) or self._rows is None)
            except InputError as error:
                raise InputError(f"{self.source.path}: {error}") from None
        return self._settings_changed(parts[-1].runs if parts else self._settings) or bool(tables)

    def _clean(self, new: pl.DataFrame, *, anew: bool) -> None:
        if self._together is not None:
            new = new if anew else concat_sparse([self._together, new])
            anew, self._together = True, new
        if self._rows is not None and not anew:
            self._rows.add(new)
            self._version = next(_VERSIONS)
            return
        by_step = getattr(self.source.reader, "BY_STEP", False)
        rows = Observations(self.source.run, by_step=by_step)
        rows.add(new)
        self._rows, self._names_runs, self._version = rows, "run" in new.columns, None
        if self._state and not rows.extensible:
            self._together = new

    def _settings_changed(self, new: pl.DataFrame | None) -> bool:
        before, self._settings = self._settings, new
        if before is None or new is None:
            return before is not new
        return not new.equals(before)

    def _versions(self) -> pl.Series:
        """A number for each run that changes when its observations do."""
        if self._rows is None or self._version is not None:
            return pl.Series([self._version], dtype=pl.UInt64)
        rows = self._rows.frame()
        codes = np.zeros(len(self._rows.keys), dtype=np.uint64)
        np.add.at(codes, rows["run_id"].to_numpy(), rows.hash_rows().to_numpy())
        return pl.Series(codes)


class FollowedPath:
    """The logs under a path, which may appear, grow and vanish.

    Args:
        path: a file, a folder or an address.
        pattern: for plain text logs.

    Attributes:
        broken: the logs that cannot be read now, and why.

    Raises:
        InputError: if there is no such file or folder.
    """

    def __init__(self, path: Path, pattern: str | None) -> None:
        self._mirror = mirror_of(path)
        if self._mirror is not None:
            path = self._mirror.update()
        if not is_address(path) and not path.exists():
            raise InputError(f"{path}: no such file or folder")
        self.path, self.pattern = path, pattern
        self.broken: dict[Path, str] = {}
        self._logs: dict[tuple[str, Path, str], FollowedLog] = {}
        self._run_tables: Signature = ()

    def update(self) -> bool:
        """Whether anything is new."""
        self.broken = {}
        now = {(source.run, source.path, source.reader.NAME): source for source in self._sources()}
        changed = bool(self._logs.keys() - now.keys())
        self._logs = {key: self._logs.get(key) or FollowedLog(now[key]) for key in now}
        for key, log in self._logs.items():
            log.source = now[key]  # what stands beside it may have changed
        for log in self._logs.values():
            changed |= log.update()
            if log.broken is not None:
                self.broken[log.source.path] = log.broken
        run_tables = _signature(*(self.path / name for name in RUN_TABLES))
        changed |= run_tables != self._run_tables
        self._run_tables = run_tables
        if self._mirror is not None:
            self.broken = {log: self._mirror.said(why) for log, why in self.broken.items()}
        return changed

    def curves(self) -> CurveSet | None:
        """All runs so far, with their `VERSION`; None while there are none."""
        logs = [log.clean(versions=True) for log in self._logs.values()]
        try:
            return assembled([log for log in logs if log is not None], self.path)
        except EmptyLogError:
            return None
        except InputError as error:
            self.broken[self.path] = str(error)
            return None

    def _sources(self) -> list[Source]:
        if self._mirror is not None:
            try:
                self._mirror.update()
            except InputError as error:  # what was fetched before stands
                self.broken[self.path] = str(error)
        try:
            return sources(self.path, self.pattern)
        except (InputError, OSError) as error:
            if not (self.path.is_dir() and not any(_files(self.path))):
                self.broken[self.path] = str(error)
            return []


def _signature(*paths: Path) -> Signature:
    """What changes when files are written: sizes, times and places of all below the paths."""
    if any(map(is_address, paths)):
        return (("", 0, time.monotonic_ns(), 0),)  # a server does not say
    found = []
    for path in paths:
        beside = (path.with_name(path.name + end) for end in ("", "-wal"))
        for file in _files(path) if path.is_dir() else beside:
            with suppress(OSError):
                stat = file.stat()
                found.append((str(file), stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(sorted(found))


def _files(folder: Path) -> Iterator[Path]:
    for where, _, files in os.walk(folder):
        yield from (Path(where, file) for file in files)
