"""Sacred: a run's folder as ``FileStorageObserver`` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import EmptyLogError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import (
    Log,
    by_step,
    json_document,
    table_of,
    timestamp_of,
)
from earlycall.readers.base.settings_file import settings_beside

NAME = "Sacred runs"
WHOLE_TREE = True
METRICS = "metrics.json"


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder is that of a run with metrics."""
    return {METRICS, "run.json", "config.json"} <= files


def parts(folder: Path, state: State) -> Iterator[Log]:
    """The run, by the steps that were given with each value.

    Raises:
        InputError: if the metrics are incomplete, or there are none.
    """
    metrics = json_document(folder / METRICS, "wait until it is written")
    started = _utc(settings_beside(folder / "run.json").get("start_time"))
    long = [
        _series(str(name), logged)
        for name, logged in (metrics.items() if isinstance(metrics, dict) else ())
        if isinstance(logged, dict)
    ]
    if not any(table.height for table in long):
        raise EmptyLogError(f"{folder}: no metric has been logged yet")
    values = pl.concat(long)
    first = values["seconds"].min() if started is None else started
    values = values.with_columns((pl.col("seconds") - first).clip(0))
    yield Log(by_step(values), table_of([{"started": first}]))


def _series(name: str, logged: dict[str, Any]) -> pl.DataFrame:
    lists = [logged.get(key) for key in ("steps", "values", "timestamps")]
    steps, values, times = (v if isinstance(v, list) else [] for v in lists)
    n = min(len(steps), len(values))
    seconds = [*map(_utc, times[:n]), *[None] * (n - len(times))]
    return pl.DataFrame({
        "name": pl.Series([name] * n, dtype=pl.String),
        "step": pl.Series(steps[:n], dtype=pl.Float64, strict=False),
        "value": pl.Series(values[:n], dtype=pl.Float64, strict=False),
        "seconds": pl.Series(seconds, dtype=pl.Float64),
    })  # fmt: skip


def _utc(when: Any) -> float | None:
    """Seconds since 1970; Sacred writes times in UTC without saying so."""
    return timestamp_of(f"{when}+00:00")
