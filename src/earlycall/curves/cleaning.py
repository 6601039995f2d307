"""From a table as it was logged to clean observations: types, steps, epochs, duplicates."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl

from earlycall.curves.columns import KEYS, STEP_COUNTERS, role
from earlycall.errors import CurveWarning, InputError


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
        return column.cast(pl.Float64) if column.dtype.is_decimal() else column
    if column.dtype in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64)
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype != pl.String:
        return None
    text = column.str.strip_chars()
    text = text.set(text.is_in(["", "NA", "N/A", "null", "None", "-"]), None)
    parsed = text.cast(pl.Float64, strict=False)
    filled = text.len() - text.null_count()
    bad = text.is_not_null() & parsed.is_null()
    known = column.name in KEYS or role(column.name) in ("training loss", "validation loss")
    if not bad.any():
        return parsed
    if int(bad.sum()) * 2 > filled and not known:
        return None
    return int(bad.arg_max() or 0)


def clean_observations(table: pl.DataFrame | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sorted, unique, numeric observations, and the runs they belong to.

    Args:
        table: a row per observation, as `CurveSet.from_frame` takes it.

    Returns:
        The observations (``run_id``, ``step``, ``epoch`` counted from 0 …) sorted by run and step,
        and the keys (``group``, ``run``) sorted, whose row number is ``run_id``.

    Raises:
        InputError: naming the run, column and row that cannot be used.
    """
    if table is None or not table.width:
        raise InputError("the table of curves is empty")
    run_ids, keys = _number_runs(table)
    rows = table.drop("group", "run", strict=False).with_columns(run_id=run_ids)
    rows = _numeric(rows, keys)
    rows = _with_steps(rows, keys)
    rows = _recorded_nans(rows)
    if _in_order(rows):
        return _count_epochs(rows), keys
    return _count_epochs(_one_row_per_step(rows, keys)), keys


def clean_runs(runs: pl.DataFrame | None, keys: pl.DataFrame) -> pl.DataFrame:
    """What is known of each run, a row for each key, in the order of the keys.

    Raises:
        InputError: if there is no ``run`` column, or a run has two rows.
    """
    if runs is None:
        return keys
    if "run" not in runs.columns:
        raise InputError(f"the table of runs has no column 'run'; found: {', '.join(runs.columns)}")
    runs = runs.with_columns(pl.col("run").cast(pl.String))
    on = ["group", "run"] if "group" in runs.columns else ["run"]
    runs = runs.with_columns(pl.col(on).cast(pl.String))
    twice = runs.filter(pl.struct(on).is_duplicated())
    if twice.height:
        raise InputError(f"the table of runs has two rows for run {twice['run'][0]!r}")
    return keys.join(runs, on=on, how="left", maintain_order="left")


