"""From a table as it was logged to clean observations: types, steps, epochs, duplicates."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable, Sequence
from copy import copy
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earlycall.curves.columns import (
    CALL_COUNTERS,
    COSTS,
    KEYS,
    is_epoch,
    is_named_step,
    is_step_counter,
    role,
    step_counters,
)
from earlycall.errors import CurveWarning, InputError, first_of

_PATTERN = re.compile(r"\*$|\^.*\$$", re.DOTALL)
_LOGGED = "epoch as logged"
_RUN_NUMBERS = ("final", "step_hint", "started", "ended")
_MISSING = ("", "NA", "N/A", "null", "None", "-")  # cells of text
_MAX_STEP = 1e100  # and cost: products of two stay finite
_NOT_OF_NUMPY = ("Int128", "UInt128", "Decimal")  # types


def numbers(column: pl.Series) -> pl.Series | int | None:
    """A column as numbers.

    Args:
        column: shape (rows,), of any type.

    Returns:
        The numbers; or the row of the first cell that is text in an otherwise numeric column; or
        None where the column is not numeric at all (dates, names, lists).

    Examples:
        >>> numbers(pl.Series(["1", "nan", None])).to_list(), numbers(pl.Series(["1", "2", "x"]))
        ([1.0, nan, None], 2)
    """
    if column.dtype.is_numeric():
        return column.cast(pl.Float64) if _needs_cast(column.dtype) else column
    if column.dtype in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64)
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype != pl.String:
        return None
    text = column.str.strip_chars()
    text = text.set(text.is_in(_MISSING), None)
    parsed = text.cast(pl.Float64, strict=False)
    filled = text.len() - text.null_count()
    bad = text.is_not_null() & parsed.is_null()
    known = column.name in KEYS or role(column.name) in ("training loss", "validation loss")
    if not bad.any():
        return parsed
    if int(bad.sum()) * 2 > filled and not known:
        return None
    return int(bad.arg_max() or 0)


class RereadRequiredError(Exception):
    """New rows change what the rows before them mean, so that all must be read together."""


class Observations:
    """The clean observations of one or more runs, to which further ones are added.

    Cleaning keeps the columns of numbers, gives every row a step, leaves one row per step (of a
    value logged twice the last one wins) and counts epochs from 0. What is added to a single run
    costs time in proportion to what is new and to the rows that it overlaps.

    Args:
        run: the run's name, for a table without a column ``run``.
        by_step: whether each table has a row per step, rather than rows as they were logged.

    Attributes:
        keys: ``group`` and ``run`` of each run, sorted; the row number is the ``run_id``.
        renumbered: the ``run_id`` of runs whose steps started anew in each epoch.
        counted: the ``run_id`` of runs whose rows were counted, since no step was logged.
        repeated: the ``run_id`` of each step that was logged more than once.
        counter: the column that counts the steps, None where epochs do, or rows were counted.
        extensible: whether rows can be added: to one run that its log does not name, with steps.

    Examples:
        >>> rows = Observations()
        >>> rows.add(pl.DataFrame({"step": [1, 2], "loss": [4.0, 3.0]}))
        >>> rows.add(pl.DataFrame({"step": [2, 3], "loss": [2.5, 2.0]}))
        >>> rows.frame()["loss"].to_list()
        [4.0, 2.5, 2.0]
    """

    def __init__(self, run: str = "run", *, by_step: bool = False) -> None:
        self.keys = pl.DataFrame(schema={"group": pl.String, "run": pl.String})
        self.renumbered = self.repeated = self.counted = pl.Series(dtype=pl.UInt32)
        self.extensible = True
        self.counter: str | None = None
        self._run, self._by_step = run, by_step
        self._parts: list[pl.DataFrame] = []  # by run and step, with the epochs as logged
        self._first_epoch, self._fractional = 0.0, False

    def add(self, table: pl.DataFrame) -> None:
        """Add a row per observation, as `CurveSet.from_frame` takes them.

        Raises:
            InputError: naming the run, column and row that cannot be used.
            RereadRequiredError: if the rows so far would be cleaned otherwise together with these;
                they stay as they are.
        """
        table = _without_patterns(table)
        if self._parts:
            kept, new = self._continuation(table)
        else:
            kept, new = [], self._beginning(table)
        self._parts = _appended(kept, self._count_epochs(new, kept))

    def named(self) -> pl.DataFrame:
        """The keys; with ``step_unit`` where the steps of a run are no steps of training.

        They are calls of ``log()``, or its observations, which were counted for want of steps.
        """
        calls = self.counter in CALL_COUNTERS
        if not calls and not len(self.counted):
            return self.keys
        unit = np.full(len(self.keys), "call" if calls else None, dtype=object)
        unit[self.counted.unique().to_numpy()] = "observation"
        return self.keys.with_columns(step_unit=pl.Series(unit, dtype=pl.String))

    def replaced(self, rows: pl.DataFrame) -> Observations:
        """The same runs with other observations, which are clean."""
        other = copy(self)
        other._parts = [rows]
        return other

    def epochs_as_logged(self) -> pl.DataFrame | None:
        """``step`` and whole ``epoch`` as they were logged, None where epochs are not whole."""
        if not self._parts or _LOGGED not in self._parts[0].columns or self._fractional:
            return None
        parts = [part.select("step", pl.col(_LOGGED).alias("epoch")) for part in self._parts]
        return pl.concat(parts)

    def frame(self) -> pl.DataFrame:
        """All observations: ``run_id``, ``step`` …, sorted by both."""
        rows = pl.concat(self._parts, rechunk=False)
        empty = [name for name, kind in rows.schema.items() if kind == pl.Null]
        rows = rows.with_columns(pl.col(empty).cast(pl.Float64)) if empty else rows
        return rows.drop(_LOGGED) if _LOGGED in rows.columns else rows

    def _beginning(self, table: pl.DataFrame) -> pl.DataFrame:
        run_ids, self.keys = _number_runs(table, self._run)
        others = [c for c in table.get_columns() if c.name not in ("group", "run", "run_id")]
        rows = _numeric(pl.DataFrame([*others, run_ids]), self.keys)
        self.counter = _counter(rows)
        rows = _with_usual_names(rows, self.counter)
        self.extensible = "step" in rows.columns and not rows["step"].null_count()
        rows, self.counted = _with_steps(rows, self.keys, self.counter)
        rows, moved = (rows, False) if self._by_step else _after_their_training(rows)
        rows, self.renumbered = _undo_step_per_epoch(rows)
        named = {"group", "run"} & set(table.columns)
        self.extensible &= not (named or moved or len(self.renumbered))
        rows = _recorded_nans(rows)
        if not _in_order(rows):
            rows, self.repeated = _one_row_per_step(rows)
        return _with_rising_seconds(rows)

    def _continuation(self, table: pl.DataFrame) -> tuple[list[pl.DataFrame], pl.DataFrame]:
        """The parts that stay as they are, and the rows that follow them."""
        if not self.extensible or {"group", "run"} & set(table.columns):
            raise RereadRequiredError
        rows = table.with_columns(run_id=pl.lit(0, dtype=pl.UInt32))
        rows = _numeric(rows, self.keys)
        if self.counter not in rows.columns:
            raise RereadRequiredError
        rows = _with_usual_names(rows, self.counter)
        metrics = _metrics(rows)
        if not metrics or "step" not in rows.columns or _not_a_step(rows["step"]).any():
            raise RereadRequiredError
        if _has_empty_row(rows, metrics):
            raise RereadRequiredError
        kept, first = list(self._parts), float(rows["step"].min())  # type: ignore[arg-type]
        again: list[pl.DataFrame] = []
        while kept and kept[-1]["step"][-1] >= first:
            part = kept.pop()
            cut = int(np.searchsorted(part["step"].to_numpy(), first))
            again.insert(0, part[cut:])
            if cut:
                kept.append(part[:cut])
        if not again and _in_order(rows):
            return kept, _following(rows, kept)
        if not self._by_step:
            both = pl.concat([*again, rows], how="diagonal_relaxed")
            if _after_their_training(both)[1]:
                raise RereadRequiredError
        if again and _LOGGED in again[0].columns:
            again = [part.drop("epoch").rename({_LOGGED: "epoch"}) for part in again]
        rows = pl.concat([*again, rows], how="diagonal_relaxed")
        if "epoch" in rows.columns:
            epochs = rows.group_by("step").agg(pl.col("epoch").drop_nulls().n_unique())["epoch"]
            if (epochs > 1).any():  # perhaps steps that start anew in each epoch
                raise RereadRequiredError
        return kept, _following(_one_row_per_step(rows)[0], kept)

    def _count_epochs(self, rows: pl.DataFrame, before: list[pl.DataFrame]) -> pl.DataFrame:
        """Epochs as whole numbers from 0; 0.5 and 1.0 of a fractional log both lie in the first."""
        known = bool(before) and _LOGGED in before[-1].columns
        if "epoch" not in rows.columns:
            if not known:
                return rows
            rows = rows.with_columns(epoch=pl.lit(None, dtype=pl.Float64))
        if not (known or rows["epoch"].count()):
            return rows.drop("epoch")
        if before and not known:
            raise RereadRequiredError  # the rows before would get epochs, too
        epoch = pl.col("epoch").cast(pl.Float64).forward_fill()
        epoch = epoch.fill_null(before[-1][_LOGGED][-1]) if known else epoch.backward_fill()
        rows = rows.with_columns(epoch.over("run_id").alias(_LOGGED))
        epoch = pl.col(_LOGGED)
        is_fractional, first = (epoch % 1 != 0).any(), epoch.min()
        part_fractional, part_first = rows.select(is_fractional.alias("any"), first).row(0)
        if known:
            if part_fractional > self._fractional or part_first < self._first_epoch:
                raise RereadRequiredError
            is_fractional, first = pl.lit(self._fractional), pl.lit(self._first_epoch)
        else:
            self._fractional, self._first_epoch = part_fractional, part_first
            is_fractional, first = is_fractional.over("run_id"), first.over("run_id")
        ended = (epoch.ceil() - 1).clip(0)
        return rows.with_columns(epoch=pl.when(is_fractional).then(ended).otherwise(epoch - first))


def clean_observations(table: pl.DataFrame | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sorted, unique, numeric observations, and the runs they belong to.

    Args:
        table: a row per observation, as `CurveSet.from_frame` takes it.

    Returns:
        The observations (``run_id``, ``step``, ``epoch`` counted from 0 …) sorted by run and step,
        and the keys (``group``, ``run``) sorted, whose row number is ``run_id``; with ``step_unit``
        where steps are no steps of training.

    Raises:
        InputError: naming the run, column and row that cannot be used.
    """
    if table is None or not table.width:
        raise InputError("the table of curves is empty")
    rows = Observations()
    rows.add(table)
    warn_of_repairs([(rows, rows.keys["run"])])
    return rows.frame(), rows.named()


