"""nvidia-smi: ``--query-gpu=timestamp,power.draw,index,… --format=csv[,noheader][,nounits]``.

Units stand in the header (``power.draw [W]``) and, without ``nounits``, in the cells. Times are
local. Rows of several GPUs take turns; a power that is not measured is ``[N/A]``,
``[Not Supported]`` or ``[Unknown Error]``.
"""

from __future__ import annotations

import re
from datetime import tzinfo
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.power.clock import seconds_since_1970
from earlycall.readers.power.table import header_of, rows_of
from earlycall.readers.power.trace import MAX_GAP_PERIODS, MAX_GAP_SECONDS, Device, PowerLog, Trace

NAME = "nvidia-smi"
_POWER = ("power.draw", "power.draw.average", "power.draw.instant")
_DEVICE = ("uuid", "gpu_uuid", "index", "pci.bus_id", "gpu_bus_id", "serial", "gpu_serial")
_UNITS = {"W": 1.0, "mW": 0.001, "kW": 1000.0}
_TIME = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(\.\d+)?$")
_WATTS = re.compile(r"^[\d.]+ W$|^\[.*\]$")
_MAX_ROUND_SECONDS = 0.02  # between the rows of several GPUs
_MAX_NOTES = 3


def recognises(path: Path, head: bytes) -> bool:
    """Whether the first line names a power draw, or is a row of a time and a power."""
    if b"power" not in head[:4096].replace(b"\0", b"") and b" W" not in head.replace(b"\0", b""):
        return False
    header = header_of(head)
    names = {_plain(name) for name in header}
    if names & set(_POWER):  # a run's own table may hold a power too
        return not any(name in ("step", "epoch") or "loss" in name for name in names)
    return bool(header) and bool(_TIME.match(header[0])) and _headless(header) is not None


def load(path: Path, zone: tzinfo | None = None) -> list[PowerLog]:
    """The power of each GPU.

    Args:
        path: the log.
        zone: where it was written, by default this machine's time zone.

    Raises:
        InputError: if it has no times, or no column is the power.
        EmptyLogError: if no power has been logged yet.
    """
    rows, named = _columns(path, rows_of(path))
    time = seconds_since_1970(rows["time"], zone)
    watts, bad = _watts(rows["power"], named)
    device = rows["device"] if "device" in rows.columns else _by_turn(time)
    devices, notes = [], []
    for (name,), group in (
        pl.DataFrame({"device": device, "time": time, "watts": watts, "bad": bad})
        .filter(pl.col("time").is_finite() & pl.col("device").is_not_null())
        .group_by("device", maintain_order=True)
    ):
        measured = group.filter(pl.col("watts").is_not_null())
        if not measured.height:
            texts = group["bad"].drop_nulls()
            what = texts[0] if len(texts) else "nothing"
            notes.append(f"{path}: GPU {name} reports no power ({what}); it is left out")
            continue
        traces, changes = _stretches(measured["time"].to_numpy(), measured["watts"].to_numpy())
        devices.append(Device(str(name), traces))
        notes += [f"{path}: GPU {name}: {change}" for change in changes]
    if not devices:
        why = f": {notes[0].rpartition(': ')[2]}" if notes else " yet"
        raise EmptyLogError(f"{path}: no power in this nvidia-smi log{why}")
    return [PowerLog(path, NAME, devices, shared=True, notes=_gist(notes))]


def _gist(notes: list[str]) -> list[str]:
    """The first few notes and how many more there are."""
    more = len(notes) - _MAX_NOTES
    return (
        notes
        if more <= 0
        else [*notes[:_MAX_NOTES], f"{notes[0].split(': ')[0]}: {more} more such"]
    )


def _plain(name: str) -> str:
    return re.sub(r"\s*\[.*\]$", "", name.strip()).lower()


def _headless(cells: list[str]) -> int | None:
    """Where the power stands in a row without a header, None where that is unclear."""
    at = [i for i, cell in enumerate(cells) if _WATTS.match(cell)]
    return at[0] if len(at) == 1 else None


