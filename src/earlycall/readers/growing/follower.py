"""Logs that grow: `Follower` reads what is new under some paths and gives the whole set so far.

A log of one run whose format grows at its end (see `tails`) is read on, and its
observations are put together piece by piece (`Growth`), so that an update takes time in proportion
to what is new. Any other log is read again when its files have changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from earlycall.curves import KEYS, CurveSet
from earlycall.curves.columns import training_loss, validation_loss
from earlycall.errors import CurveWarning, InputError
from earlycall.readers.growing.log import SOURCE, Followed, Place


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
        logs = [every[i] for i in short.runs[SOURCE].to_list()]
        known = CurveSet(short.observations, short.runs.drop(SOURCE), short.name)
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
