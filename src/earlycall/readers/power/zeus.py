"""Zeus: the log of a ``ZeusMonitor``: ``start_time,window_name,elapsed_time,gpu0_energy,…``.

A row is a window: its start in seconds since 1970, how long it took, and the joules of each GPU.
Windows may lie within each other (a training and its epochs).
"""

from __future__ import annotations

import re
from datetime import tzinfo
from pathlib import Path

import numpy as np
import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.power.table import header_of, rows_of
from earlycall.readers.power.trace import Device, PowerLog, trace_of_windows

NAME = "Zeus"
_FIRST = ["start_time", "window_name", "elapsed_time"]
_GPU = re.compile(r"^gpu(\d+)_energy$")


def recognises(path: Path, head: bytes) -> bool:
    """Whether the first line is that of a ``ZeusMonitor``."""
    return header_of(head)[:3] == _FIRST


def load(path: Path, zone: tzinfo | None = None) -> list[PowerLog]:
    """The energy of each GPU in the windows.

    Args:
        path: the log.
        zone: of no meaning here: the times are absolute.

    Raises:
        InputError: if it has no GPU, or naming the line that is not whole.
        EmptyLogError: if no window has ended yet.
    """
    rows = rows_of(path)
    names = [] if not rows.height else ["" if n is None else str(n) for n in rows.row(0)]
    gpus = [i for i, name in enumerate(names) if _GPU.match(name)]
    if names and not gpus:
        raise InputError(f"{path}: no GPU in this Zeus log (no column gpu0_energy)")
    if rows.height < 2:
        raise EmptyLogError(f"{path}: no window has ended in this Zeus log yet")
    numbers = rows[1:].with_columns(pl.exclude(rows.columns[1]).cast(pl.Float64, strict=False))
    bad = numbers.select(pl.any_horizontal(pl.exclude(rows.columns[1]).is_null())).to_series()
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(f"{path}, line {row + 2}: not a whole row of a Zeus log; remove it")
    start, elapsed = (numbers[:, i].to_numpy() for i in (0, 2))
    traces = [
        (names[i], trace_of_windows(start, start + elapsed, numbers[:, i].to_numpy())) for i in gpus
    ]
    devices = [Device(name.removesuffix("_energy"), [t]) for name, t in traces if t is not None]
    if not devices:
        raise EmptyLogError(f"{path}: no window of this Zeus log has lasted")
    notes = _open(path, devices[0])
    return [PowerLog(path, NAME, devices, shared=False, notes=notes)]


def _open(path: Path, device: Device) -> list[str]:
    """A sentence on the time between windows, where that is more than a little."""
    trace = device.traces[0]
    between = float(np.diff(trace.time)[trace.assumed].sum())
    if between <= 0.01 * (trace.end - trace.start):
        return []
    return [f"{path}: {between:.3g} s lie between windows; the power next to them is assumed there"]