def join_observations(
    sets: Sequence[tuple[pl.DataFrame, pl.DataFrame]],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The clean observations of several sets as those of one.

    Args:
        sets: of each, the observations, and a row per run: ``group``, ``run`` and any others.

    Returns:
        The observations sorted by run and step, and the rows of all runs sorted by group and run.

    Raises:
        InputError: if two sets have a run of the same group and name.
    """
    runs = pl.concat([table for _, table in sets], how="diagonal_relaxed")
    twice = runs.filter(pl.struct("group", "run").is_duplicated())
    if twice.height:
        raise InputError(f"two runs are called {twice['run'][0]!r}; rename one of them")
    order = runs.with_row_index("at").sort("group", "run")["at"].to_numpy()
    new_ids = np.empty(len(order), dtype=np.uint32)
    new_ids[order] = np.arange(len(order), dtype=np.uint32)
    starts = np.cumsum([0, *(len(table) for _, table in sets)])
    places = [new_ids[a:b] for a, b in pairwise(starts)]
    tables = [_renumbered(rows, ids) for (rows, _), ids in zip(sets, places, strict=True)]
    by_first_run = sorted(range(len(sets)), key=lambda i: places[i][:1].tolist())
    whole = pl.concat([tables[i] for i in by_first_run], how="diagonal_relaxed", rechunk=False)
    whole = whole.select(pl.exclude("run_id"), "run_id")
    if 1 < len(sets) < len(runs):  # the runs of one set may lie between those of another
        run_ids = whole["run_id"].to_numpy()
        if np.any(run_ids[1:] < run_ids[:-1]):
            whole = whole.sort("run_id", maintain_order=True)
    return whole, runs[order]


def _renumbered(rows: pl.DataFrame, ids: NDArray[np.uint32]) -> pl.DataFrame:
    if np.all(ids == np.arange(len(ids))):
        return rows
    new = pl.Series("run_id", ids[rows["run_id"].to_numpy()])
    return rows.clone().replace_column(rows.get_column_index("run_id"), new)


def clean_runs(runs: pl.DataFrame | None, keys: pl.DataFrame) -> pl.DataFrame:
    """The settings and outcomes of each run, a row for each key, in the order of the keys.

    Raises:
        InputError: if there is no ``run`` column, or a run has two rows.
    """
    return keys if runs is None else with_settings(keys, clean_run_table(runs))


def with_settings(keys: pl.DataFrame, runs: pl.DataFrame) -> pl.DataFrame:
    """The keys with what a clean table of runs says of each."""
    on = ["group", "run"] if "group" in runs.columns else ["run"]
    return keys.join(runs, on=on, how="left", maintain_order="left")


def clean_run_table(runs: pl.DataFrame) -> pl.DataFrame:
    """The settings and outcomes of runs as numbers, truths and text.

    Raises:
        InputError: if there is no ``run`` column, or a run has two rows.
    """
    if "run" not in runs.columns:
        raise InputError(f"the table of runs has no column 'run'; found: {first_of(runs.columns)}")
    on = ["group", "run"] if "group" in runs.columns else ["run"]
    names = [names_of(runs[name]) for name in on]
    runs = pl.DataFrame([_plain(c) for c in runs.get_columns() if c.name not in on] + names)
    runs = runs.with_columns(
        _checked(runs, name, _as_number) for name in _RUN_NUMBERS if name in runs.columns
    )
    if "restarted" in runs.columns:
        runs = runs.with_columns(_checked(runs, "restarted", _as_restarts))
    twice = runs.filter(pl.struct(on).is_duplicated())
    if twice.height:
        raise InputError(f"the table of runs has two rows for run {twice['run'][0]!r}")
    return runs


def _checked(
    runs: pl.DataFrame, name: str, as_type: Callable[[pl.Series], tuple[pl.Series, str]]
) -> pl.Series:
    """A column of the table of runs, as what it must be.

    Raises:
        InputError: naming the first run of which it is not.
    """
    before = runs[name]
    if before.dtype == pl.String:
        before = before.set(before.str.strip_chars().is_in(_MISSING), None)
    column, kind = as_type(before)
    bad = (before.is_not_null() & column.is_null()).arg_true()
    if len(bad):
        run, found = runs["run"][bad[0]], runs[name][bad[0]]
        raise InputError(
            f"the table of runs, column {name!r}, run {run!r}: {found!r:.60} is not {kind}"
        )
    return column.alias(name)


def names_of(column: pl.Series) -> pl.Series:
    """The names of runs or groups as text.

    Raises:
        InputError: if the column holds lists, or bytes that are no text.
    """
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:
        kind = column.dtype
        raise InputError(
            f"column {column.name!r} holds {kind}, not names; write them as text"
        ) from None


def _plain(column: pl.Series) -> pl.Series:
    """A setting as a number, a truth or text; lists and the like as they are written."""
    kind = column.dtype
    if kind in (pl.Boolean, pl.Null, pl.String, pl.Categorical, pl.Enum):
        return column
    if kind.is_numeric():
        return column.cast(pl.Float64) if _needs_cast(kind) else column
    if kind.is_temporal():
        return column.cast(pl.String) if kind != pl.Duration else column.dt.total_seconds()
    texts = [None if value is None else f"{value!r:.200}" for value in column.to_list()]
    return pl.Series(column.name, texts, dtype=pl.String)


def _needs_cast(kind: pl.DataType) -> bool:
    return str(kind.base_type()) in _NOT_OF_NUMPY


def _as_number(column: pl.Series) -> tuple[pl.Series, str]:
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64), "a number"
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype != pl.String:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64), "a number"
    return column.str.strip_chars().cast(pl.Float64, strict=False), "a number"


def _as_restarts(column: pl.Series) -> tuple[pl.Series, str]:
    """JSON of pairs of numbers."""

    def is_good(text: object) -> bool:
        try:
            pairs = json.loads(text) if isinstance(text, str) else None
            return isinstance(pairs, list) and all(
                math.isfinite(float(a)) and math.isfinite(float(b)) for a, b in pairs
            )
        except (ValueError, TypeError, OverflowError, RecursionError):
            return False

    texts = [text if is_good(text) else None for text in column.to_list()]
    kind = "JSON of pairs [seconds, seconds since 1970], such as [[60, 1.7e9]]"
    return pl.Series(column.name, texts, dtype=pl.String), kind


def _number_runs(table: pl.DataFrame, default: str) -> tuple[pl.Series, pl.DataFrame]:
    """The run_id of each row, and the sorted keys that it counts.

    Names are compared once per block of rows of the same run, since comparing strings is what
    loading a large table would otherwise spend its time and memory on.
    """
    names = [key for key in ("group", "run") if key in table.columns]
    if not names and table.height:
        one = pl.DataFrame({"group": ["all"], "run": [default]})
        return pl.Series("run_id", np.zeros(table.height, dtype=np.uint32)), one
    changed = np.zeros(table.height, dtype=bool)
    changed[:1] = True
    for key in names:
        column = table[key]
        if column.null_count():
            row = column.is_null().arg_max()
            raise InputError(f"column {key!r}, row {row}: the name is missing")
        if column.dtype in (pl.Categorical, pl.Enum):
            code = column.to_physical().to_numpy()
            changed[1:] |= code[1:] != code[:-1]
        else:
            names_here = names_of(column)
            changed[1:] |= (names_here[1:] != names_here[:-1]).to_numpy()
    starts = np.flatnonzero(changed)
    if not len(starts):
        raise InputError("the table of curves has no rows")
    blocks = pl.DataFrame(
        {
            "group": table["group"].gather(starts) if "group" in names else ["all"] * len(starts),
            "run": table["run"].gather(starts) if "run" in names else [default] * len(starts),
        }
    ).cast(pl.String)
    keys = blocks.unique().sort("group", "run")
    numbered = keys.with_row_index("run_id")
    ids = blocks.join(numbered, on=["group", "run"], how="left", maintain_order="left")["run_id"]
    lengths = np.diff(np.append(starts, table.height))
    return pl.Series("run_id", np.repeat(ids.to_numpy(), lengths)), keys


def _without_patterns(table: pl.DataFrame) -> pl.DataFrame:
    """A table without names that Polars takes for patterns of names: they end in a space."""
    if not any(_PATTERN.match(name) for name in table.columns):
        return table
    table = table.clone()
    table.columns = [f"{name} " if _PATTERN.match(name) else name for name in table.columns]
    return table


def _numeric(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Only the columns that hold numbers; a stray text among them is an error."""
    columns = []
    for column in rows.get_columns():
        parsed = numbers(column)
        if isinstance(parsed, int):
            run = keys["run"][int(rows["run_id"][parsed])]
            raise InputError(
                f"run {run!r}, column {column.name!r:.80}, row {parsed}: "
                f"{column[parsed]!r:.60} is not a number"
            )
        if parsed is not None and column.name in COSTS and parsed.dtype.is_float():
            size = np.abs(parsed.to_numpy())
            far = (size > _MAX_STEP) & (size < np.inf)
            if far.any():
                row = int(far.argmax())
                run = keys["run"][int(rows["run_id"][row])]
                raise InputError(
                    f"run {run!r}, column {column.name!r}, row {row}: {parsed[row]} cannot be; "
                    "correct or empty the cell"
                )
        if parsed is not None:  # a column without a value has no type yet
            columns.append(column if column.dtype == pl.Null else parsed)
    return pl.DataFrame(columns)


def _with_steps(
    rows: pl.DataFrame, keys: pl.DataFrame, counter: str | None
) -> tuple[pl.DataFrame, pl.Series]:
    """Give every observation a step: the log's own, else the epoch, else its number.

    A row without one, in a log that has them, lies at the step that it follows, unless it has
    metrics that other rows have with a ``step``; what stands before the first step is no
    observation. The ids of runs whose rows were counted come along.
    """
    none = pl.Series(dtype=pl.UInt32)
    if "step" not in rows.columns or not rows["step"].count():
        rows = rows.with_columns(step=_numbered(rows))
        return rows, _counted(rows)
    if rows["step"].null_count():
        metrics = _metrics(rows)
        empty = _nothing(metrics) if metrics else pl.lit(value=True)
        own = pl.col("step").count().over("run_id") > 0
        rows = rows.filter(~(pl.col("step").is_null() & own & empty))
        rows = rows.with_columns(_has_own=own, _number=_numbered(rows))
        known = rows.filter(pl.col("step").is_not_null())
        counted = [c for c in metrics if known[c].count()]
        may_follow = pl.lit(counter != "step" or not counted)
        if counted:
            may_follow |= _nothing(counted)
        before = pl.col("step").forward_fill().over("run_id")
        step = pl.when(pl.col("_has_own") & may_follow).then(pl.coalesce("step", before))
        own_step = step.when(pl.col("_has_own")).then(pl.col("step"))
        rows = rows.with_columns(step=own_step.otherwise(pl.col("_number")))
        none = _counted(rows.filter(~pl.col("_has_own")))
        early = pl.col("step").is_null() & (pl.lit(not counted) | _nothing(counted or ["step"]))
        rows = rows.filter(~(early & pl.col("_has_own"))).drop("_has_own", "_number")
        rows = rows.drop(c for c in metrics if c not in counted and not rows[c].count())
    bad = _not_a_step(rows["step"])
    if bad.any():
        row = int(bad.argmax())
        run, value = keys["run"][int(rows["run_id"][row])], rows["step"][row]
        raise InputError(f"run {run!r}, column 'step', row {row}: {value} is not a step")
    return rows, none


def _counted(rows: pl.DataFrame) -> pl.Series:
    """The ids of runs whose steps are not their epochs."""
    if "epoch" in rows.columns:
        rows = rows.filter(pl.col("step").ne_missing(pl.col("epoch").cast(pl.Float64)))
    return rows["run_id"].unique().sort()


def _not_a_step(step: pl.Series) -> NDArray[np.bool_]:
    if step.dtype.is_float():
        return np.asarray(~(np.abs(step.to_numpy()) <= _MAX_STEP))  # a null is a NaN there
    return np.asarray(step.is_null().to_numpy())


def _counter(rows: pl.DataFrame) -> str | None:
    """The column of steps: the first of the known counters that does count."""
    found = step_counters(rows.columns)
    return next((name for name in found if name == "step" or _counts(rows, name)), None)


def _counts(rows: pl.DataFrame, name: str) -> bool:
    """Whether a column changes in some run, or there is nothing yet in which it could.

    A column of tokens that falls as often as it rises tells the size of each batch.
    """
    known = rows.select("run_id", pl.col(name).alias("count")).drop_nulls()
    if not known.height:
        return False
    change = pl.col("count").cast(pl.Float64).diff()
    runs = known.group_by("run_id", maintain_order=True).agg(
        pl.len(), rises=(change > 0).sum(), falls=(change < 0).sum()
    )
    if (runs["len"] == 1).all():
        return True
    fewer, more = sorted((int(runs["rises"].sum()), int(runs["falls"].sum())))
    return more > (0 if is_named_step(name) else 2 * fewer)


def _with_usual_names(rows: pl.DataFrame, counter: str | None) -> pl.DataFrame:
    """The columns of steps and epochs by these names, without a tracker's count of its calls."""
    names = {} if counter in (None, "step") else {counter: "step"}
    epochs = [name for name in rows.columns if is_epoch(name)]
    if epochs and "epoch" not in epochs:
        names[epochs[0]] = "epoch"
    if counter != "_step" and "_step" in rows.columns:
        rows = rows.drop("_step")
    return rows.rename(names) if names else rows


def _after_their_training(rows: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
    """Validation rows whose step counts epochs (or batches) at the training step that they follow.

    They are rows between those of training, with other metrics and a step below that of the
    training row before. Whether there were any comes along.
    """
    metrics = _metrics(rows)
    if rows.height < 2 or len(metrics) < 2 or _in_order(rows):
        return rows, False
    run, step = rows["run_id"].to_numpy(), rows["step"].cast(pl.Float64).to_numpy()
    falls = np.flatnonzero((run[1:] == run[:-1]) & (step[1:] < step[:-1])) + 1
    if not len(falls):
        return rows, False
    filled = rows.select(pl.col(metrics).is_not_null()).to_numpy()
    row, above = filled[falls], filled[falls - 1]
    apart = np.flatnonzero((row & ~above).any(axis=1) & (above & ~row).any(axis=1))
    if not len(apart):
        return rows, False
    only_training = above[apart[0]] & ~row[apart[0]]
    other = ~filled[:, only_training].any(axis=1)
    training = np.where(other, -1, np.arange(len(step)))
    before = np.maximum.accumulate(training)
    known = other & (before >= 0)
    known[known] &= run[before[known]] == run[known]
    at = np.flatnonzero(known)
    behind = step[at] < step[before[at]]
    ahead = step[at] > step[before[at]]
    if not len(at) or ahead.any() or 2 * behind.sum() < len(at):
        return rows, False
    if len(at) > 1 and 4 * len(np.unique(before[at])) < len(at):
        return rows, False
    step = step.copy()
    step[at] = step[before[at]]
    of_training = [m for m, mine in zip(metrics, above[apart[0]], strict=True) if mine]
    moved = np.zeros(len(step), dtype=bool)
    moved[at] = True
    return rows.with_columns(
        pl.when(~pl.Series(moved)).then(pl.col(of_training)),
        step=pl.Series(step).cast(rows["step"].dtype),
    ), True


def _with_rising_seconds(rows: pl.DataFrame) -> pl.DataFrame:
    """Seconds that go on where a resumed run counted anew, and never fall.

    A fall to less than half is a clock that began anew; a smaller one is a clock set back.
    """
    if "seconds" not in rows.columns or _is_rising(rows):
        return rows
    seconds = pl.col("seconds").cast(pl.Float64).fill_nan(None)
    before = seconds.forward_fill().shift().over("run_id")
    begun = pl.when(seconds < before / 2).then(before).otherwise(0.0).cum_sum().over("run_id")
    rising = (seconds + begun).cum_max().over("run_id")
    found = rows.select(seconds=seconds, rising=rising)
    if not (found["rising"] > found["seconds"]).any():
        return rows
    return rows.with_columns(seconds=found["rising"])


def _is_rising(rows: pl.DataFrame) -> bool:
    """Whether the seconds of no run fall, as far as numpy can tell at once."""
    if rows["seconds"].null_count():
        return False
    run, seconds = rows["run_id"].to_numpy(), rows["seconds"].to_numpy()
    return bool(np.all((seconds[1:] >= seconds[:-1]) | (run[1:] != run[:-1])))


def _following(rows: pl.DataFrame, before: list[pl.DataFrame]) -> pl.DataFrame:
    """Rows that continue a run, unless their seconds fall.

    Raises:
        RereadRequiredError: if they do.
    """
    if "seconds" in rows.columns:
        parts = [p["seconds"].cast(pl.Float64) for p in before[-1:] if "seconds" in p.columns]
        seconds = pl.concat([*parts, rows["seconds"].cast(pl.Float64)]).drop_nulls().drop_nans()
        if (seconds.diff() < 0).any():
            raise RereadRequiredError
    return rows


def _numbered(rows: pl.DataFrame) -> pl.Expr:
    """The steps of runs that logged none: the epochs, where each has one, else the numbers."""
    number = pl.int_range(1, pl.len() + 1).over("run_id")
    if "epoch" not in rows.columns:
        return number
    once = pl.col("epoch").is_not_null().all() & pl.col("epoch").is_unique().all()
    return pl.when(once.over("run_id")).then(pl.col("epoch")).otherwise(number)


def _undo_step_per_epoch(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Number the rows through where steps start anew in each epoch; the ids of those runs."""
    none = pl.Series(dtype=pl.UInt32)
    if "epoch" not in rows.columns or rows["epoch"].null_count() or _in_order(rows):
        return rows, none
    per_step = rows.group_by("run_id", "step").agg(pl.col("epoch").n_unique().alias("epochs"))
    anew = per_step.group_by("run_id").agg((pl.col("epochs") > 1).mean().alias("part"))
    ids = anew.filter(pl.col("part") > 0.5)["run_id"].sort()
    if not len(ids):
        return rows, none
    number = pl.struct("epoch", "step").rank("dense").over("run_id")
    chosen = pl.col("run_id").is_in(ids.implode())
    return rows.with_columns(step=pl.when(chosen).then(number).otherwise(pl.col("step"))), ids


def _recorded_nans(rows: pl.DataFrame) -> pl.DataFrame:
    """A row with a step but without any metric records that the loss was not a number.

    Tables that went through pandas lose the difference between a NaN and a missing value. A metric
    that the run never logged stays missing, unless the run never logged any.
    """
    metrics = _metrics(rows)
    if not _has_empty_row(rows, metrics):
        return rows
    ids = rows["run_id"].to_numpy()
    at = np.flatnonzero(rows.select(_nothing(metrics)).to_series().to_numpy())
    concerned = rows.filter(pl.col("run_id").is_in(pl.Series(np.unique(ids[at])).implode()))
    counts = concerned.group_by("run_id").agg(pl.col(metrics).count())
    logged = np.zeros((int(ids.max()) + 1, len(metrics)), dtype=bool)
    logged[counts["run_id"].to_numpy()] = counts.drop("run_id").to_numpy() > 0
    logged[~logged.any(axis=1)] = True
    columns = []
    for metric, known in zip(metrics, logged.T, strict=True):
        column, where = rows[metric], at[known[ids[at]]]
        if len(where):
            column = column if column.dtype.is_float() else column.cast(pl.Float64)
            column = column.scatter(where, float("nan"))
        columns.append(column)
    return rows.with_columns(columns)


def without_empty_rows(table: pl.DataFrame) -> pl.DataFrame:
    """The rows in which some metric was recorded.

    For logs as text, which can write NaN: an empty cell is missing, and a last row that is not
    whole yet is left for later.

    Examples:
        >>> table = pl.DataFrame({"step": [1, 2], "loss": [0.5, None]})
        >>> without_empty_rows(table).height
        1
    """
    metrics = [c for c in table.columns if c not in KEYS and not is_step_counter(c)]
    return table.filter(~_nothing(metrics)) if _has_empty_row(table, metrics) else table


def _metrics(rows: pl.DataFrame) -> list[str]:
    return [c for c in rows.columns if c not in KEYS]


def _has_empty_row(rows: pl.DataFrame, metrics: list[str]) -> bool:
    """Whether no metric was recorded in some row; a column without nulls tells at once."""
    if not metrics or not all(rows[name].null_count() for name in metrics):
        return False
    return bool(rows.select(_nothing(metrics).any()).item())


def _nothing(metrics: list[str]) -> pl.Expr:
    return pl.all_horizontal(pl.col(metrics).is_null())


def _in_order(rows: pl.DataFrame) -> bool:
    """Whether rows are sorted by run and step already, without a repeated step."""
    run, step = rows["run_id"].to_numpy(), rows["step"].to_numpy()
    ordered = (run[1:] == run[:-1]) & (step[1:] > step[:-1])
    return bool(np.all(ordered | (run[1:] > run[:-1])))


def _repeats(rows: pl.DataFrame) -> pl.Series:
    """Whether each row, sorted by run and step, shares both with a neighbour."""
    run, step = rows["run_id"].to_numpy(), rows["step"].to_numpy()
    same = (run[1:] == run[:-1]) & (step[1:] == step[:-1])
    return pl.Series(np.append(same, False) | np.insert(same, 0, False))


def _one_row_per_step(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Sort by run and step, one row each; the run_id of each step with a value logged twice.

    A log may spread a step over several rows (Lightning writes training and validation apart), and
    a restarted run logs again the steps since its checkpoint: the last value wins.
    """
    none = pl.Series(dtype=pl.UInt32)
    rows = rows.sort("run_id", maintain_order=True)
    if _in_order(rows):
        return rows, none
    rows = rows.sort("run_id", "step", maintain_order=True)
    repeated = _repeats(rows)
    if not repeated.any():
        return rows, none
    by_step = rows.filter(repeated).group_by("run_id", "step", maintain_order=True)
    merged = by_step.agg(pl.all().drop_nulls().last())
    counts = by_step.agg(pl.col(_metrics(rows)).count())
    several = counts.filter(pl.any_horizontal(pl.lit(value=False), pl.col(_metrics(rows)) > 1))
    whole = pl.concat([rows.filter(~repeated), merged.select(rows.columns)])
    return whole.sort("run_id", "step"), several["run_id"]


def _appended(parts: list[pl.DataFrame], new: pl.DataFrame) -> list[pl.DataFrame]:
    """Parts of one schema with another at the end, joined to those that are not much larger."""
    if not parts:
        return [new]
    both = pl.concat([parts[-1].clear(), new.clear()], how="diagonal_relaxed")
    if both.schema != parts[-1].schema:
        parts = [pl.concat([both, part], how="diagonal_relaxed", rechunk=False) for part in parts]
    parts = [*parts, pl.concat([both, new], how="diagonal_relaxed", rechunk=False)]
    while len(parts) > 1 and parts[-2].height <= 2 * parts[-1].height:
        parts[-2:] = [pl.concat(parts[-2:], rechunk=True)]
    return parts


def warn_of_repairs(cleaned: Sequence[tuple[Observations, pl.Series]]) -> None:
    """Warn of steps that were renumbered or repeated.

    Args:
        cleaned: observations, and what each of their runs is called.
    """
    counted = [name for rows, names in cleaned for name in _gathered(names, rows.counted)]
    if counted:
        _warn(counted, "no column of steps was found; observations are counted instead")
    anew = [name for rows, names in cleaned for name in _gathered(names, rows.renumbered)]
    if anew:
        _warn(anew, "steps start anew in each epoch; observations are numbered through instead")
    repeated = [name for rows, names in cleaned for name in _gathered(names, rows.repeated)]
    if repeated:
        n = sum(len(rows.repeated) for rows, _ in cleaned)
        what = f"{n} steps were logged more than once; the last value of each is kept"
        _warn(sorted(repeated), what)


def _gathered(names: pl.Series, run_ids: pl.Series) -> list[str]:
    return names.gather(run_ids.unique()).to_list() if len(run_ids) else []


def _warn(names: list[str], what: str) -> None:
    """Warn of something that concerns some runs, naming the first few."""
    more = f" and {len(names) - 3} more runs" if len(names) > 3 else ""
    listed = ", ".join(repr(name) for name in names[:3])
    warnings.warn(f"run {listed}{more}: {what}", CurveWarning, stacklevel=4)
