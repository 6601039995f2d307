"""Loss curves: one run's (`Curve`), a group's prefixes (`Prefixes`), many runs' (`CurveSet`).

Terms: a *run* is one training of one model with one setting; a *group* holds runs that may be
compared; a *curve* is the losses of a run along its *steps*; a *prefix* is the part seen so far;
the *horizon* is the step at which training would end; the *budget* is prefix / horizon.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import polars as pl

from earlycall.cleaning import clean_observations, clean_runs
from earlycall.errors import InputError
from earlycall.metric_names import training_loss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Axis = Literal["observation", "step", "epoch", "seconds", "joules", "usd"]
AXES: tuple[Axis, ...] = get_args(Axis)
COSTS = ("seconds", "joules", "usd")
KEYS = ("group", "run", "run_id", "step", "epoch", *COSTS)
SHORTEST_PREFIX = 3

_HIGHER_IS_BETTER = ("acc", "auc", "f1", "bleu", "iou", "psnr", "ssim", "precision", "recall", "r2")


def higher_is_better(metric: str) -> bool:
    """Whether a metric's name says that larger values are better (an accuracy, not a loss).

    Examples:
        >>> higher_is_better("val_accuracy"), higher_is_better("val_loss")
        (True, False)
    """
    name = metric.lower()
    return "loss" not in name and any(word in name for word in _HIGHER_IS_BETTER)


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths in one flat array: row i is ``values[offsets[i]:offsets[i+1]]``.

    Attributes:
        values: shape (total,).
        offsets: shape (rows + 1,), integers, from 0 to total.

    Examples:
        >>> r = Ragged.of([[3.0, 2.0], [5.0]])
        >>> r[0].tolist(), r.lengths.tolist(), r.last().tolist()
        ([3.0, 2.0], [2, 1], [2.0, 5.0])
    """

    values: NDArray[np.float64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[ArrayLike]) -> Ragged:
        """Concatenate rows, each of shape (n_i,)."""
        arrays = [np.asarray(row, dtype=np.float64) for row in rows]
        lengths = [len(a) for a in arrays]
        flat = np.concatenate(arrays) if arrays else np.empty(0)
        return cls(flat, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))

    @classmethod
    def join(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of several, one after the other."""
        lengths = np.concatenate([part.lengths for part in parts])
        values = np.concatenate([part.values for part in parts])
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.float64]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        return (self[i] for i in range(len(self)))

    def part(self, start: int, stop: int) -> Ragged:
        """Rows start to stop (or the last), without a copy."""
        offsets = self.offsets[start : stop + 1]
        return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of values in each row, shape (rows,)."""
        return np.diff(self.offsets)

    @cached_property
    def row(self) -> NDArray[np.int64]:
        """The row that each value belongs to, shape (total,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def position(self) -> NDArray[np.int64]:
        """The place of each value within its row, from 0, shape (total,)."""
        return np.arange(len(self.values)) - np.repeat(self.offsets[:-1], self.lengths)

    def reduce(self, ufunc: np.ufunc) -> NDArray[np.float64]:
        """Reduce each row by a ufunc such as ``np.minimum``; NaN for an empty row."""
        out = np.full(len(self), np.nan)
        filled = self.lengths > 0
        if filled.any():
            out[filled] = ufunc.reduceat(self.values, self.offsets[:-1][filled])
        return out

    def first(self) -> NDArray[np.float64]:
        """The first value of each row, NaN for an empty row."""
        return self._at(self.offsets[:-1])

    def last(self) -> NDArray[np.float64]:
        """The last value of each row, NaN for an empty row."""
        return self._at(self.offsets[1:] - 1)

    def _at(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        out = np.full(len(self), np.nan)
        filled = self.lengths > 0
        out[filled] = self.values[index[filled]]
        return out

    def all_finite(self) -> NDArray[np.bool_]:
        """Whether each row holds only finite values; true for an empty row."""
        bad = np.flatnonzero(~np.isfinite(self.values))
        finite = np.ones(len(self), dtype=bool)
        finite[np.searchsorted(self.offsets, bad, side="right") - 1] = False
        return finite


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

    Iterating gives a `Curve` for each run; the ragged arrays serve vectorised scores. Where the
    metric is one of which more is better, ``loss`` is its negative.

    Attributes:
        group: the group's name.
        runs: the m runs' names.
        frame: the observations: ``row`` (0…m-1), ``step``, ``epoch`` and every metric.
        metric: the metric that ``loss`` holds.
        horizon: the step at which training would end.
        axis: what ``x`` holds.
        settings: one row per run of what is known of it (``hp.*``, ``arch.*`` …), without outcome.
    """

    group: str
    runs: tuple[str, ...]
    frame: pl.DataFrame
    metric: str
    horizon: float
    axis: Axis = "observation"
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
        numbered = pl.DataFrame({"row": rows}, schema={"row": self.frame.schema["row"]})
        numbered = numbered.with_row_index("new")
        kept = self.frame.join(numbered, on="row", how="inner", maintain_order="left")
        return replace(
            self,
            runs=tuple(self.runs[i] for i in rows),
            frame=kept.with_columns(row=pl.col("new")).drop("new"),
            settings=self.settings[rows] if self.settings.width else self.settings,
        )

    def parts(self, most: int = 4096) -> Iterator[Prefixes]:
        """The runs in parts of so many, so that what is computed of each stays small in memory."""
        if len(self) <= most:
            yield self
            return
        ends = np.searchsorted(self.frame["row"].to_numpy(), np.arange(0, len(self) + most, most))
        for i, (start, stop) in enumerate(pairwise(ends.tolist())):
            first = i * most
            yield replace(
                self,
                runs=self.runs[first : first + most],
                frame=self.frame[start:stop].with_columns(row=pl.col("row") - first),
                settings=self.settings[first : first + most],
            )

    @property
    def columns(self) -> list[str]:
        """The metrics that were logged at least once in the group."""
        logged = [column.name for column in self.frame.iter_columns() if column.count()]
        return [name for name in logged if name not in (*KEYS, "row")]

    def has(self, metric: str) -> bool:
        """Whether a column was logged at least once in the group."""
        return metric in self.frame.columns and self.frame[metric].count() > 0

    def ragged(self, column: str, where: str | None = None) -> Ragged:
        """A column's recorded values by run, in the order of steps.

        Args:
            column: any column of ``frame``.
            where: take the rows in which this column was recorded (by default the column's own).
        """
        recorded = self.frame[where or column]
        kept = self.frame.select("row", column)
        if recorded.null_count():
            kept = kept.filter(recorded.is_not_null())
        counts = np.bincount(kept["row"].to_numpy(), minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Ragged(kept[column].cast(pl.Float64).to_numpy(), offsets)

    @cached_property
    def loss(self) -> Ragged:
        """The losses, oriented so that smaller is better."""
        recorded = self.ragged(self.metric)
        return Ragged(-recorded.values, recorded.offsets) if self.sign < 0 else recorded

    @property
    def sign(self) -> int:
        """1 where the metric is a loss, -1 where more of it is better."""
        return -1 if higher_is_better(self.metric) else 1

    @cached_property
    def step(self) -> Ragged:
        """The step of each loss."""
        return self.ragged("step", where=self.metric)

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


@dataclass(frozen=True)
class CurveSet:
    """Many runs' curves, columnar underneath.

    Make one by `earlycall.read` (from logs), `from_frame` (pandas, polars or Arrow tables) or
    `from_losses` (arrays). NaN and infinities are kept as recorded: a diverged run is a fact.

    Attributes:
        observations: a row per run and step: ``run_id``, ``step``, metrics and cost columns,
            sorted by both.
        runs: a row per run: ``group``, ``run`` and what is known of it, sorted by both;
            ``run_id`` is the row number.
        name: what to call the set in tables.
        horizons: the step at which training of each group would end, where `prefix` has fixed it.

    Examples:
        >>> curves = CurveSet.from_losses({"a": [2.0, 1.0, 0.9], "b": [2.0, 1.5, 1.2]})
        >>> len(curves), curves.groups, curves.metrics
        (2, ['all'], ['train_loss'])
    """

    observations: pl.DataFrame
    runs: pl.DataFrame
    name: str = ""
    horizons: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_frame(cls, curves: Any, runs: Any = None, *, name: str = "") -> CurveSet:
        """A curve set from a table with a row per observation.

        Args:
            curves: a pandas, polars or Arrow table with ``run`` (and ``group``) columns, ``step``
                and/or ``epoch``, and metrics. A missing value means *not logged*; a row without
                any metric records a NaN, since pandas cannot tell the two apart.
            runs: optionally a table with a row per run: ``final``, ``hp.*``, ``arch.*`` …
            name: what to call the set in tables.

        Raises:
            InputError: naming the run, column and row that cannot be used.

        Examples:
            >>> table = pl.DataFrame({"run": ["a", "a"], "step": [1, 2], "loss": [2.0, 1.0]})
            >>> CurveSet.from_frame(table).metrics
            ['loss']
        """
        observations, keys = clean_observations(as_polars(curves))
        return cls(observations, clean_runs(as_polars(runs), keys), name)

    @classmethod
    def from_losses(
        cls, losses: Mapping[str, ArrayLike] | ArrayLike, *, metric: str = "train_loss"
    ) -> CurveSet:
        """A curve set from arrays of losses: a mapping run → losses, or a 2-D array (runs, steps).

        Steps are counted from 1. A NaN in an array is a recorded NaN: the run diverged.

        Raises:
            InputError: if a run's losses are not a flat sequence of numbers.

        Examples:
            >>> CurveSet.from_losses(np.ones((3, 5))).runs["run"].to_list()
            ['0', '1', '2']
        """
        if not isinstance(losses, Mapping):
            rows = np.asarray(losses, dtype=np.float64)
            if rows.ndim != 2:
                raise InputError(f"losses must be (runs, steps), got shape {rows.shape}")
            width = len(str(max(len(rows) - 1, 0)))
            losses = {f"{i:0{width}d}": row for i, row in enumerate(rows)}
        arrays = {}
        for run, values in losses.items():
            try:
                arrays[str(run)] = np.asarray(values, dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise InputError(f"run {run!r}: losses must be numbers: {error}") from None
            if arrays[str(run)].ndim != 1:
                raise InputError(f"run {run!r}: losses must be flat, got {np.ndim(values)} axes")
        lengths = [len(a) for a in arrays.values()]
        frame = pl.DataFrame(
            {
                "run": pl.Series(list(arrays), dtype=pl.String).gather(
                    np.repeat(np.arange(len(arrays)), lengths)
                ),
                "step": Ragged.of(list(arrays.values())).position + 1,
                metric: np.concatenate([*arrays.values(), np.empty(0)]),
            }
        )
        return cls.from_frame(frame)

    @classmethod
    def concat(cls, sets: Sequence[CurveSet]) -> CurveSet:
        """One set from several; runs of the same group and name are told apart by set name."""
        if len(sets) == 1:
            return sets[0]
        keys = pl.concat([s.runs.select("group", "run") for s in sets])
        clash = keys.height > keys.unique().height
        tables = []
        for s in sets:
            runs = s.runs.with_columns(
                pl.format("{}/{}", pl.lit(s.name), "run").alias("run") if clash else pl.col("run")
            )
            tables.append(cls(s.observations, runs, s.name))
        observations = pl.concat([t.frame() for t in tables], how="diagonal_relaxed")
        runs = pl.concat([t.runs for t in tables], how="diagonal_relaxed")
        return cls.from_frame(observations, runs, name=" + ".join(s.name for s in sets))

    def __len__(self) -> int:
        return self.runs.height

    def __repr__(self) -> str:
        return (
            f"CurveSet({self.name or 'unnamed'}: {len(self)} runs in {len(self.groups)} groups, "
            f"{self.observations.height} observations of {', '.join(self.metrics)})"
        )

    @cached_property
    def groups(self) -> list[str]:
        """The names of the groups, sorted."""
        return self.runs["group"].unique().sort().to_list()

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics (every column that is not a key, an epoch or a cost)."""
        return [c for c in self.observations.columns if c not in KEYS]

    def frame(self) -> pl.DataFrame:
        """The observations with their ``group`` and ``run``, in the columns of the file format."""
        names = self.runs.select("group", "run").with_row_index("run_id")
        joined = self.observations.join(names, on="run_id", how="left", maintain_order="left")
        return joined.select("group", "run", pl.exclude("group", "run", "run_id"))

    def write(self, folder: str | Path) -> Path:
        """Write ``curves.parquet`` and ``runs.parquet`` into a folder, each whole or not at all.

        Columns carry what they are and their units in the field metadata of the Parquet schema.

        Raises:
            InputError: if the folder cannot be written.

        Examples:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder:
            ...     _ = CurveSet.from_losses({"a": [2.0, 1.0]}).write(folder)
            ...     sorted(path.name for path in Path(folder).iterdir())
            ['curves.parquet', 'runs.parquet']
        """
        folder = Path(folder)
        parts = {name: folder / f".{name}.parquet.part" for name in ("runs", "curves")}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_described(self.runs, parts["runs"])
            _write_described(self.frame(), parts["curves"])
            for name, part in parts.items():
                part.replace(folder / f"{name}.parquet")
        except OSError as error:
            raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
        return folder

    def metric(self, wanted: str | None = None) -> str:
        """The metric to work on: the one wanted, else the training loss by its usual names.

        Raises:
            InputError: if there is no such column, or none or several that could be meant; the
                sentence lists the columns found.
        """
        found = ", ".join(self.metrics) or "no metric at all"
        if wanted is not None:
            if wanted in self.metrics:
                return wanted
            raise InputError(f"{self._what()} has no column {wanted!r}; found: {found}")
        guess, candidates = training_loss(self.metrics)
        if guess is not None:
            return guess
        what = "several loss columns" if candidates else "no loss column"
        listed = ", ".join(candidates) or found
        raise InputError(f"{self._what()} has {what}; choose one with --metric; found: {listed}")

    def _what(self) -> str:
        return self.name or "the curve set"

    def select(self, *, group: str | None = None, runs: Sequence[str] | None = None) -> CurveSet:
        """The runs of one group, or those named.

        Raises:
            InputError: if there is no such group.
        """
        keep = pl.lit(True)
        if group is not None:
            if group not in self.groups:
                known = ", ".join(self.groups[:20])
                raise InputError(f"{self._what()} has no group {group!r}; found: {known}")
            keep &= pl.col("group") == group
        if runs is not None:
            keep &= pl.col("run").is_in(list(runs))
        return self.keep(self.runs.select(kept=keep)["kept"])

    def keep(self, wanted: pl.Series) -> CurveSet:
        """The runs that are wanted.

        Args:
            wanted: a boolean for each row of ``runs``, or one for all of them.

        Examples:
            >>> curves = CurveSet.from_losses(np.ones((3, 5)))
            >>> curves.keep(curves.runs["run"] != "1").runs["run"].to_list()
            ['0', '2']
        """
        kept = np.broadcast_to(wanted.to_numpy(), len(self))
        if kept.all():
            return self
        new = np.cumsum(kept, dtype=np.uint32) - np.uint32(1)
        old = self.observations["run_id"].to_numpy()
        mine = kept[old]
        rows = self.observations.filter(pl.Series(mine))
        rows = rows.with_columns(run_id=pl.Series(new[old[mine]], dtype=pl.UInt32))
        return CurveSet(rows, self.runs.filter(pl.Series(kept)), self.name, self.horizons)

    def curve(self, run: str, *, metric: str | None = None, axis: Axis = "observation") -> Curve:
        """The curve of one run.

        Raises:
            InputError: if no run or several runs of several groups have this name.
        """
        one = self.select(runs=[run])
        if len(one) != 1:
            raise InputError(f"{self._what()} has {len(one)} runs called {run!r}")
        return next(iter(one.prefixes(metric=metric, axis=axis)[0]))

    def horizon(self, group: str, metric: str | None = None) -> float:
        """The step at which training of a group would end.

        As fixed by `prefix`; else the median ``step_hint`` of its runs where there is one, else the
        largest step at which the metric was logged.
        """
        if group in self.horizons:
            return self.horizons[group]
        first, last = self._extents[group]
        if "step_hint" in self.runs.columns:
            hints = self.runs["step_hint"][first:last].cast(pl.Float64).drop_nulls().drop_nans()
            if len(hints):
                return float(np.median(hints.to_numpy()))
        rows = self._rows(first, last)
        steps = rows["step"]
        if metric is not None and rows[metric].null_count():
            steps = steps.filter(rows[metric].is_not_null())
        largest = steps.max()
        return float(largest) if isinstance(largest, int | float) else 0.0

    def prefix(
        self,
        *,
        budget: float | None = None,
        steps: float | None = None,
        epochs: int | None = None,
        horizon: float | None = None,
        metric: str | None = None,
        cost: str = "step",
    ) -> CurveSet:
        """The part of every curve that is seen within a budget; everything when none is given.

        Args:
            budget: part of the horizon, in (0, 1]: the observations with step ≤ budget × horizon.
            steps: the observations with step ≤ steps.
            epochs: the observations of the first epochs (of the first observations where the log
                has no epochs).
            horizon: the step at which training would end; by default as `horizon` tells.
            metric: the loss that is watched. At least its first 3 observations are kept.
            cost: what the budget is a part of: ``step``; or ``seconds``, ``joules`` or ``usd``, of
                which each run of a group may then spend as much as the others: the budget's part
                of the median of what they logged in all.

        Raises:
            InputError: if the budget is outside (0, 1], more than one limit is given, or a run did
                not log the cost.

        Examples:
            >>> curves = CurveSet.from_losses({"a": np.linspace(2, 1, 100)})
            >>> curves.prefix(budget=0.1).observations.height
            10
        """
        limits = [limit for limit in (budget, steps, epochs, horizon) if limit is not None]
        if len(limits) - (horizon is not None) > 1:
            raise InputError("give one of budget, steps and epochs, not several")
        if budget is not None and not 0 < budget <= 1:
            raise InputError(f"budget {budget:g} is outside (0, 1]; write 0.1 or 10%")
        if any(limit <= 0 for limit in limits):
            raise InputError(f"a prefix and a horizon must be longer than 0, got {min(limits):g}")
        metric = self.metric(metric)
        ends = {g: self.horizon(g, metric) if horizon is None else horizon for g in self.groups}
        if budget is None and steps is None and epochs is None:
            return replace(self, horizons=ends)
        by = "step" if budget is None else cost
        along = ends if by == "step" else self._wholes(cost)
        kept = self._within(metric, self._limits(budget, steps, along), epochs, by)
        return CurveSet(self.observations.filter(pl.Series(kept)), self.runs, self.name, ends)

    def _within(
        self, metric: str, limits: NDArray[np.float64], epochs: int | None, cost: str
    ) -> NDArray[np.bool_]:
        """Which observations a prefix has: those within its limit or before the third loss.

        By numpy, since joins over millions of observations take longer than all that follows.
        """
        step = self.observations["step"].cast(pl.Float64).to_numpy()
        if cost == "step" and epochs is None and not self.observations[metric].null_count():
            return self._up_to(step, limits)
        row = self.observations["run_id"].to_numpy()
        seen = self.observations[metric].is_not_null().to_numpy()
        counted = np.concatenate([[0], np.cumsum(seen)])
        number = counted[1:] - counted[self._starts[row]]  # of the loss within its run, from 1
        spent = step
        if cost != "step":
            spent = self.observations[cost].cast(pl.Float64).fill_null(np.nan).to_numpy()
        within = spent <= limits[row]
        if epochs is not None and "epoch" in self.observations.columns:
            epoch = self.observations["epoch"].cast(pl.Float64).fill_null(np.nan).to_numpy()
            within = np.where(np.isnan(epoch), number <= epochs, epoch < epochs)
        elif epochs is not None:
            within = number <= epochs
        last = np.flatnonzero(seen & (within | (number <= SHORTEST_PREFIX)))
        cut = np.full(len(self), -np.inf)
        cut[row[last]] = step[last]  # steps rise within a run: the last one stays
        return np.asarray((step <= cut[row]) | (spent <= limits[row]))

    def _wholes(self, cost: str) -> dict[str, float]:
        """What a whole run of each group costs: the median of what its runs logged in all."""
        if cost not in COSTS:
            raise InputError(f"cost {cost!r} is unknown; use one of: step, {', '.join(COSTS)}")
        if cost not in self.observations.columns:
            raise InputError(f"{self._what()} has no column {cost!r} to take a part of")
        value = self.observations[cost].cast(pl.Float64).fill_null(np.nan).to_numpy()
        whole = np.full(len(self), np.nan)
        known = np.isfinite(value)
        np.fmax.at(whole, self.observations["run_id"].to_numpy()[known], value[known])
        if np.isnan(whole).any():
            run = self.runs["run"][int(np.argmax(np.isnan(whole)))]
            raise InputError(f"run {run!r} logged no {cost}; rank the runs that did, or by step")
        return {g: float(np.median(whole[a:b])) for g, (a, b) in self._extents.items()}

    def _up_to(self, step: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.bool_]:
        """As `_within`, where each observation has the loss: a search in each run's steps."""
        kept = np.zeros(len(step), dtype=bool)
        starts = self._starts.tolist()
        for start, stop, limit in zip(starts[:-1], starts[1:], limits.tolist(), strict=True):
            seen = int(np.searchsorted(step[start:stop], limit, side="right"))
            kept[start : min(start + max(seen, SHORTEST_PREFIX), stop)] = True
        return kept

    def _limits(
        self, budget: float | None, steps: float | None, ends: Mapping[str, float]
    ) -> NDArray[np.float64]:
        """The last step of each run's prefix, -inf where it is counted otherwise."""
        limits = np.full(len(self), -np.inf)
        for group, (first, last) in self._extents.items():
            limit = steps if budget is None else budget * ends[group]
            limits[first:last] = -np.inf if limit is None else limit
        return limits

    def prefixes(self, *, metric: str | None = None, axis: Axis = "observation") -> list[Prefixes]:
        """The runs as the scores see them, a `Prefixes` for each group.

        Raises:
            InputError: if the metric cannot be told, or the axis is unknown.
        """
        if axis not in AXES:
            raise InputError(f"axis {axis!r} is unknown; use one of: {', '.join(AXES)}")
        metric = self.metric(metric)
        hidden = ("final", "final_metric", "higher_is_better", "diverged", "end_reason")
        out = []
        for group, (first, last) in self._extents.items():
            rows = self._rows(first, last).rename({"run_id": "row"})
            settings = self.runs[first:last]
            out.append(
                Prefixes(
                    group=group,
                    runs=tuple(settings["run"]),
                    frame=rows.with_columns(row=pl.col("row") - first),
                    metric=metric,
                    horizon=self.horizon(group, metric),
                    axis=axis,
                    settings=settings.drop(c for c in hidden if c in settings.columns),
                )
            )
        return out

    @cached_property
    def _extents(self) -> dict[str, tuple[int, int]]:
        """The first and one past the last run_id of each group."""
        ends = self.runs.group_by("group", maintain_order=True).len()
        stops = np.cumsum(ends["len"].to_numpy()).tolist()
        starts = [0, *stops[:-1]]
        return dict(zip(ends["group"].to_list(), zip(starts, stops, strict=True), strict=True))

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Where each run's observations start, shape (runs + 1,)."""
        return np.searchsorted(self.observations["run_id"].to_numpy(), np.arange(len(self) + 1))

    def _rows(self, first: int, last: int) -> pl.DataFrame:
        start, stop = int(self._starts[first]), int(self._starts[last])
        return self.observations.slice(start, stop - start)


_UNITS = {"step": "steps", "epoch": "epochs, from 0", "seconds": "s", "joules": "J", "usd": "USD",
          "step_hint": "steps"}  # fmt: skip


def _write_described(table: pl.DataFrame, path: Path) -> None:
    """A Parquet file, on the disk, whose columns tell their units."""
    import pyarrow.parquet as pq

    arrow = table.to_arrow()
    for i, column in enumerate(arrow.schema):
        if column.name in _UNITS:
            unit = {"unit": _UNITS[column.name]}
            arrow = arrow.set_column(i, column.with_metadata(unit), arrow.column(i))
    with path.open("wb") as file:
        pq.write_table(arrow, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())


def as_polars(table: Any) -> pl.DataFrame | None:
    """A pandas, polars or Arrow table as a polars one; None stays None.

    Raises:
        InputError: if it is no table.
    """
    if table is None:
        return None
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    import narwhals as nw

    try:
        polars: pl.DataFrame = nw.from_native(table, eager_only=True).to_polars()
    except TypeError:
        kind = type(table).__name__
        raise InputError(f"expected a pandas, polars or Arrow table, got {kind}") from None
    return polars
