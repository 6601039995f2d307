"""Stable-Baselines3: ``progress.csv`` of its logger, and ``monitor.csv`` of its ``Monitor``."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.inside import files_in, head_of
from earlycall.readers.base.log import Log, table_of
from earlycall.readers.formats.table_folder import TableFolder

NAME = "Stable-Baselines3 monitors"
WHOLE_TREE = False
_FILE = "monitor.csv"
_START = b'#{"t_start"'

progress = TableFolder(
    "Stable-Baselines3 logs",
    "progress.csv",
    (frozenset({"time/total_timesteps"}),),
    renamed=(("time/total_timesteps", "step"), ("time/time_elapsed", "seconds")),
)


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file starts as a monitor's, with when it started as a comment.

    Beside folders or another log it is no run: it counts the episodes of a training whose curves
    lie there.
    """
    return head.startswith(_START) and not any(
        there.is_dir() or ".tfevents." in there.name or there.name == progress.table
        for there in path.parent.iterdir()
    )


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder has monitors; those of several environments are of one training."""
    return any(recognises(folder / name, head_of(folder / name)) for name in files if claims(name))


def claims(name: str) -> bool:
    """Whether a file has the name of a monitor's."""
    return name.endswith(_FILE)


def parts(path: Path, state: State) -> Iterator[Log]:
    """The run: an observation an episode, at the number of time steps until its end.

    Raises:
        InputError: if it is not as a monitor writes it, or holds no whole episode yet.
    """
    files = files_in(path, f"*{_FILE}") if path.is_dir() else [path]
    monitors = [_load(file) for file in files if head_of(file).startswith(_START)]
    started = min((start for start, _ in monitors), default=0.0)
    tables = [
        table.with_columns(pl.col("t") + (start - started))
        for start, table in monitors
        if table is not None
    ]
    if not tables:
        raise EmptyLogError(f"{path}: no episode has ended yet")
    new = {"r": "episode_reward", "l": "episode_length", "t": "seconds"}
    table = pl.concat(tables, how="diagonal_relaxed").rename(new).sort("seconds")
    table = table.with_columns(step=pl.col("episode_length").cum_sum())
    yield Log(table, table_of([{"started": started}]))


def _load(path: Path) -> tuple[float, pl.DataFrame | None]:
    """When a monitor started, and its episodes: ``r``, ``l``, ``t``; None while there are none."""
    try:
        head, _, rest = path.read_text(encoding="utf-8").partition("\n")
        started = float(json.loads(head.removeprefix("#"))["t_start"])
        whole = rest[: rest.rfind("\n") + 1]
        if "\n" not in whole.rstrip("\n"):
            return started, None
        table = pl.read_csv(io.StringIO(whole), infer_schema_length=None)
        numbers = table.select(pl.col("r", "l", "t").cast(pl.Float64))
    except (ValueError, TypeError, LookupError, pl.exceptions.PolarsError) as error:
        why = str(error).splitlines()[0][:200]
        raise InputError(f"{path}: not as a monitor writes it ({why})") from None
    return started, numbers
