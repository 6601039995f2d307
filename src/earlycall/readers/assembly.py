"""One curve set from several logs, and from the table of runs beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from earlycall.curves import KEYS, CurveSet
from earlycall.curves.cleaning import (
    clean_runs,
    join_observations,
    names_of,
    warn_of_repairs,
)
from earlycall.curves.columns import training_loss, validation_loss
from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.address import Address
from earlycall.readers.base.log import as_text
from earlycall.readers.formats import curve_set
from earlycall.readers.summaries import with_outcomes
from earlycall.readers.trainings import CleanLog, one_run_each


def assembled(logs: list[CleanLog], path: str | Path) -> CurveSet:
    """One curve set from several logs.

    Args:
        logs: the logs.
        path: where they are; a table of runs there has the last word.

    Raises:
        InputError: if there is no log, two runs have one name, or the table of runs is broken.
    """
    address = Address.of(path)
    name = as_text(Path(path).resolve().name) if address is None else address.name
    if not logs:
        raise EmptyLogError(f"{path}: no observation in any log yet")
    is_set = [log.run for log in logs] == [""]  # a curve set is taken as it is
    logs, parts_of = one_run_each(logs)
    several = len(logs) > 1
    keys = [_named(log.keys, log.run, several=several and log.names_runs) for log in logs]
    settings = [_named(log.runs, log.run, several=several) for log in logs if log.runs is not None]
    tables = [log.frame for log in logs]
    if not is_set:
        tables = _same_names(tables)
    try:
        observations, all_keys = join_observations(list(zip(tables, keys, strict=True)))
        beside = None if is_set else _run_table(Path(path), parts_of)
        if not is_set:
            known = beside is not None and "final" in beside.columns
            settings = with_outcomes(settings, known=known)
        runs = clean_runs(_all_settings(settings, beside), all_keys)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    warn_of_repairs([(log.rows, key["run"]) for log, key in zip(logs, keys, strict=True)])
    return CurveSet(observations, runs, name)


def together(sets: list[CurveSet]) -> CurveSet:
    """One curve set from those of several paths, whose losses have one name as in a folder."""
    if len(sets) == 1:
        return sets[0]
    tables = _same_names([curves.observations for curves in sets])
    named = [replace(one, observations=table) for one, table in zip(sets, tables, strict=True)]
    return CurveSet.concat(named)


def _run_table(path: Path, parts_of: dict[str, str]) -> pl.DataFrame | None:
    """The table of runs beside the logs, in which a part of a run is called as the run is."""
    table = curve_set.run_table(path)
    if table is None or not parts_of or "run" not in table.columns:
        return table
    named = table["run"].cast(pl.String)
    new = {part: run for part, run in parts_of.items() if run not in named}
    return table.with_columns(named.replace(new))


def _named(table: pl.DataFrame, run: str, *, several: bool) -> pl.DataFrame:
    """A table with its run's name."""
    if "run" not in table.columns:
        names = pl.Series("run", [run] * table.height, dtype=pl.String)
        return pl.DataFrame([*table.get_columns(), names])
    if several:
        return table.with_columns(run=pl.format("{}/{}", pl.lit(run), "run"))
    return table


def _same_names(tables: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Tables in which the training and the validation loss can be found under one name."""
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
        out.append(table.with_columns(added) if added else table)
    return out


def _all_settings(
    from_logs: list[pl.DataFrame], beside: pl.DataFrame | None
) -> pl.DataFrame | None:
    """The settings in the logs and those in a table beside them, which has the last word."""
    if not from_logs:
        return beside
    if any("group" in table.columns for table in from_logs):
        from_logs = [
            t if "group" in t.columns else t.with_columns(group=pl.lit("all")) for t in from_logs
        ]
    logged = pl.concat(from_logs, how="diagonal_relaxed")
    if beside is None or "run" not in beside.columns:
        return logged if beside is None else beside
    on = ["group", "run"] if {"group"} <= set(beside.columns) & set(logged.columns) else ["run"]
    beside = beside.with_columns(names_of(beside[name]) for name in on)
    logged = logged.drop(set(logged.columns) & set(beside.columns) - set(on))
    return beside.join(logged, on=on, how="full", coalesce=True)
