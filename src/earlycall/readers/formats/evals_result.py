"""XGBoost's and LightGBM's ``evals_result`` as JSON: for each data set, a list for each metric."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from earlycall.curves.columns import direction, is_held_out, words
from earlycall.errors import InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import json_document
from earlycall.readers.formats.keras_history import MAX_BYTES, columns, is_curve

NAME = "XGBoost or LightGBM evaluations"
_START = re.compile(rb'\s*\{\s*"(?!history")[^"]*"\s*:\s*\{\s*"([^"]*)"\s*:\s*\[\s*[-\dNI]')
_NOT_METRICS = (b"steps", b"values", b"timestamps")  # Sacred's, which are no curves of a metric


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a JSON object of objects whose first value is a list of numbers."""
    match = _START.match(head.removeprefix(b"\xef\xbb\xbf"))
    return match is not None and match[1] not in _NOT_METRICS


def parts(path: Path, state: State) -> Iterator[pl.DataFrame]:
    """The run: one observation per boosting round, counted from 1.

    A metric is named ``SET/METRIC``. Of the data sets that were trained on and of those held out,
    the first metric of which less is better also is ``train_loss`` or ``val_loss``, where there is
    one such data set.

    Raises:
        InputError: if it is not JSON, or holds no lists of numbers.
    """
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES >> 20} MB, which no evaluation is")
    found = json_document(path, "wait until it is written, or write it again")
    sets = {
        name: {metric: values for metric, values in metrics.items() if is_curve(values)}
        for name, metrics in (found.items() if isinstance(found, dict) else ())
        if isinstance(metrics, dict)
    }
    curves = {
        f"{name}/{m}": values for name, metrics in sets.items() for m, values in metrics.items()
    }
    rounds = max(map(len, curves.values()), default=0)
    if not rounds:
        raise InputError(f"{path}: no list of numbers for any metric")
    held_out = {name for name in sets if is_held_out(name)}
    trained_on = {name for name in sets if {"train", "training"} & set(words(name))} - held_out
    for loss, names in (("train_loss", trained_on), ("val_loss", held_out)):
        falling = [m for name in names for m in sets[name] if direction(m) == "min"]
        if len(names) == 1 and falling:
            curves.setdefault(loss, curves[f"{min(names)}/{falling[0]}"])
    yield pl.DataFrame({"step": range(1, rounds + 1), **columns(curves, rounds)})
