"""Local times of day as seconds since 1970, over changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earlycall.errors import InputError

ZONE_GRID_SECONDS = 900  # offsets of zones change at quarters of an hour
MIN_FALL_BACK_SECONDS = 1800.0  # of a clock at the end of summer time
_FORMATS = (
    "%Y/%m/%d %H:%M:%S%.f",  # nvidia-smi
    "%Y-%m-%dT%H:%M:%S%.f",  # CodeCarbon
    "%Y-%m-%d %H:%M:%S%.f",
)
_EPOCH = datetime(1970, 1, 1)


def zone_of(name: str | None) -> tzinfo | None:
    """A time zone by its name; None, this machine's own, where no name is given.

    Raises:
        InputError: if there is no such zone.

    Examples:
        >>> zone_of("Europe/Berlin").key
        'Europe/Berlin'
    """
    if name is None:
        return None
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(
            f"time zone {name!r} is unknown; write for example Europe/Berlin or UTC"
        ) from None


def seconds_since_1970(text: pl.Series, zone: tzinfo | None = None) -> NDArray[np.float64]:
    """Times as a log writes them, in its order: shape (n,), NaN for what is no time.

    An hour that comes twice, at the end of summer time, is told apart by the order: once time
    has fallen back, the second one runs.

    Args:
        text: dates with times of day, or seconds since 1970.
        zone: where the log was written, by default this machine's zone.

    Examples:
        >>> seconds_since_1970(pl.Series(["2026/09/12 06:17:26.305", "?"]), UTC).tolist()
        [1789193846.305, nan]
    """
    stripped = text.cast(pl.String).str.strip_chars()
    number = stripped.cast(pl.Float64, strict=False)
    if number.count():
        return np.asarray(number.fill_null(float("nan")).to_numpy(), dtype=np.float64)
    for pattern in _FORMATS:
        parsed = stripped.str.to_datetime(pattern, time_unit="us", strict=False)
        if parsed.count():
            break
    naive = parsed.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy() / 1e6
    return _absolute(np.asarray(naive), zone)


def _absolute(naive: NDArray[np.float64], zone: tzinfo | None) -> NDArray[np.float64]:
    """Seconds of a clock on the wall as seconds since 1970."""
    known = np.flatnonzero(np.isfinite(naive))
    quarters, place = np.unique(naive[known] // ZONE_GRID_SECONDS, return_inverse=True)
    first = np.array([_offset(q * ZONE_GRID_SECONDS, zone, 0) for q in quarters])
    second = np.array([_offset(q * ZONE_GRID_SECONDS, zone, 1) for q in quarters])
    out = np.full(len(naive), np.nan)
    if not len(known):
        return out
    wall = naive[known]
    out[known] = wall - first[place]
    twice = first[place] > second[place]
    if twice.any():
        fell = np.concatenate([[False], np.diff(wall) < -MIN_FALL_BACK_SECONDS])
        hour = np.cumsum(np.concatenate([[False], np.diff(twice.astype(int)) == 1]))
        # Within an hour that comes twice, the second one runs once the clock has fallen back.
        for one in np.unique(hour[twice]):
            rows = np.flatnonzero(twice & (hour == one))
            again = rows[np.cumsum(fell[rows]) > 0]
            out[known[again]] = wall[again] - second[place[again]]
    return out


def _offset(wall: float, zone: tzinfo | None, fold: int) -> float:
    """Seconds by which a zone is ahead of UTC at a time on its wall."""
    try:
        naive = (_EPOCH + timedelta(seconds=float(wall))).replace(fold=fold)
        stamp = naive.timestamp() if zone is None else naive.replace(tzinfo=zone).timestamp()
    except (OverflowError, ValueError, OSError):
        return 0.0
    return float(wall) - stamp
