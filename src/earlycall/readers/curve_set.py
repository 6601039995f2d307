"""The curve set, earlycall's own format: a Parquet table with a row per observation."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from earlycall.errors import InputError

NAME = "curve set (Parquet)"


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file starts as Parquet files do."""
    return head.startswith(b"PAR1")


def load(path: Path) -> pl.DataFrame:
    """The table, without the columns that hold neither a name nor a number.

    Raises:
        InputError: if the file is not Parquet, or is truncated or damaged.
    """
    try:
        return pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        why = str(error).splitlines()[0]
        raise InputError(
            f"{path}: not a whole Parquet file ({why}); copy or write it again"
        ) from None
