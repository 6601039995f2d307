"""Logs that grow: `Follower` reads what is new under some paths and gives the whole set so far."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import CurveWarning, InputError, NothingYetError
from earlycall.readers import Source, assembled, remote, run_table, sources
from earlycall.readers.log import Log

Signature = tuple[tuple[str, int, int, int], ...]


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
        self._places = [_Place(Path(path), pattern) for path in paths]
        self._whole = _nothing()
        self.changed: frozenset[str] = frozenset()
        self.broken: dict[Path, str] = {}

    def update(self) -> CurveSet:
        """The whole set so far: the same object as before if nothing is new.

        As long as no log has an observation, the set has no runs (``len(curves) == 0``).
        """
        changed = [place.update() for place in self._places]
        self.broken = {path: why for place in self._places for path, why in place.broken.items()}
        if not any(changed):
            self.changed = frozenset()
            return self._whole
        sets = [place.curves for place in self._places if len(place.curves)]
        before, self._whole = self._whole, CurveSet.concat(sets) if sets else _nothing()
        self.changed = _differing(before, self._whole)
        return self._whole


def _nothing() -> CurveSet:
    text = pl.String
    observations = {"run_id": pl.UInt32, "step": pl.Float64}
    return CurveSet(
        pl.DataFrame(schema=observations), pl.DataFrame(schema={"group": text, "run": text})
    )


def _differing(before: CurveSet, after: CurveSet) -> frozenset[str]:
    """The runs whose observations are not the same in two sets."""
    old, new = _fingerprints(before), _fingerprints(after)
    return frozenset(run for run, found in {**old, **new}.items() if old.get(run) != found) | (
        old.keys() - new.keys()
    )


def _fingerprints(curves: CurveSet) -> dict[str, tuple[int, int]]:
    rows = curves.observations
    values = pl.struct(pl.exclude("run_id").cast(pl.Float64)) if rows.width > 1 else pl.lit(0)
    of = rows.group_by("run_id").agg(pl.len().alias("n"), values.hash().sum().alias("hash"))
    runs = curves.runs["run"].to_list()
    return {runs[i]: (n, code) for i, n, code in of.select("run_id", "n", "hash").iter_rows()}


class _Place:
    """What is known of one path."""

    def __init__(self, path: Path, pattern: str | None) -> None:
        if not remote.is_address(path) and not path.exists():
            raise InputError(f"{path}: no such file or folder")
        self.path, self.pattern = path, pattern
        self.curves = _nothing()
        self.broken: dict[Path, str] = {}
        self._logs: dict[tuple[str, Path], _Followed] = {}
        self._told: Signature = ()

    def update(self) -> bool:
        """Whether anything is new."""
        if remote.is_address(self.path):
            return self._update_remote()
        self.broken = {}
        found = self._sources()
        now = {(source.run, source.path): source for source in found}
        changed = bool(self._logs.keys() - now.keys())
        self._logs = {key: self._logs.get(key) or _Followed() for key in now}
        for key, source in now.items():
            log = self._logs[key]
            changed |= log.update(source)
            if log.broken is not None:
                self.broken[source.path] = log.broken
        told = _signature(*(self.path / name for name in ("runs.parquet", "runs.csv")))
        changed |= told != self._told
        self._told = told
        if changed:
            self._assemble()
        return changed

    def _sources(self) -> list[Source]:
        try:
            return sources(self.path, self.pattern)
        except (InputError, OSError) as error:
            if not (self.path.is_dir() and not any(_files(self.path))):
                self.broken[self.path] = str(error)
            return []

    def _assemble(self) -> None:
        logs = [(run, log.log) for (run, _), log in self._logs.items() if log.log is not None]
        try:
            told = run_table(self.path)
            name = self.path.resolve().name
            self.curves = assembled(logs, told, name) if logs else _nothing()
        except InputError as error:
            self.broken[self.path] = str(error)

    def _update_remote(self) -> bool:
        address = str(self.path)
        try:
            logs = [(address, remote.load(address))]
            curves = assembled(logs, None, address.rpartition("/")[2])
        except InputError as error:
            self.broken = {self.path: str(error)}
            return False
        self.broken = {}
        if curves.observations.equals(self.curves.observations):
            return False
        self.curves = curves
        return True


class _Followed:
    """A log, read again whenever its files have changed."""

    def __init__(self) -> None:
        self.log: Log | None = None
        self.broken: str | None = None
        self._signature: Signature = ()

    def update(self, source: Source) -> bool:
        """Whether the log holds something else than before."""
        signature = _signature(source.path)
        if signature == self._signature:
            return False
        self._signature = signature
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CurveWarning)
                self.log, self.broken = source.log(), None
        except NothingYetError:
            gone, self.log, self.broken = self.log is not None, None, None
            return gone
        except InputError as error:
            self.broken = str(error)  # what was read before it broke stands
            return False
        return True


def _signature(*paths: Path) -> Signature:
    """What changes when files are written: sizes, times and places of all below the paths."""
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
