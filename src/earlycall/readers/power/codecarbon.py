"""CodeCarbon: ``emissions.csv`` and the tasks of ``emissions_NAME_RUNID.csv``.

A row holds the energy (kWh) of a tracker since its start, or of a task, and the local time at its
end in whole seconds. ``flush()`` writes a row of the same tracker in between.
"""

from __future__ import annotations

from datetime import tzinfo
from pathlib import Path

import numpy as np
import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.power.clock import seconds_since_1970
from earlycall.readers.power.table import header_of, rows_of
from earlycall.readers.power.trace import KWH, Device, PowerLog, trace_of_windows

NAME = "CodeCarbon"
MEAN_CUT_SECONDS = 0.5  # times are cut to whole seconds
_NEEDED = ("timestamp", "run_id", "duration", "energy_consumed")


def recognises(path: Path, head: bytes) -> bool:
    """Whether the first line has CodeCarbon's columns."""
    return set(_NEEDED) <= set(header_of(head))


def load(path: Path, zone: tzinfo | None = None) -> list[PowerLog]:
    """The energy of each tracker that wrote into the file.

    Args:
        path: the log.
        zone: where it was written, by default this machine's time zone.

    Raises:
        InputError: naming the line whose energy or duration is no number.
        EmptyLogError: if there is no row yet.
    """
    rows = rows_of(path)
    if rows.height < 2:
        raise EmptyLogError(f"{path}: no row in this CodeCarbon log yet")
    names = [str(name) for name in rows.row(0)]
    table = rows[1:].rename(dict(zip(rows.columns, names, strict=True)))
    end = seconds_since_1970(table["timestamp"], zone)
    table = table.with_columns(
        end=end, seconds=_numbers(path, table, "duration"),
        joules=_numbers(path, table, "energy_consumed") * KWH,
        grams=_grams(table),
    ).with_columns(start=pl.col("end") - pl.col("seconds") + MEAN_CUT_SECONDS)  # fmt: skip
    found = []
    for (run,), part in table.group_by("run_id", maintain_order=True):
        windows = _one_by_one(part) if "task_name" in names else _between_flushes(part)
        begin = windows["start"]
        trace = trace_of_windows(begin, begin + windows["seconds"], windows["joules"])
        if trace is not None:
            estimated = "cpu_model" in names  # CodeCarbon does not say how it knew
            found.append(PowerLog(
                path, NAME, [Device(f"{NAME} {run}", [trace])], shared=False,
                carbon=_intensity(part), estimated=estimated,
            ))  # fmt: skip
    if not found:
        raise EmptyLogError(f"{path}: no energy in this CodeCarbon log yet")
    return found


def _between_flushes(part: pl.DataFrame) -> pl.DataFrame:
    """What a tracker used between the rows that it wrote."""
    part = part.sort("seconds", maintain_order=True)
    before = pl.col("seconds", "joules").shift(1).fill_null(0.0)
    return part.with_columns(
        start=pl.col("start").median() + pl.col("seconds").shift(1).fill_null(0.0),
    ).with_columns(pl.col("seconds", "joules") - before)


def _one_by_one(part: pl.DataFrame) -> pl.DataFrame:
    """Tasks, which a tracker runs one after the other, without the overlap of cut times."""
    starts, free = [], -np.inf
    for start, seconds in part.select("start", "seconds").iter_rows():
        starts.append(max(start, free))
        free = starts[-1] + seconds
    return part.with_columns(start=pl.Series(starts, dtype=pl.Float64))


def _grams(table: pl.DataFrame) -> pl.Series:
    if "emissions" not in table.columns:
        return pl.Series([None] * table.height, dtype=pl.Float64)
    return table["emissions"].cast(pl.Float64, strict=False) * 1000


def _numbers(path: Path, table: pl.DataFrame, name: str) -> pl.Series:
    parsed = table[name].cast(pl.Float64, strict=False)
    bad = parsed.is_null() & table[name].is_not_null()
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(
            f"{path}, line {row + 2}, column {name!r}: {table[name][row]!r} is not a number; "
            "remove the line"
        )
    return parsed


def _intensity(part: pl.DataFrame) -> float | None:
    """Grams of CO2e per kWh, by the last row."""
    joules, grams = part["joules"][-1], part["grams"][-1]
    if joules is None or grams is None or not joules > 0 or not np.isfinite(grams):
        return None
    return float(grams / joules * KWH) or None
