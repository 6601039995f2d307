"""Parquet files that tell the units of their columns."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_UNITS = {"step": "steps", "epoch": "epochs, from 0", "seconds": "s", "joules": "J", "usd": "USD",
          "step_hint": "steps"}  # fmt: skip


def write_described(table: pl.DataFrame, path: Path) -> None:
    """A Parquet file, on the disk, whose metadata has the columns' units: ``units``, as JSON."""
    units = {name: _UNITS[name] for name in table.columns if name in _UNITS}
    with path.open("wb") as file:
        table.write_parquet(file, compression="zstd", metadata={"units": json.dumps(units)})
        file.flush()
        os.fsync(file.fileno())
