"""Logs that grow: `Follower` reads what is new under some paths and gives the whole set so far.

A log whose format grows at its end is read on from where it ended, and a single run takes time in
proportion to what is new. Any other log is read again when its files have changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import CurveWarning, InputError
from earlycall.readers.assembly import together
from earlycall.readers.growing.log import FollowedPath
from earlycall.readers.trainings import VERSION


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
        self._paths = [FollowedPath(Path(path), pattern) for path in paths]
        self._curves = _no_curves()
        self._versions: dict[tuple[str, str], int] = {}
        self.changed: frozenset[str] = frozenset()
        self.broken: dict[Path, str] = {}

    def update(self) -> CurveSet:
        """The whole set so far: the same object as before if nothing is new.

        As long as no log has an observation, the set has no runs (``len(curves) == 0``).
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CurveWarning)
            new = [path.update() for path in self._paths]
            self.changed = frozenset()
            if any(new):
                self._join()
            self.broken = {log: why for path in self._paths for log, why in path.broken.items()}
        return self._curves

    def _join(self) -> None:
        sets = [curves for path in self._paths if (curves := path.curves()) is not None]
        curves = together(sets) if sets else _no_curves()
        before = self._versions
        self._versions = {
            (group, run): version
            for group, run, version in curves.runs.select("group", "run", VERSION).iter_rows()
        }
        self.changed = frozenset(run for _, run in dict(before.items() ^ self._versions.items()))
        self._curves = CurveSet(curves.observations, curves.runs.drop(VERSION), curves.name)


def _no_curves() -> CurveSet:
    observations = {"run_id": pl.UInt32, "step": pl.Float64}
    runs = {"group": pl.String, "run": pl.String, VERSION: pl.UInt64}
    return CurveSet(pl.DataFrame(schema=observations), pl.DataFrame(schema=runs))
