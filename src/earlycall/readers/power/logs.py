"""Logs of power and energy: found by what they hold, read into powers along the clock.

A kind of log is a module with ``NAME``, ``recognises(path, head)`` and ``load(path, zone)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from types import ModuleType

from earlycall.errors import InputError
from earlycall.readers.base.inside import HEAD_BYTES, head_of, is_inside, visible_files
from earlycall.readers.power import codecarbon, nvidia_smi, zeus
from earlycall.readers.power.clock import zone_of
from earlycall.readers.power.trace import Device, PowerLog, Trace

KINDS: tuple[ModuleType, ...] = (nvidia_smi, codecarbon, zeus)

__all__ = ["Device", "PowerLog", "Trace", "is_power_log", "load", "power_logs", "zone_of"]


def is_power_log(path: Path, head: bytes) -> bool:
    """Whether a file, by its first bytes, is a log of power or energy rather than of a run."""
    return _kind(path, head) is not None


def load(path: Path, zone: tzinfo | None = None) -> list[PowerLog]:
    """What a power log holds: a log for each tracker that wrote into it.

    Args:
        path: the file.
        zone: the time zone in which it was written, by default this machine's.

    Raises:
        InputError: if it is none, or naming the line that cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        kind = _kind(path, head)
        if kind is None:
            known = ", ".join(str(module.NAME) for module in KINDS)
            raise InputError(f"{path}: not a power log; recognised are those of: {known}")
        found: list[PowerLog] = kind.load(path, zone)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    return found


def power_logs(folder: Path) -> Iterator[Path]:
    """The power logs below a folder; links that lead out of it are not followed."""
    for path in visible_files(folder):
        is_named_so = path.suffix.lower() in (".csv", ".log", ".txt", "")
        if is_named_so and is_inside(path, folder) and is_power_log(path, head_of(path)):
            yield path


def _kind(path: Path, head: bytes) -> ModuleType | None:
    return next((kind for kind in KINDS if head and kind.recognises(path, head)), None)
