"""MLflow: the SQLite file ``mlflow.db`` and the old file store ``mlruns/``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import InputError, NothingYetError
from earlycall.readers.log import Log, by_step, number_or_text, table_of
from earlycall.readers.sqlite import has_tables, opened, rows

NAME = "MLflow stores"
WHOLE_TREE = True
_LARGEST = 1.7976931348623157e308  # how MLflow writes infinity


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a database with MLflow's tables."""
    return has_tables(path, head, {"experiments", "runs", "metrics", "params", "latest_metrics"})


def load(path: Path) -> Log:
    """The runs in a database.

    Raises:
        InputError: if it cannot be read or has no runs with metrics.
    """
    with opened(path) as connection:
        known = rows(
            connection,
            "SELECT r.run_uuid, r.name, e.name FROM runs r JOIN experiments e "
            "ON e.experiment_id = r.experiment_id WHERE r.lifecycle_stage = 'active'",
        )
        values = rows(
            connection, "SELECT run_uuid, step, key, value, is_nan, timestamp FROM metrics"
        )
        params = rows(connection, "SELECT run_uuid, key, value FROM params")
    return tables(path, known, [_value(*row) for row in values], params)


def _value(run: str, step: int, name: str, value: float, is_nan: int, when: int) -> tuple[Any, ...]:
    if is_nan or value is None:
        value = math.nan
    elif abs(value) >= _LARGEST:
        value = math.copysign(math.inf, value)
    return run, step, name, value, when


def tables(
    source: Any, known: list[tuple[Any, ...]], values: list[tuple[Any, ...]],
    params: list[tuple[Any, ...]],
) -> Log:  # fmt: skip
    """A log from the rows of MLflow's tables.

    Args:
        source: where they come from, for error messages.
        known: id, name and experiment of each run.
        values: id of the run, step, metric, value and time in milliseconds of each value.
        params: id of the run, name and value of each parameter.

    Raises:
        InputError: if no run has metrics.
    """
    names = _names([(run, name) for run, name, _ in known])
    experiments = {run: experiment for run, _, experiment in known}
    kept = [(names[run], *rest) for run, *rest in values if run in names]
    if not kept:
        raise NothingYetError(f"{source}: no metrics in this MLflow store yet")
    number, text = pl.Float64, pl.String
    schema = {"run": text, "step": pl.Int64, "name": text, "value": number, "when": pl.Int64}
    long = pl.DataFrame(kept, schema=schema, orient="row").sort("when", maintain_order=True)
    long = long.filter(~pl.col("name").str.starts_with("system/"))
    started = pl.col("when").min().over("run")
    begun = dict(long.group_by("run").agg(pl.col("when").min() / 1000).iter_rows())
    long = long.with_columns(seconds=(pl.col("when") - started) / 1000).drop("when")
    hyper: dict[str, dict[str, Any]] = {
        run: {"run": run, "started": begun.get(run)} for run in names.values()
    }
    for run, key, value in params:
        if run in names:
            hyper[names[run]][f"hp.{key}"] = number_or_text(value)
    observations, runs = by_step(long), table_of(list(hyper.values()))
    if len(set(experiments.values())) > 1:  # runs of different experiments do not compare
        of = pl.DataFrame({"run": [names[r] for r in experiments], "group": experiments.values()})
        observations = observations.join(of, on="run", how="left")
        runs = runs.join(of, on="run", how="left")
    return Log(observations, runs)


def _names(runs: list[tuple[str, str | None]]) -> dict[str, str]:
    """A name for each run by its id: its own; with the id where several share it."""
    counts: dict[str | None, int] = {}
    for _, name in runs:
        counts[name] = counts.get(name, 0) + 1
    return {run: name if name and counts[name] == 1 else f"{name or 'run'}-{run[:8]}"
            for run, name in runs}  # fmt: skip


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is a file store: experiments with a meta.yaml."""
    try:
        with (folder / "0" / "meta.yaml").open("rb") as file:
            return b"experiment_id" in file.read(4096)
    except OSError:
        return False


def load_folder(folder: Path) -> Log:
    """The runs in a file store.

    Raises:
        InputError: naming the file and line that is no metric, or if no run has metrics.
    """
    known, values, params = [], [], []
    for meta in sorted(folder.glob("*/*/meta.yaml")):
        home = meta.parent
        run = home.name
        if not meta.resolve().is_relative_to(folder.resolve()):
            continue
        name = home / "tags" / "mlflow.runName"
        known.append((run, _text(name) if name.is_file() else None, home.parent.name))
        values += [v for file in _files(home / "metrics") for v in _metric(run, home, file)]
        params += [
            (run, file.relative_to(home / "params").as_posix(), _text(file))
            for file in _files(home / "params")
        ]
    return tables(folder, known, values, params)


def _files(folder: Path) -> list[Path]:
    root = folder.resolve()
    every = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    return [p for p in every if p.resolve().is_relative_to(root)]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip()


def _metric(run: str, home: Path, file: Path) -> list[tuple[Any, ...]]:
    """The values in a metric's file: a line of time, value and step each."""
    name = file.relative_to(home / "metrics").as_posix()
    found = []
    text = file.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        parts = line.split()
        try:
            when, value, step = int(parts[0]), float(parts[1]), int((*parts, "0")[2])
        except (ValueError, IndexError):
            if not line.endswith("\n"):
                break  # still being written
            raise InputError(
                f"{file}, line {number}: expected time, value and step, got {line.strip()!r:.60}"
            ) from None
        found.append((run, step, name, value, when))
    return found
