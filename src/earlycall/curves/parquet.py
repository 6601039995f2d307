"""Parquet files that tell the units of their columns."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_UNITS = {"step": "steps", "epoch": "epochs, from 0", "seconds": "s", "joules": "J", "usd": "USD",
          "step_hint": "steps"}  # fmt: skip


def write_described(table: pl.DataFrame, file: IO[bytes]) -> None:
    """A Parquet file whose metadata has the columns' units: ``units``, as JSON."""
    units = {name: _UNITS[name] for name in table.columns if name in _UNITS}
    table.write_parquet(file, compression="zstd", metadata={"units": json.dumps(units)})
