"""One curve set from several logs, and from the table of runs beside them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from earlycall.curves import KEYS, CurveSet
from earlycall.curves.cleaning import with_step_name
from earlycall.curves.columns import training_loss, validation_loss
from earlycall.errors import InputError
from earlycall.readers.base.inside import is_inside
from earlycall.readers.base.log import Log
from earlycall.readers.formats import curve_set

RUN_TABLES = ("runs.parquet", "runs.csv")


def run_table(path: Path) -> pl.DataFrame | None:
    """What is known of each run, from the table beside the logs."""
    for name in RUN_TABLES:
        table = path / name
        if path.is_dir() and is_inside(table, path):
            if name.endswith("parquet"):
                return curve_set.load(table)
            from earlycall.readers.formats import delimited

            return delimited.table(table)
    return None


def assembled(logs: list[tuple[str, Log]], told: pl.DataFrame | None, name: str) -> CurveSet:
    """One curve set from several logs.

    Args:
        logs: what each log's run is called, and what it holds.
        told: a table of runs beside the logs; it has the last word.
        name: what to call the set.

    Raises:
        InputError: if there is no observation, or a column cannot be used.
    """
    logs = [(run, log) for run, log in logs if log.observations.height] or logs
    several = len(logs) > 1
    if any("group" in log.observations.columns for _, log in logs):
        logs = [(run, _in_a_group(log)) for run, log in logs]
    tables = [_named(log.observations, run, several=several) for run, log in logs]
    from_logs = [
        _named(log.runs, run, several=several) for run, log in logs if log.runs is not None
    ]
    if [run for run, _ in logs] != [""]:  # a curve set is taken as it is
        tables = _same_names(tables)
    whole = pl.concat(tables, how="diagonal_relaxed") if several else tables[0]
    try:
        return CurveSet.from_frame(whole, _all_told(from_logs, told), name=name)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _in_a_group(log: Log) -> Log:
    """A log whose runs have a group, that of all runs where they had none."""
    everyone = pl.lit("all").alias("group")
    rows, runs = log.observations, log.runs
    rows = rows if "group" in rows.columns else rows.with_columns(everyone)
    if runs is not None and "group" not in runs.columns:
        runs = runs.with_columns(everyone)
    return Log(rows, runs)


def _named(table: pl.DataFrame, run: str, *, several: bool) -> pl.DataFrame:
    """A table with its run's name."""
    if "run" not in table.columns:
        return table.with_columns(run=pl.lit(run))
    if several:
        return table.with_columns(run=pl.format("{}/{}", pl.lit(run), "run"))
    return table


def _same_names(tables: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Tables in which steps, the training and the validation loss can be found under one name."""
    tables = [with_step_name(table) for table in tables]
    names = [[c for c in table.columns if c not in KEYS] for table in tables]
    training = [training_loss(metrics)[0] for metrics in names]
    joined = len({guess for guess in training if guess is not None}) > 1
    out = []
    for table, metrics, loss in zip(tables, names, training, strict=True):
        new = {"train_loss": loss if joined else None, "val_loss": validation_loss(metrics)[0]}
        added = [
            pl.col(old).alias(name)
            for name, old in new.items()
            if old is not None and name not in table.columns
        ]
        out.append(table.with_columns(added))
    return out


def _all_told(from_logs: list[pl.DataFrame], told: pl.DataFrame | None) -> pl.DataFrame | None:
    """What logs tell of their runs, and what a table beside them does, which has the last word."""
    if not from_logs:
        return told
    logged = pl.concat(_agreeing(from_logs), how="diagonal_relaxed")
    if told is None or "run" not in told.columns:
        return logged if told is None else told
    on = ["group", "run"] if {"group"} <= set(told.columns) & set(logged.columns) else ["run"]
    told = told.with_columns(pl.col(on).cast(pl.String))
    both = told.join(logged, on=on, how="full", coalesce=True, suffix=" of the log")
    for column in [c for c in both.columns if c.endswith(" of the log")]:
        both = both.drop(column)
    return both


def _agreeing(tables: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Tables whose columns can be joined: one that is text in some of them becomes text in all."""
    mixed = {
        name
        for table in tables
        for name in table.columns
        if len({t.schema[name].is_numeric() for t in tables if name in t.columns}) > 1
    }
    return [
        t.with_columns(pl.col([c for c in t.columns if c in mixed]).cast(pl.String)) for t in tables
    ]
