"""The log format of LevelDB, as W&B and SwanLab write it: records with checksums, in blocks."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from earlycall.errors import CurveWarning

_BLOCK, _HEADER = 32768, 7  # the file has a header of as many bytes as a record
_FULL, _FIRST, _MIDDLE, _LAST = _KINDS = 1, 2, 3, 4


def records(path: Path, file: BinaryIO, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """The whole records of a LevelDB log with their ends, up to the first that is damaged."""
    position = start or len(file.read(_HEADER))
    file.seek(position)
    begun = b""
    while True:
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:  # the rest of a block is padding
            position += left
            file.seek(position)
            continue
        head = file.read(_HEADER)
        if len(head) < _HEADER:
            return
        checksum, length, kind = struct.unpack("<IHB", head)
        part = file.read(min(length, left))
        if len(part) < length <= left - _HEADER:
            return  # still being written
        if zlib.crc32(part, zlib.crc32(head[6:])) != checksum or kind not in _KINDS:
            if any(head):  # zeros are what a crash leaves
                warnings.warn(f"{path}: damaged at byte {position}; what follows is left out",
                              CurveWarning, stacklevel=2)  # fmt: skip
            return
        position += _HEADER + length
        begun = part if kind in (_FULL, _FIRST) else begun + part
        if kind in (_FULL, _LAST):
            yield begun, position