def _columns(path: Path, rows: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """``time``, ``power`` and ``device`` of each row, and the header of the power.

    A header that comes again, where a log was continued, begins a new table.
    """
    if not rows.height:
        raise EmptyLogError(f"{path}: no power in this nvidia-smi log yet")
    if _TIME.match(rows.item(0, 0) or ""):
        return _of_headless(path, rows), "[W]"
    is_header = rows.select(
        pl.any_horizontal(pl.all().str.starts_with("power.draw").fill_null(False))
    ).to_series()
    starts = np.flatnonzero(is_header.to_numpy())
    parts, named = [], ""
    for start, stop in zip(starts, [*starts[1:], rows.height], strict=True):
        header = ["" if cell is None else cell for cell in rows.row(int(start))]
        names = [_plain(name) for name in header]
        if "timestamp" not in names:
            raise InputError(
                f"{path}: no timestamp beside {header[0]!r}; log --query-gpu=timestamp,power.draw"
            )
        power = next((names.index(name) for name in _POWER if name in names), None)
        if power is None:
            continue
        device = next((names.index(name) for name in _DEVICE if name in names), None)
        body = rows[int(start) + 1 : int(stop)]
        columns = {"time": body[:, names.index("timestamp")], "power": body[:, power]}
        if device is not None:
            columns["device"] = body[:, device]
        parts.append(pl.DataFrame(columns))
        named = header[power]
    if not parts:
        raise EmptyLogError(f"{path}: no power in this nvidia-smi log yet")
    return pl.concat(parts, how="diagonal"), named


def _of_headless(path: Path, rows: pl.DataFrame) -> pl.DataFrame:
    cells = ["" if cell is None else cell for cell in rows.row(0)]
    power = _headless(cells)
    if power is None:
        raise InputError(f"{path}: no header says which column is the power; log --format=csv")
    device = next((i for i, c in enumerate(cells) if c.startswith("GPU-")), None)
    if device is None:
        device = next((i for i, cell in enumerate(cells[1:], 1) if cell.isdigit()), None)
    columns = {"time": rows[:, 0], "power": rows[:, power]}
    if device is not None:
        columns["device"] = rows[:, device]
    return pl.DataFrame(columns)


def _watts(cells: pl.Series, header: str) -> tuple[pl.Series, pl.Series]:
    """The power in each cell, and what stands there where it is none."""
    text = cells.str.strip_chars()
    unit = next((u for u in _UNITS if f"[{u}]" in header), "W")
    plain = text.str.strip_suffix(" W").cast(pl.Float64, strict=False).fill_nan(None)
    if unit == "W" and plain.null_count() == text.null_count():
        return plain.rename("watts"), text.clear(len(text))
    parts = text.str.extract_groups(r"^([\d.]+)\s*(W|mW|kW)?$")
    number = parts.struct.field("1").cast(pl.Float64, strict=False)
    factor = parts.struct.field("2").fill_null(unit).replace_strict(_UNITS, return_dtype=pl.Float64)
    watts = (number * factor).rename("watts")
    return watts, text.set(watts.is_not_null(), None)


def _by_turn(time: NDArray[np.float64]) -> pl.Series:
    """The number of the GPU of each row where no column says: its turn in its round."""
    gap = np.diff(time, prepend=-np.inf)
    turn = np.zeros(len(time), dtype=np.int64)
    for i in np.flatnonzero((gap >= 0) & (gap <= _MAX_ROUND_SECONDS)).tolist():
        turn[i] = turn[i - 1] + 1
    rounds = np.bincount(turn)
    # Samples every few milliseconds look like rounds; a real one has the same GPUs each time.
    regular = len(rounds) > 1 and rounds[0] > 1 and rounds[-1] >= 0.9 * rounds[0] - 1
    return pl.Series("device", (turn if regular else np.zeros_like(turn)).astype(str))


def _stretches(
    time: NDArray[np.float64], watts: NDArray[np.float64]
) -> tuple[list[Trace], list[str]]:
    """A trace for each stretch in which time goes forward, and sentences on what was assumed."""
    notes = []
    cuts = np.flatnonzero(np.diff(time) < 0) + 1
    for cut in cuts.tolist():
        by = time[cut - 1] - time[cut]
        notes.append(f"the clock was set back by {by:.3g} s; times that come twice count twice")
    traces = []
    for t, p in zip(np.split(time, cuts), np.split(watts, cuts), strict=True):
        new = np.concatenate([[True], np.diff(t) > 0])
        trace = Trace.of_samples(t[new], p[new])
        for i in np.flatnonzero(trace.assumed).tolist():
            seconds = trace.time[i + 1] - trace.time[i]
            notes.append(
                f"nothing for {seconds:.3g} s (over {MAX_GAP_PERIODS} periods and "
                f"{MAX_GAP_SECONDS:g} s): power from {trace.first[i]:.3g} to "
                f"{trace.last[i]:.3g} W is assumed there"
            )
        traces.append(trace)
    return traces, notes
