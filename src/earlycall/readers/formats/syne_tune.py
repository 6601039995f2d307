"""Syne Tune: ``results.csv.zip``, a row for each report of each trial."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import Log
from earlycall.readers.base.zip_file import members, read_member

NAME = "Syne Tune results"
_COUNTERS = ("step", "epoch", "st_worker_iter")  # the finest first
_PREFIX, _TRIAL = "config_", "trial_id"


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a table of trials, or a ZIP file that holds only such a table."""
    if head.startswith(b"PK"):
        return members(path) == ["results.csv"]
    first = head.split(b"\n", 1)[0]
    return b"trial_id" in first and b"st_decision" in first


def parts(path: Path, state: State) -> Iterator[Log]:
    """The trials, each a run with its settings.

    Raises:
        InputError: if it is no table of trials, or damaged.
    """
    is_zip = zipfile.is_zipfile(path)
    content = read_member(path, "results.csv") if is_zip else path.read_bytes()
    try:
        table = pl.read_csv(io.BytesIO(content), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        why = str(error).splitlines()[0][:200]
        raise InputError(f"{path}: not a readable table ({why})") from None
    if _TRIAL not in table.columns:
        raise InputError(f"{path}: no column {_TRIAL!r}, which Syne Tune writes")
    if not table.height:
        raise EmptyLogError(f"{path}: no trial has reported yet")
    table = table.with_columns(pl.col(_TRIAL).cast(pl.String).alias("run"))
    hyper = [c for c in table.columns if c.startswith(_PREFIX)]
    runs = table.unique("run", keep="first", maintain_order=True).select(
        "run", pl.col(hyper).name.map(lambda name: f"hp.{name.removeprefix(_PREFIX)}")
    )
    counter = next((name for name in _COUNTERS if name in table.columns), None)
    step = pl.int_range(1, pl.len() + 1).over("run") if counter is None else pl.col(counter)
    dropped = [c for c in table.columns if c.startswith((_PREFIX, "st_")) or c == _TRIAL]
    rows = table.select(
        pl.exclude("step", *dropped),
        step.alias("step"),
        *(pl.col(c).alias("seconds") for c in ("st_worker_time",) if c in table.columns),
    )
    yield Log(rows, runs)
