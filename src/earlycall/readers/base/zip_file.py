"""Files in a ZIP archive, of which no more is unpacked than a log may hold."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from earlycall.errors import InputError

MAX_BYTES = 1 << 28  # unpacked
MAX_MEMBERS = 10_000


def members(path: Path) -> list[str]:
    """The names of the files in an archive, none of one that is damaged or has too many."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return []
    return names if len(names) <= MAX_MEMBERS else []


def read_member(path: Path, name: str) -> bytes:
    """What a file in an archive holds.

    Raises:
        InputError: if it is damaged, encrypted, or larger than `MAX_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            content = file.read(MAX_BYTES + 1)
    except (
        OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise InputError(f"{path}: {name} cannot be unpacked: {error}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: {name} is larger than {MAX_BYTES >> 20} MB unpacked")
    return content
