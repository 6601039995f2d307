"""Loss curves: one run's (`Curve`), a group's prefixes (`Prefixes`), many runs' (`CurveSet`).

Terms: a *run* is one training of one model with one setting; a *group* holds runs that may be
compared; a *curve* is the losses of a run along its *steps*; a *prefix* is the part seen so far;
the *horizon* is the step at which training would end; the *budget* is prefix / horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import polars as pl
import polars.selectors as cs

from earlycall.curves.budget import Budget, as_part
from earlycall.curves.cleaning import clean_observations, clean_runs, join_observations
from earlycall.curves.columns import (
    AXES,
    COSTS,
    KEYS,
    Axis,
    Direction,
    known_direction,
    training_loss,
    watched_loss,
)
from earlycall.curves.horizon import Extents, Horizon, full_length, horizon_of
from earlycall.curves.parquet import write_pair
from earlycall.curves.prefixes import Curve, Prefixes
from earlycall.curves.ragged import Ragged
from earlycall.errors import InputError, first_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MIN_PREFIX = 3
MANY_STEPS = 1000  # of a run, from which a search takes less time than looking at all


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
        horizons: where training of each group ends, where that has been fixed (as by `prefix`).
        directions: whether less ("min") or more ("max") of a metric is better, where it was given
            (`directed`); of all others their names tell it.

    Examples:
        >>> curves = CurveSet.from_losses({"a": [2.0, 1.0, 0.9], "b": [2.0, 1.5, 1.2]})
        >>> len(curves), curves.groups, curves.metrics
        (2, ['all'], ['train_loss'])
    """

    observations: pl.DataFrame
    runs: pl.DataFrame
    name: str = ""
    horizons: Mapping[str, Horizon] = field(default_factory=dict)
    directions: Mapping[str, Direction] = field(default_factory=dict)

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
        tables = [(s.observations, s.runs) for s in sets]
        if keys.is_duplicated().any():
            tables = [
                (s.observations, s.runs.with_columns(run=pl.format("{}/{}", pl.lit(s.name), "run")))
                for s in sets
            ]
        observations, runs = join_observations(tables)
        directions = {k: v for s in sets for k, v in s.directions.items()}
        name = " + ".join(s.name for s in sets)
        return cls(observations, runs, name, directions=directions)

    def __len__(self) -> int:
        return self.runs.height

    def __repr__(self) -> str:
        return (
            f"CurveSet({self.name or 'unnamed'}: {len(self)} runs in {len(self.groups)} groups, "
            f"{self.observations.height} observations of {first_of(self.metrics)})"
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
        """Write ``curves.parquet`` and ``runs.parquet`` into a folder, both whole or not at all.

        Of several writers the last one wins; whoever reads meanwhile sees the set of one of them.
        Columns carry what they are and their units in the metadata of the files.

        Raises:
            InputError: if the folder cannot be written.

        Examples:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder:
            ...     _ = CurveSet.from_losses({"a": [2.0, 1.0]}).write(folder)
            ...     sorted(path.name for path in Path(folder).iterdir())
            ['curves.parquet', 'runs.parquet']
        """
        write_pair(self.frame(), self.runs, Path(folder))
        return Path(folder)

    def metric(self, wanted: str | None = None) -> str:
        """The metric to work on: the one wanted, else the training loss by its usual names.

        Raises:
            InputError: if there is no such column, or none or several that could be meant; the
                sentence lists the columns found.
        """
        return self._chosen(wanted, training_loss)

    def watched(self, wanted: str | None = None) -> str:
        """The metric that says when to stop: the one wanted, else the validation or training loss.

        Raises:
            InputError: as `metric` does.
        """
        return self._chosen(wanted, watched_loss)

    def _chosen(
        self, wanted: str | None, usual: Callable[[Sequence[str]], tuple[str | None, list[str]]]
    ) -> str:
        found = first_of(self.metrics) or "no metric at all"
        if wanted is not None:
            if wanted in self.metrics:
                return wanted
            raise InputError(f"{self._what()} has no column {wanted!r}; found: {found}")
        guess, candidates = usual(self.metrics)
        if guess is not None:
            return guess
        what = "several loss columns" if candidates else "no loss column"
        listed = first_of(candidates) or found
        raise InputError(f"{self._what()} has {what}; choose one with --metric; found: {listed}")

    def direction(self, metric: str) -> Direction:
        """Whether less ("min") or more ("max") of a metric is better.

        Raises:
            InputError: if it was not given (`directed`) and the metric's name does not tell.
        """
        return self.directions.get(metric) or known_direction(metric)

    def directed(self, metric: str, direction: Direction | None) -> CurveSet:
        """The set with the direction of a metric, where one is given.

        Raises:
            InputError: if the direction is not "min" or "max".

        Examples:
            >>> curves = CurveSet.from_losses({"a": [1.0, 2.0]}, metric="zeta")
            >>> curves.directed("zeta", "max").direction("zeta")
            'max'
        """
        if direction is None:
            return self
        if direction not in get_args(Direction):
            raise InputError(f"direction={direction!r} must be 'min' or 'max'")
        return replace(self, directions={**self.directions, metric: direction})

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
                known = first_of(self.groups)
                raise InputError(f"{self._what()} has no group {group!r}; found: {known}")
            keep &= pl.col("group") == group
        if runs is not None:
            keep &= pl.col("run").is_in(list(runs))
        return self.filter(self.runs.select(kept=keep)["kept"])

    def filter(self, mask: pl.Series) -> CurveSet:
        """Select runs by a boolean mask.

        Args:
            mask: a boolean for each row of ``runs``, or one for all of them.

        Examples:
            >>> curves = CurveSet.from_losses(np.ones((3, 5)))
            >>> curves.filter(curves.runs["run"] != "1").runs["run"].to_list()
            ['0', '2']
        """
        kept = np.broadcast_to(mask.to_numpy(), len(self))
        if kept.all():
            return self
        new = np.cumsum(kept, dtype=np.uint32) - np.uint32(1)
        old = self.observations["run_id"].to_numpy()
        mine = kept[old]
        rows = self.observations.filter(pl.Series(mine))
        rows = rows.with_columns(run_id=pl.Series(new[old[mine]], dtype=pl.UInt32))
        return replace(self, observations=rows, runs=self.runs.filter(pl.Series(kept)))

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
        """The step at which training of a group would end (`end`), else the largest one logged."""
        return self.end(group, metric).step

    def end(self, group: str, metric: str | None = None) -> Horizon:
        """Where training of a group ends, and how that is known.

        As fixed by `prefix`; else as the settings of its runs say (``step_hint``, ``hp.max_steps``,
        ``hp.epochs`` …); else the length of its finished runs, where none goes on beyond it; else
        unknown, with the largest step at which the metric was logged.
        """
        if group in self.horizons:
            return self.horizons[group]
        first, last = self._extents[group]
        starts = self._starts[first : last + 1]
        ends = np.full(last - first, np.nan)
        filled = starts[1:] > starts[:-1]
        steps = self.observations["step"].gather(starts[1:][filled] - 1)
        ends[filled] = steps.cast(pl.Float64).to_numpy()
        rows = self._rows(first, last)
        return horizon_of(
            Extents(self.runs[first:last], rows, first, ends), self._logged(group, metric)
        )

    def at_full_length(self, metric: str | None = None) -> CurveSet:
        """The set with the horizons of runs that have all finished, as `earlycall.evaluate` has it.

        The median ``step_hint`` of a group, else the largest step at which the metric was logged.
        """
        lengths = {
            group: full_length(self.runs[first:last], self._logged(group, metric))
            for group, (first, last) in self._extents.items()
        }
        return replace(self, horizons={g: Horizon(v, "finished runs") for g, v in lengths.items()})

    def _logged(self, group: str, metric: str | None) -> float:
        """The largest step at which a metric was logged, 0 where it was not."""
        rows = self._rows(*self._extents[group])
        steps = rows["step"]
        if metric is not None and rows[metric].null_count():
            steps = steps.filter(rows[metric].is_not_null())
        largest = steps.max()
        return float(largest) if isinstance(largest, int | float) else 0.0

    def prefix(
        self,
        *,
        budget: Budget | None = None,
        steps: float | None = None,
        epochs: int | None = None,
        horizon: float | None = None,
        metric: str | None = None,
        cost: str = "step",
    ) -> CurveSet:
        """The part of every curve that is seen within a budget; everything when none is given.

        Args:
            budget: part of the horizon, 0.1 or "10%": the observations with step ≤ budget ×
                horizon; of the largest step logged, where the end of training is unknown.
            steps: the observations with step ≤ steps.
            epochs: the observations of the first epochs (of the first observations where the log
                has no epochs).
            horizon: the step at which training would end; by default as `end` tells.
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
        part = None if budget is None else as_part(budget)
        limits = [limit for limit in (part, steps, epochs, horizon) if limit is not None]
        if len(limits) - (horizon is not None) > 1:
            raise InputError("give one of budget, steps and epochs, not several")
        if any(limit <= 0 for limit in limits):
            raise InputError(f"a prefix and a horizon must be longer than 0, got {min(limits):g}")
        metric = self.metric(metric)
        if horizon is not None:
            ends = dict.fromkeys(self.groups, Horizon(float(horizon), "given"))
        else:
            ends = {g: self.end(g, metric) for g in self.groups}
        if part is None and steps is None and epochs is None:
            return replace(self, horizons=ends)
        by = "step" if part is None else cost
        along = {g: end.step for g, end in ends.items()} if by == "step" else self._wholes(cost)
        kept = self._within(metric, self._limits(part, steps, along), epochs, by)
        if kept.all():
            return replace(self, horizons=ends)
        rows = self.observations.filter(pl.Series(kept))
        return replace(self, observations=rows, runs=self._as_of(kept), horizons=ends)

    def _as_of(self, kept: NDArray[np.bool_]) -> pl.DataFrame:
        """The runs as known at a prefix: those that went on beyond it had not ended."""
        if "ended" not in self.runs.columns:
            return self.runs
        beyond = np.zeros(len(self), dtype=bool)
        beyond[self.observations["run_id"].to_numpy()[~kept]] = True
        return self.runs.with_columns(ended=pl.when(~pl.Series(beyond)).then("ended"))

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
        last = np.flatnonzero(seen & (within | (number <= MIN_PREFIX)))
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
        """As `_within`, where each observation has the loss: a search in each run's steps.

        In all steps at once where runs are many and short.
        """
        if len(step) < MANY_STEPS * len(self):
            lengths = np.diff(self._starts)
            kept = step <= np.repeat(limits, lengths)
            first = self._starts[:-1][lengths > 0]
            for i in range(MIN_PREFIX):
                kept[np.minimum(first + i, first + lengths[lengths > 0] - 1)] = True
            return kept
        kept = np.zeros(len(step), dtype=bool)
        starts = self._starts.tolist()
        for start, stop, limit in zip(starts[:-1], starts[1:], limits.tolist(), strict=True):
            seen = int(np.searchsorted(step[start:stop], limit, side="right"))
            kept[start : min(start + max(seen, MIN_PREFIX), stop)] = True
        return kept

    def _limits(
        self, part: float | None, steps: float | None, ends: Mapping[str, float]
    ) -> NDArray[np.float64]:
        """The last step of each run's prefix, -inf where it is counted otherwise."""
        limits = np.full(len(self), -np.inf)
        for group, (first, last) in self._extents.items():
            limit = steps if part is None else part * ends[group]
            limits[first:last] = -np.inf if limit is None else limit
        return limits

    def prefixes(self, *, metric: str | None = None, axis: Axis = "observation") -> list[Prefixes]:
        """The runs as the scores see them, a `Prefixes` for each group.

        Raises:
            InputError: if the metric or its direction cannot be told, or the axis is unknown.
        """
        if axis not in AXES:
            raise InputError(f"axis {axis!r} is unknown; use one of: {', '.join(AXES)}")
        metric = self.metric(metric)
        better = self.direction(metric)
        hidden = ("final", "final_metric", "higher_is_better", "diverged", "end_reason")
        out = []
        for group, (first, last) in self._extents.items():
            rows = self._rows(first, last)
            settings = self.runs[first:last]
            end = self.end(group, metric)
            out.append(
                Prefixes(
                    group=group,
                    runs=tuple(settings["run"]),
                    frame=rows.with_columns(run_id=pl.col("run_id") - first),
                    metric=metric,
                    horizon=end.step,
                    horizon_from=end.source,
                    axis=axis,
                    direction=better,
                    settings=settings.drop(hidden, cs.starts_with("summary."), strict=False),
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
