"""Neptune: Parquet files of its exporter, and CSV files of what `neptune_query` fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.inside import head_of, is_inside
from earlycall.readers.base.log import Log, by_step, number_or_text, settings, table_of
from earlycall.readers.formats import delimited

NAME = "Neptune exports"
WHOLE_TREE = False
_COLUMNS = {
    "run_id", "attribute_path", "attribute_type", "step", "timestamp", "float_value",
}  # fmt: skip
_SETTINGS = {"float": "float_value", "int": "int_value", "string": "string_value",
             "bool": "bool_value"}  # fmt: skip
_SYSTEM = ("sys/", "monitoring/", "source_code/")
_FETCHED = b"experiment,step,"


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a table of the exporter, or of metrics by experiment and step."""
    return head.startswith(_FETCHED) or _is_exported(path, head)


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder has tables of the exporter, of which a run may have several."""
    return any(
        _is_exported(folder / name, head_of(folder / name)) for name in files if claims(name)
    )


def claims(name: str) -> bool:
    """Whether a file may be one of the exporter's."""
    return name.endswith(".parquet")


def _is_exported(path: Path, head: bytes) -> bool:
    if not head.startswith(b"PAR1"):
        return False
    try:
        return pl.read_parquet_schema(path.open("rb")).keys() >= _COLUMNS
    except (pl.exceptions.PolarsError, OSError):
        return False


def parts(path: Path, state: State) -> Iterator[Log]:
    """The runs, by the steps of their float series; all else that was set is a setting.

    Raises:
        InputError: if a table is damaged, or there is no float series.
    """
    if path.is_file() and head_of(path).startswith(_FETCHED):
        table = delimited.table(path, growing=True)
        yield Log(table.rename({"experiment": "run"}).cast({"run": pl.String}))
        return
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    tables = [
        _load(file)
        for file in files
        if is_inside(file, file.parent) and _is_exported(file, head_of(file))
    ]
    table = pl.concat(tables, how="diagonal_relaxed")
    series = table.filter(
        pl.col("attribute_type") == "float_series", ~_starts_with("attribute_path", _SYSTEM)
    )
    if not series.height:
        raise EmptyLogError(f"{path}: no series of numbers in this export")
    started = series.group_by("run").agg(pl.col("time").min().alias("started"))
    long = series.join(started, on="run").select(
        "run",
        "step",
        name=pl.col("attribute_path"),
        value=pl.col("float_value"),
        seconds=pl.col("time") - pl.col("started"),
    )
    yield Log(by_step(long), _runs(table, started))


def _load(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path.read_bytes()).with_columns(
            pl.col("attribute_path", "attribute_type").cast(pl.String),
            pl.col("run_id").cast(pl.String).alias("run"),
            pl.col("step", "float_value").cast(pl.Float64),
            time=pl.col("timestamp").dt.epoch("ms") / 1000,
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{path}: not a whole export of Neptune ({why}); copy it again") from None


def _starts_with(column: str, beginnings: tuple[str, ...]) -> pl.Expr:
    return pl.any_horizontal(pl.col(column).str.starts_with(b) for b in beginnings)


def _runs(table: pl.DataFrame, started: pl.DataFrame) -> pl.DataFrame:
    """A row for each run that has a series."""
    runs: dict[str, dict[str, Any]] = {
        run: {"run": run, "started": when} for run, when in started.iter_rows()
    }
    own = table.filter(~_starts_with("attribute_path", _SYSTEM))
    for kind, column in _SETTINGS.items():
        if column not in own.columns:
            continue
        chosen = own.filter(pl.col("attribute_type") == kind).select(
            "run", "attribute_path", column
        )
        for run, name, value in chosen.iter_rows():
            if run in runs:
                is_text = isinstance(value, str)
                runs[run] |= settings({name: number_or_text(value) if is_text else value})
    return table_of(list(runs.values()))
