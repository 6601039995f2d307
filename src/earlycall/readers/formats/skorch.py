"""skorch: the history of a net as JSON, a list of epochs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import json_document, table_of_numbers
from earlycall.readers.formats.keras_history import MAX_BYTES

NAME = "skorch histories"
_START = re.compile(rb'\s*\[\s*\{\s*"batches"\s*:\s*\[')


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a list of epochs, each of which begins with its batches."""
    return _START.match(head) is not None


def parts(path: Path, state: State) -> Iterator[pl.DataFrame]:
    """The run: an observation an epoch, with the time that the epochs took.

    Raises:
        InputError: if it is no list of objects.
    """
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES >> 20} MB, which no history is")
    epochs = json_document(path, "wait until the history is written, or save it again")
    if not all(isinstance(epoch, dict) for epoch in epochs):
        raise InputError(f"{path}: not a list of epochs; save the history again")
    table = table_of_numbers(
        {name: v for name, v in epoch.items() if not isinstance(v, bool | list)} for epoch in epochs
    )
    if not table.width:
        raise EmptyLogError(f"{path}: no epoch has ended yet")
    if "dur" in table.columns:
        table = table.with_columns(pl.col("dur").cum_sum().alias("seconds")).drop("dur")
    yield table
