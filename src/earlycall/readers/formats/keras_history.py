"""The history of a Keras fit as JSON: a list of one value per epoch for each metric."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import json_document

NAME = "Keras histories"
MAX_BYTES = 1 << 28


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a JSON object whose first value is a list of numbers."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(b"{"):
        return False
    _, colon, rest = text[1:].lstrip().partition(b":")
    values = rest.lstrip()
    if values.startswith(b"{"):  # {"history": {"loss": [...]}}
        _, colon, rest = values[1:].lstrip().partition(b":")
        values = rest.lstrip()
    start = values[1:].lstrip()[:1]
    return bool(colon) and values.startswith(b"[") and start in b"-0123456789NI" and start != b""


def parts(path: Path, state: State) -> Iterator[pl.DataFrame]:
    """The run: one observation per epoch, counted from 0.

    Raises:
        InputError: if it is not JSON, or holds no lists of numbers.
    """
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES >> 20} MB, which no history is")
    found = json_document(path, "wait until the history is written, or write it again")
    if isinstance(found, dict) and isinstance(found.get("history"), dict):
        found = found["history"]
    lists = {name: v for name, v in found.items() if is_curve(v)} if isinstance(found, dict) else {}
    epochs = max((len(values) for values in lists.values()), default=0)
    if not epochs:
        raise InputError(f"{path}: no list of numbers for any metric")
    lists.pop("epoch", None)
    yield pl.DataFrame({"epoch": range(epochs), **columns(lists, epochs)})


def columns(lists: dict[str, list[Any]], height: int) -> dict[str, pl.Series]:
    """A column of each list of numbers, missing where the list has ended."""
    return {
        str(name): pl.Series(
            values + [None] * (height - len(values)), dtype=pl.Float64, strict=False
        )
        for name, values in lists.items()
    }


def is_curve(values: object) -> bool:
    """Whether a value is a list of numbers, of which some may be missing."""
    return isinstance(values, list) and all(isinstance(v, int | float) or v is None for v in values)
