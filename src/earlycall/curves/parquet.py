"""Parquet files that tell the units of their columns, and the two files of a curve set."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import polars as pl

from earlycall.atomic import replacing
from earlycall.errors import InputError

CURVES, RUNS = "curves.parquet", "runs.parquet"
_UNITS = {"step": "steps", "epoch": "epochs, from 0", "seconds": "s", "joules": "J", "usd": "USD",
          "step_hint": "steps"}  # fmt: skip
WRITE = "write"  # in the metadata of both files: which writing they come from


def write_described(table: pl.DataFrame, file: IO[bytes], write: str = "") -> None:
    """A Parquet file whose metadata has the columns' units: ``units``, as JSON."""
    units = {name: _UNITS[name] for name in table.columns if name in _UNITS}
    metadata = {"units": json.dumps(units)} | ({WRITE: write} if write else {})
    table.write_parquet(file, compression="zstd", metadata=metadata)


def write_pair(curves: pl.DataFrame, runs: pl.DataFrame, folder: Path) -> None:
    """Write the two files of a curve set so that no reader sees one of them without the other.

    Both are complete before the first takes its place, and bear the name of their writing. That the
    runs take theirs is what counts: until the curves have taken theirs, too, `curves_file` knows
    where they are, also if the writer was killed between the two. Writers wait for each other.

    Raises:
        InputError: if the folder cannot be written.
    """
    if (folder / CURVES).is_dir():
        raise InputError(f"{folder / CURVES}: is a folder; write to another place")
    write = secrets.token_hex(8)
    pending = _pending(folder, write)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with pending.open("wb") as file:
            write_described(curves, file, write)
            file.flush()
            os.fsync(file.fileno())
        with _locked(folder):
            before = write_of(folder / RUNS)
            with replacing(folder / RUNS) as file:
                write_described(runs, file, write)
            pending.replace(folder / CURVES)
            if before is not None:  # of a writer that was killed
                _pending(folder, before).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    finally:
        if write_of(folder / RUNS) != write:
            with suppress(OSError):
                pending.unlink()


def write_of(path: Path) -> str | None:
    """Which writing a file comes from, None of any other file."""
    try:
        with path.open("rb") as file:
            return pl.read_parquet_metadata(file).get(WRITE)
    except (pl.exceptions.PolarsError, OSError, UnicodeError):
        return None


def curves_file(folder: Path) -> Path:
    """The curves that belong to the runs of a curve set."""
    write = write_of(folder / RUNS)
    if write is not None and write.isalnum() and (other := _pending(folder, write)).is_file():
        return other
    return folder / CURVES


def _pending(folder: Path, write: str) -> Path:
    return folder / f".{CURVES}.{write}.part"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other writers out of a folder; a kill releases the lock."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
