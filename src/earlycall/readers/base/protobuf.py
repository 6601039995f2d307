"""The wire format of protocol buffers: enough to walk through messages whose fields are known."""

from __future__ import annotations

from collections.abc import Iterator


def fields(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a protobuf message: number, wire type, and where the content lies.

    Raises:
        ValueError: if the message is broken.
    """
    at = start
    while at < stop:
        key, at = varint(data, at, stop)
        kind = key & 7
        if kind == 0:
            _, after = varint(data, at, stop)
        elif kind == 1:
            after = at + 8
        elif kind == 2:
            length, at = varint(data, at, stop)
            after = at + length
        elif kind == 5:
            after = at + 4
        else:
            raise ValueError(f"wire type {kind}")
        if after > stop:
            raise ValueError("a field ends beyond its message")
        yield key >> 3, kind, at, after
        at = after


def varint(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """A whole number of variable length, and where the next thing begins.

    Raises:
        ValueError: if it does not end.

    Examples:
        >>> varint(bytes([0xAC, 0x02]), 0, 2)
        (300, 2)
    """
    value = shift = 0
    while at < stop and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number does not end")


def nested(data: bytes, start: int, stop: int, *path: int) -> Iterator[tuple[int, int]]:
    """Where the contents of the fields lie that a path of field numbers leads to.

    Raises:
        ValueError: if a message is broken.
    """
    for number, _, at, after in fields(data, start, stop):
        if number == path[0]:
            yield from nested(data, at, after, *path[1:]) if len(path) > 1 else [(at, after)]
