"""Parquet files whose columns tell what they are and their units."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_UNITS = {"step": "steps", "epoch": "epochs, from 0", "seconds": "s", "joules": "J", "usd": "USD",
          "step_hint": "steps"}  # fmt: skip


def write_described(table: pl.DataFrame, path: Path) -> None:
    """A Parquet file, on the disk, whose columns tell their units."""
    import pyarrow.parquet as pq

    arrow = table.to_arrow()
    for i, column in enumerate(arrow.schema):
        if column.name in _UNITS:
            unit = {"unit": _UNITS[column.name]}
            arrow = arrow.set_column(i, column.with_metadata(unit), arrow.column(i))
    with path.open("wb") as file:
        pq.write_table(arrow, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
