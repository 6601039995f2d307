"""DVCLive: a folder with a TSV for each metric below ``plots/metrics``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from earlycall.errors import EmptyLogError
from earlycall.readers.base.growing import State
from earlycall.readers.base.inside import files_in
from earlycall.readers.base.log import Log, by_step, table_of
from earlycall.readers.formats import delimited

NAME = "DVCLive folders"
WHOLE_TREE = False
_OWN_FILES = ("metrics.json", "params.yaml", "dvc.yaml", "report.html", "report.md")
_OWN_FOLDERS = ("plots", "artifacts")


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder has metrics as DVCLive lays them out."""
    return (folder / "plots" / "metrics").is_dir() and bool(_tables(folder))


def claims(name: str) -> bool:
    """Whether a file of the folder belongs to the run."""
    return name in _OWN_FILES


def owns(folder: Path, below: list[str]) -> list[str]:
    """Which folders below that of a run belong to it."""
    return [name for name in below if name in _OWN_FOLDERS]


def _tables(folder: Path) -> list[Path]:
    return files_in(folder, "plots/metrics/**/*.tsv")


def parts(folder: Path, state: State) -> Iterator[Log]:
    """The run.

    Raises:
        InputError: naming the file, line and column that cannot be read, or if nothing is logged.
    """
    metrics = folder / "plots" / "metrics"
    tables = []
    for file in _tables(folder):
        try:
            table = delimited.load(file)
        except EmptyLogError:
            continue
        name = file.relative_to(metrics).with_suffix("").as_posix()
        if table.height and {"step", file.stem} <= set(table.columns):
            when = pl.col("timestamp") if "timestamp" in table.columns else pl.lit(None)
            tables.append(table.select(
                pl.col("step").cast(pl.Float64), pl.col(file.stem).alias("value").cast(pl.Float64),
                pl.lit(name).alias("name"), (when.cast(pl.Float64) / 1000).alias("seconds"),
            ))  # fmt: skip
    if not tables:
        raise EmptyLogError(f"{folder}: no metric has been logged yet")
    long = pl.concat(tables)
    started = long["seconds"].min()
    long = long.with_columns(pl.col("seconds") - pl.col("seconds").min())
    yield Log(by_step(long), None if started is None else table_of([{"started": started}]))
