"""The curve set, earlycall's own format: a Parquet table with a row per observation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from earlycall.errors import InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import as_text

NAME = "curve set (Parquet)"


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file starts as Parquet files do."""
    return head.startswith(b"PAR1")


def parts(path: Path, state: State) -> Iterator[pl.DataFrame]:
    """The table in a file, or that of a folder."""
    yield load(path / "curves.parquet" if path.is_dir() else path)


def load(path: Path) -> pl.DataFrame:
    """The table, with the names of runs and groups as categories, which take little memory.

    Raises:
        InputError: if the file is not Parquet, or is truncated or damaged.
    """
    try:
        table = pl.scan_parquet(
            path if as_text(str(path)) == str(path) else path.read_bytes(), glob=False
        )
        names = [c for c, kind in table.collect_schema().items()
                 if c in ("run", "group") and kind == pl.String]  # fmt: skip
        return table.with_columns(pl.col(names).cast(pl.Categorical)).collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        why = str(error).splitlines()[0]
        raise InputError(
            f"{path}: not a whole Parquet file ({why}); copy or write it again"
        ) from None