def _number_runs(table: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """The run_id of each row, and the sorted keys that it counts.

    Names are compared once per block of rows of the same run, since comparing strings is what
    loading a large table would otherwise spend its time and memory on.
    """
    names = [key for key in ("group", "run") if key in table.columns]
    changed = np.zeros(table.height, dtype=bool)
    changed[:1] = True
    for key in names:
        column = table[key]
        if column.null_count():
            row = column.is_null().arg_max()
            raise InputError(f"column {key!r}, row {row}: the name is missing")
        category = column.cast(pl.String).cast(pl.Categorical) if _is_plain(column) else column
        code = category.to_physical().to_numpy()
        changed[1:] |= code[1:] != code[:-1]
    starts = np.flatnonzero(changed)
    if not len(starts):
        raise InputError("the table of curves has no rows")
    blocks = pl.DataFrame(
        {
            "group": table["group"].gather(starts) if "group" in names else ["all"] * len(starts),
            "run": table["run"].gather(starts) if "run" in names else ["run"] * len(starts),
        }
    ).cast(pl.String)
    keys = blocks.unique().sort("group", "run")
    numbered = keys.with_row_index("run_id")
    ids = blocks.join(numbered, on=["group", "run"], how="left", maintain_order="left")["run_id"]
    lengths = np.diff(np.append(starts, table.height))
    return pl.Series("run_id", np.repeat(ids.to_numpy(), lengths)), keys


def _is_plain(names: pl.Series) -> bool:
    """Whether names are not categories yet."""
    return names.dtype not in (pl.Categorical, pl.Enum)


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
        if parsed is not None:
            columns.append(parsed)
    return pl.DataFrame(columns)


def _with_steps(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Give every observation a step: the log's own, else the epoch, else its number."""
    rows = with_step_name(rows)
    metrics = _metrics(rows)
    empty = _nothing(metrics) if metrics else pl.lit(value=True)
    number = _numbered(rows)
    if "step" not in rows.columns or not rows["step"].count():
        return rows.with_columns(step=number)
    if rows["step"].null_count():
        own = pl.col("step").count().over("run_id") > 0
        rows = rows.with_columns(step=pl.when(own).then(pl.col("step")).otherwise(number))
        rows = rows.filter(~(pl.col("step").is_null() & empty))
    step = rows["step"]
    bad = step.is_null()
    if step.dtype.is_float():
        bad |= ~step.is_finite()
    if bad.any():
        row = int(bad.arg_max() or 0)
        run, value = keys["run"][int(rows["run_id"][row])], rows["step"][row]
        raise InputError(f"run {run!r}, column 'step', row {row}: {value} is not a step")
    return _undo_step_per_epoch(rows, keys)


def with_step_name(rows: pl.DataFrame) -> pl.DataFrame:
    """The column of steps by the name of ``step``, whichever of the usual names it has.

    Examples:
        >>> with_step_name(pl.DataFrame({"iter": [1], "loss": [2.0]})).columns
        ['step', 'loss']
    """
    name = next((n for n in STEP_COUNTERS if n in rows.columns), None)
    return rows if name is None else rows.rename({name: "step"})


def _numbered(rows: pl.DataFrame) -> pl.Expr:
    """The steps of runs that logged none: the epochs, where each has one, else the numbers."""
    number = pl.int_range(1, pl.len() + 1).over("run_id")
    if "epoch" not in rows.columns:
        return number
    once = pl.col("epoch").is_not_null().all() & pl.col("epoch").is_unique().all()
    return pl.when(once.over("run_id")).then(pl.col("epoch")).otherwise(number)


def _undo_step_per_epoch(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Number the observations through where the log starts its steps anew in each epoch."""
    if "epoch" not in rows.columns or rows["epoch"].null_count() or _in_order(rows):
        return rows
    per_step = rows.group_by("run_id", "step").agg(pl.col("epoch").n_unique().alias("epochs"))
    anew = per_step.group_by("run_id").agg((pl.col("epochs") > 1).mean().alias("part"))
    ids = anew.filter(pl.col("part") > 0.5)["run_id"].sort()
    if not len(ids):
        return rows
    _warn(ids, keys, "steps start anew in each epoch; observations are numbered through instead")
    number = pl.struct("epoch", "step").rank("dense").over("run_id")
    chosen = pl.col("run_id").is_in(ids.implode())
    return rows.with_columns(step=pl.when(chosen).then(number).otherwise(pl.col("step")))


def _recorded_nans(rows: pl.DataFrame) -> pl.DataFrame:
    """A row with a step but without any metric records that the loss was not a number.

    Tables that went through pandas lose the difference between a NaN and a missing value. A metric
    that the run never logged stays missing, unless the run never logged any.
    """
    metrics = _metrics(rows)
    if not metrics or not rows.select(_nothing(metrics).any()).item():
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
    metrics = [c for c in table.columns if c not in (*KEYS, *STEP_COUNTERS)]
    return table.filter(~_nothing(metrics)) if metrics else table


def _metrics(rows: pl.DataFrame) -> list[str]:
    return [c for c in rows.columns if c not in KEYS]


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


def _one_row_per_step(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Sort by run and step; of a value logged twice at a step, the last one wins.

    A log may spread a step over several rows (Lightning writes training and validation apart), and
    a restarted run logs again the steps since its checkpoint.
    """
    rows = rows.sort("run_id", maintain_order=True)
    if _in_order(rows):
        return rows
    rows = rows.sort("run_id", "step", maintain_order=True)
    repeated = _repeats(rows)
    shared = rows.filter(repeated)
    if not shared.height:
        return rows
    values = pl.exclude("run_id", "step")
    by_step = shared.group_by("run_id", "step", maintain_order=True)
    merged = by_step.agg(values.drop_nulls().last())
    metrics = _metrics(rows)
    twice = by_step.agg(
        pl.max_horizontal(pl.col(metrics).count()).max().alias("n")
        if metrics
        else pl.lit(0).alias("n")
    ).filter(pl.col("n") > 1)
    if twice.height:
        what = f"{twice.height} steps were logged more than once; the last value of each is kept"
        _warn(twice["run_id"].unique().sort(), keys, what)
    return pl.concat([rows.filter(~repeated), merged.select(rows.columns)]).sort("run_id", "step")


def _count_epochs(rows: pl.DataFrame) -> pl.DataFrame:
    """Epochs as whole numbers from 0; 0.5 and 1.0 of a fractional log both lie in the first."""
    if "epoch" not in rows.columns:
        return rows
    epoch = pl.col("epoch").cast(pl.Float64).forward_fill().backward_fill().over("run_id")
    rows = rows.with_columns(epoch=epoch)
    if not rows["epoch"].count():
        return rows.drop("epoch")
    fractional = (pl.col("epoch") % 1 != 0).any().over("run_id")
    from_zero = pl.col("epoch") - pl.col("epoch").min().over("run_id")
    ended = (pl.col("epoch").ceil() - 1).clip(0)
    return rows.with_columns(epoch=pl.when(fractional).then(ended).otherwise(from_zero))


def _warn(run_ids: pl.Series, keys: pl.DataFrame, what: str) -> None:
    """Warn of something that concerns some runs, naming the first few."""
    names = keys["run"].gather(run_ids).to_list()
    more = f" and {len(names) - 3} more runs" if len(names) > 3 else ""
    listed = ", ".join(repr(n) for n in names[:3])
    warnings.warn(f"run {listed}{more}: {what}", CurveWarning, stacklevel=4)
