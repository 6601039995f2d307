"""MLflow: the SQLite file ``mlflow.db`` and the old file store ``mlruns/``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.inside import files_in, is_inside
from earlycall.readers.base.log import Log, by_step, number_or_text, table_of
from earlycall.readers.base.settings_file import settings_beside
from earlycall.readers.base.sqlite import column_names, frame, has_tables, opened, rows

NAME = "MLflow stores"
WHOLE_TREE = True
VALUES = {
    "id": pl.String, "step": pl.Int64, "name": pl.String, "value": pl.Float64, "when": pl.Int64,
}  # fmt: skip
_MLFLOW_INFINITY = 1.7976931348623157e308


@dataclass
class Run:
    """A run and its settings.

    Attributes:
        id: its id.
        name: its name, which several may share.
        experiment: the experiment's name.
        start: when it began, in milliseconds since 1970; None if unknown.
        settings: parameters and tags.
    """

    id: str
    name: str | None
    experiment: str
    start: int | None
    settings: dict[str, Any] = field(default_factory=dict)

    def add_setting(self, key: str, value: Any) -> None:
        """Take a parameter, or a tag that is not MLflow's own; a parameter wins."""
        if not key.startswith("mlflow."):
            self.settings.setdefault(f"hp.{key}", number_or_text(str(value)))


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a database with MLflow's tables."""
    return has_tables(path, head, {"experiments", "runs", "metrics", "params", "latest_metrics"})


def parts(path: Path, state: State) -> Iterator[Log]:
    """The runs in a database or a file store that are not deleted.

    Raises:
        InputError: if it cannot be read, naming the place, or has no runs with metrics.
    """
    yield _file_store(path) if path.is_dir() else _database(path)


def _database(path: Path) -> Log:
    with opened(path) as connection:
        name = "r.name" if "name" in column_names(connection, "runs") else "NULL"
        runs = {
            row[0]: Run(*row)
            for row in rows(
                connection,
                f"SELECT r.run_uuid, {name}, e.name, r.start_time FROM runs r "  # noqa: S608
                "JOIN experiments e ON e.experiment_id = r.experiment_id "
                "WHERE r.lifecycle_stage = 'active'",
            )
        }
        for table in ("params", "tags"):
            for run, key, value in rows(connection, f"SELECT run_uuid, key, value FROM {table}"):  # noqa: S608
                if run in runs:
                    runs[run].add_setting(str(key), value)
        values = frame(
            connection,
            "SELECT run_uuid, step, key, value, timestamp, is_nan FROM metrics",
            VALUES | {"is_nan": pl.Boolean},
        )
    value = pl.col("value")
    infinite = value.abs() >= _MLFLOW_INFINITY
    values = values.with_columns(
        value=pl.when("is_nan").then(float("nan"))
        .when(infinite).then(value.sign() * float("inf")).otherwise(value)
    ).drop("is_nan")  # fmt: skip
    return tables(path, list(runs.values()), values)


def tables(source: Any, runs: list[Run], values: pl.DataFrame) -> Log:
    """A log from what MLflow stores.

    Args:
        source: where it comes from, for error messages.
        runs: the runs.
        values: ``id`` of the run, ``step``, ``name``, ``value`` and ``when`` (milliseconds).

    Raises:
        InputError: if no run has metrics.
    """
    names = _names(runs)
    about = pl.DataFrame(
        {"id": list(names), "run": list(names.values()), "start": [run.start for run in runs]},
        schema={"id": pl.String, "run": pl.String, "start": pl.Int64},
        strict=False,
    )
    long = values.filter(~pl.col("name").str.starts_with("system/")).join(about, on="id")
    if not long.height:
        raise EmptyLogError(f"{source}: no metrics in this MLflow store yet")
    long = long.sort("when", maintain_order=True)
    first = pl.col("when").min().over("run")
    begun = pl.when(pl.col("start") <= first).then("start").otherwise(first)
    long = long.with_columns(begun=begun, seconds=(pl.col("when") - begun) / 1000)
    observations = by_step(long)
    started = dict(long.group_by("run").agg((pl.col("begun") / 1000).first()).iter_rows())
    settings = table_of(
        [
            {"run": names[run.id], "started": started.get(names[run.id])} | run.settings
            for run in runs
        ]
    )
    if len({run.experiment for run in runs}) > 1:  # runs of different experiments do not compare
        of = pl.DataFrame(
            {"run": list(names.values()), "group": [str(run.experiment) for run in runs]}
        )
        observations = observations.join(of, on="run", how="left")
        settings = settings.join(of, on="run", how="left")
    return Log(observations, settings)


def _names(runs: list[Run]) -> dict[str, str]:
    """A name for each run by its id: its own; with the id where several share it."""
    counts = Counter(run.name for run in runs)
    return {
        run.id: run.name
        if run.name and counts[run.name] == 1
        else f"{run.name or 'run'}-{run.id[:12]}"
        for run in runs
    }


def owns(folder: Path, below: list[str]) -> list[str]:
    """All folders below: a store holds experiments, and these hold runs."""
    return below


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is a file store, an experiment or a run of one: they have a meta.yaml."""
    if "meta.yaml" in files:
        return _is_meta(folder / "meta.yaml")
    return any(_is_meta(meta) for meta in islice(_metas(folder, "*/meta.yaml"), 8))


def _metas(folder: Path, pattern: str) -> Iterator[Path]:
    return (path for path in folder.glob(pattern) if is_inside(path, folder))


def _is_meta(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"experiment_id:" in file.read(4096)
    except OSError:
        return False


def _file_store(folder: Path) -> Log:
    runs, values = [], []
    for meta in files_in(folder, "**/meta.yaml"):
        about = settings_beside(meta)
        if "run_id" not in about or about.get("lifecycle_stage") == "deleted":
            continue
        home, start = meta.parent, about.get("start_time")
        name = about.get("run_name")
        experiment = settings_beside(home.parent / "meta.yaml").get("name") or home.parent.name
        run = Run(home.name, name and str(name), str(experiment), _milliseconds(start))
        for kind in ("params", "tags"):
            for file in files_in(home / kind, "**/*") if _is_own(home / kind) else []:
                run.add_setting(file.relative_to(home / kind).as_posix(), _first_text(file))
        for file in files_in(home / "metrics", "**/*") if _is_own(home / "metrics") else []:
            values += _metric(run.id, file.relative_to(home / "metrics").as_posix(), file)
        runs.append(run)
    return tables(folder, runs, pl.DataFrame(values, schema=VALUES, orient="row"))


def _is_own(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink()


def _milliseconds(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 1 << 62 else None


def _first_text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(1 << 16).decode("utf-8", "replace").strip()


def _metric(run: str, name: str, file: Path) -> list[tuple[Any, ...]]:
    """The values in a metric's file: a line of time, value and step each."""
    found = []
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                break  # still being written
            parts = line.split()
            try:
                when, value, step = int(parts[0]), float(parts[1]), int((*parts, b"0")[2])
                if max(abs(when), abs(step)) >= 1 << 62:
                    raise ValueError
            except (ValueError, IndexError):
                text = line.decode("utf-8", "replace").strip()
                raise InputError(
                    f"{file}, line {number}: expected time, value and step, got {text!r:.60}"
                ) from None
            found.append((run, step, name, value, when))
    return found
