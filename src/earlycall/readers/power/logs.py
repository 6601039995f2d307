"""Logs of power and energy: found by what they hold, read into powers along the clock.

A kind of log is a module with ``NAME``, ``recognises(path, head)`` and ``load(path, zone)``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from types import ModuleType

from earlycall.errors import InputError
from earlycall.readers.power import codecarbon, nvidia_smi, zeus
from earlycall.readers.power.clock import zone_of
from earlycall.readers.power.trace import Device, PowerLog, Trace

HEAD = 8192
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
            head = file.read(HEAD)
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
    root = folder.resolve()
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(where, name)
            if path.suffix.lower() not in (".csv", ".log", ".txt", ""):
                continue
            if path.is_file() and path.resolve().is_relative_to(root) and _is_one(path):
                yield path


def _is_one(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_power_log(path, file.read(HEAD))
    except OSError:
        return False


def _kind(path: Path, head: bytes) -> ModuleType | None:
    return next((kind for kind in KINDS if head and kind.recognises(path, head)), None)
