"""The observations of one run, put together piece by piece as its log grows."""

from __future__ import annotations

import numpy as np
import polars as pl

from earlycall.curves.cleaning import with_step_name
from earlycall.readers.growing.tails import DoubtError

_RAW = "epoch of the log"


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
