"""The losses of one run (`Curve`) and of the prefixes of a group's runs (`Prefixes`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from earlycall.curves.columns import AXES, COSTS, KEYS, Axis, Direction
from earlycall.curves.horizon import Source
from earlycall.curves.ragged import Ragged
from earlycall.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

COST_AXES = ("step", "epoch", *COSTS)


@dataclass(frozen=True)
class Curve:
    """The losses of one run along its steps.

    Attributes:
        run: the run's name.
        loss: shape (n,), one loss per observation, as recorded (NaN and infinities included).
        step: shape (n,), increasing.
        x: shape (n,), the chosen axis; the observation number 1…n unless asked otherwise.
        epoch: shape (n,), the epoch of each observation, counted from 0.
        group: the group that the run may be compared within.
        metric: the name of the loss.

    Examples:
        >>> from earlycall import CurveSet
        >>> curve = CurveSet.from_losses({"a": [2.0, 1.0, 0.5]}).curve("a")
        >>> curve.loss.tolist(), curve.x.tolist()
        ([2.0, 1.0, 0.5], [1.0, 2.0, 3.0])
    """

    run: str
    loss: NDArray[np.float64]
    step: NDArray[np.float64]
    x: NDArray[np.float64]
    epoch: NDArray[np.float64]
    group: str = "all"
    metric: str = "train_loss"

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def diverged(self) -> bool:
        """Whether a loss that is not finite was recorded."""
        return not bool(np.isfinite(self.loss).all())


@dataclass(frozen=True)
class Prefixes:
    """The prefixes of the runs of one group: what a score is computed from.

    Iterating gives a `Curve` for each run; the ragged arrays serve vectorised scores. Where more of
    the metric is better, ``loss`` is its negative; ``values`` are the metric as recorded.

    Attributes:
        group: the group's name.
        runs: the m runs' names.
        frame: the observations: ``run_id`` (0…m-1), ``step``, ``epoch`` and every metric.
        metric: the metric that ``loss`` holds.
        horizon: the step at which training would end; the largest one logged where that is unknown.
        horizon_from: how the end is known (`earlycall.curves.horizon`), None where it is not.
        axis: what ``x`` holds.
        direction: whether less ("min") or more ("max") of the metric is better.
        settings: one row per run of what is known of it (``hp.*``, ``arch.*`` …), without outcome.
    """

    group: str
    runs: tuple[str, ...]
    frame: pl.DataFrame
    metric: str
    horizon: float
    horizon_from: Source | None = None
    axis: Axis = "observation"
    direction: Direction = "min"
    settings: pl.DataFrame = field(default_factory=pl.DataFrame)

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Curve]:
        parts = zip(self.runs, self.loss, self.step, self.x, self.epoch, strict=True)
        for run, loss, step, x, epoch in parts:
            yield Curve(run, loss, step, x, epoch, self.group, self.metric)

    def take(self, rows: NDArray[np.int64]) -> Prefixes:
        """Only some of the runs, by their increasing row numbers."""
        if len(rows) == len(self):
            return self
        numbered = pl.DataFrame({"run_id": rows}, schema={"run_id": self.frame.schema["run_id"]})
        numbered = numbered.with_row_index("new run_id")
        kept = self.frame.join(numbered, on="run_id", how="inner", maintain_order="left")
        return replace(
            self,
            runs=tuple(self.runs[i] for i in rows),
            frame=kept.with_columns(run_id=pl.col("new run_id")).drop("new run_id"),
            settings=self.settings[rows] if self.settings.width else self.settings,
        )

    def ends(self) -> Prefixes:
        """Only the first and the last row of each run with the metric, and with each cost.

        It says how far the runs have come, in the memory of a few rows.

        Examples:
            >>> from earlycall import CurveSet
            >>> prefixes = CurveSet.from_losses({"a": [3.0, 2.0, 1.0]}).prefixes()[0]
            >>> prefixes.ends().loss[0].tolist()
            [3.0, 1.0]
        """
        numbered = replace(self, frame=self.frame.with_row_index("row"))
        columns = [c for c in (self.metric, *COSTS) if c in self.frame.columns]
        rows = [numbered.ragged("row", where=column) for column in columns]
        kept = np.concatenate([end for row in rows for end in (row.first(), row.last())])
        return replace(self, frame=self.frame[np.unique(kept[kept >= 0]).astype(np.int64)])

    def parts(self, most: int = 4096) -> Iterator[Prefixes]:
        """The runs in parts of so many, so that what is computed of each stays small in memory."""
        if len(self) <= most:
            yield self
            return
        ends = np.searchsorted(
            self.frame["run_id"].to_numpy(), np.arange(0, len(self) + most, most)
        )
        for i, (start, stop) in enumerate(pairwise(ends.tolist())):
            first = i * most
            yield replace(
                self,
                runs=self.runs[first : first + most],
                frame=self.frame[start:stop].with_columns(run_id=pl.col("run_id") - first),
                settings=self.settings[first : first + most],
            )

    @property
    def columns(self) -> list[str]:
        """The metrics that were logged at least once in the group."""
        logged = [column.name for column in self.frame.iter_columns() if column.count()]
        return [name for name in logged if name not in KEYS]

    def has(self, metric: str) -> bool:
        """Whether a column was logged at least once in the group."""
        return metric in self.frame.columns and self.frame[metric].count() > 0

    def ragged(self, column: str, where: str | None = None) -> Ragged:
        """A column's recorded values by run, in the order of steps.

        Args:
            column: any column of ``frame``.
            where: take the rows in which this column was recorded (by default the column's own).
        """
        recorded, row, values = (self.frame[c] for c in (where or column, "run_id", column))
        if recorded.null_count():
            there = recorded.is_not_null()
            row, values = row.filter(there), values.filter(there)
        ids = row.to_numpy()  # sorted
        offsets = np.searchsorted(ids, np.arange(len(self) + 1, dtype=ids.dtype))
        return Ragged(values.cast(pl.Float64).to_numpy(), offsets)

    @cached_property
    def loss(self) -> Ragged:
        """The losses, oriented so that smaller is better."""
        if self.sign > 0:
            return self.values
        return Ragged(-self.values.values, self.values.offsets)

    @cached_property
    def values(self) -> Ragged:
        """The metric as recorded, whichever direction is better."""
        return self.ragged(self.metric)

    @property
    def sign(self) -> int:
        """1 where less of the metric is better, -1 where more is."""
        return -1 if self.direction == "max" else 1

    @cached_property
    def step(self) -> Ragged:
        """The step of each loss."""
        return self.ragged("step", where=self.metric)

    @cached_property
    def steps_left(self) -> NDArray[np.float64] | None:
        """How many steps of each run are still to come, shape (m,); None where that is unknown.

        The last of n steps that are counted from 0 is n − 1.
        """
        if self.horizon_from is None:
            return None
        left = self.horizon - np.nan_to_num(self.step.last())
        over = left <= np.where(self.step.first() == 0, 1.0, 0.0) + 1e-9 * self.horizon
        return np.where(over, 0.0, left)

    @cached_property
    def ended(self) -> NDArray[np.bool_]:
        """Which runs are known to train no longer, shape (m,): at the horizon or before it."""
        left = self.steps_left
        done = np.zeros(len(self), dtype=bool) if left is None else left <= 0
        if "ended" in self.settings.columns:
            done |= self.settings["ended"].cast(pl.Float64).is_not_null().to_numpy()
        return done

    @cached_property
    def epoch(self) -> Ragged:
        """The epoch of each loss, counted from 0; the observation number in runs without epochs."""
        number = self.loss.position.astype(np.float64)
        if not self.has("epoch"):
            return Ragged(number, self.loss.offsets)
        epoch = self.ragged("epoch", where=self.metric)
        missing = np.isnan(epoch.values)
        if missing.any():
            return Ragged(np.where(missing, number, epoch.values), epoch.offsets)
        return epoch

    @cached_property
    def x(self) -> Ragged:
        """The axis along which curves are fitted, one value per loss.

        Raises:
            InputError: if the axis was not logged, or not with every loss.
        """
        offsets = self.loss.offsets
        if self.axis == "observation":
            return Ragged((self.loss.position + 1).astype(np.float64), offsets)
        if self.axis == "epoch":
            return Ragged(self._epochs_done(), offsets)
        if not self.has(self.axis):
            found = ", ".join(a for a in AXES[1:] if self.has(a))
            raise InputError(
                f"group {self.group!r} has no column {self.axis!r}; "
                f"use one of: observation, {found}"
            )
        if self.axis == "step":
            return self.step
        axis = self.ragged(self.axis, where=self.metric)
        missing = np.isnan(axis.values)
        if missing.any():
            run = self.runs[int(axis.row[int(np.argmax(missing))])]
            raise InputError(
                f"run {run!r}: {self.axis!r} is missing beside a value of {self.metric!r}; "
                "log both together or use --axis step"
            )
        return axis

    def _epochs_done(self) -> NDArray[np.float64]:
        """Epochs finished at each loss: whole epochs plus the part of the current one."""
        epoch, offsets = self.epoch, self.epoch.offsets
        starts = np.ones(len(epoch.values), dtype=bool)
        starts[1:] = (np.diff(epoch.values) != 0) | (np.diff(epoch.row) != 0)
        block = np.cumsum(starts) - 1
        block_length = np.bincount(block) if len(block) else np.zeros(0)
        place = np.arange(len(block)) - np.flatnonzero(starts)[block] + 1
        longest = Ragged(block_length[block].astype(np.float64), offsets).reduce(np.maximum)
        return np.asarray(epoch.values + place / longest[epoch.row])


def costs_of(prefixes: Prefixes, cost: str) -> Ragged:
    """The cost so far at each loss of a group's runs.

    Args:
        prefixes: m runs.
        cost: step, epoch (finished ones), seconds, joules or usd.

    Raises:
        InputError: if the cost is unknown, was not logged with every loss, or falls.
    """
    if cost not in COST_AXES:
        raise InputError(f"cost {cost!r} is unknown; use one of: {', '.join(COST_AXES)}")
    if cost == "epoch":
        return replace(prefixes, axis="epoch").x
    found = [name for name in COST_AXES if name in ("step", "epoch") or prefixes.has(name)]
    if cost != "step" and not prefixes.has(cost):
        raise InputError(
            f"group {prefixes.group!r} has no column {cost!r}; use one of: {', '.join(found)}"
        )
    costs = prefixes.ragged(cost, where=prefixes.metric)
    for run, spent in zip(prefixes.runs, costs, strict=True):
        if not np.isfinite(spent).all():
            raise InputError(
                f"run {run!r}: {cost!r} is missing beside a value of {prefixes.metric!r}; "
                "log both together or use --cost step"
            )
        if np.any(np.diff(spent) < 0):
            raise InputError(
                f"run {run!r}: {cost!r} falls; a cost is the sum since the start of the run"
            )
    return costs
