"""TensorBoard event files: scalars and tensors of one number, hyper-parameters, restarts.

A run is a folder with event files. The files are read here, not by TensorBoard, because events of
one kind have one layout, so that thousands are decoded at once.
"""

from __future__ import annotations

import json
import os
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earlycall.curves.cleaning import RereadRequiredError
from earlycall.errors import CurveWarning, EmptyLogError, InputError
from earlycall.readers.base.growing import State, growing_parts, must_have_grown
from earlycall.readers.base.inside import is_inside
from earlycall.readers.base.log import MAX_METRICS, Log, by_step, settings
from earlycall.readers.base.protobuf import fields, nested, varint

NAME = "TensorBoard events"
WHOLE_TREE = False
BY_STEP = True
TRAIN, VALIDATION = "train", "validation"
_OF_HPARAMS = re.compile(r"\d{9,}\.\d+$")
_HEADER, _FOOTER = 12, 4  # length and its checksum; the checksum of the content
_BLOCK_BYTES = 1 << 22  # of records that are decoded together
_FEW_BYTES = 1 << 16
_MAX_CHECKED = 1 << 14  # bytes: a longer record holds no scalar, and its checksum costs seconds
_MAX_LAYOUTS = 64  # layouts tried among records of one length before the slow way is taken
Bytes = NDArray[np.uint8]


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder has event files, or is a Keras run with its two halves below it."""
    return any(".tfevents." in name for name in files) or _has_halves(folder)


def claims(name: str) -> bool:
    """Whether a file of the folder belongs to the run."""
    return ".tfevents." in name


def owns(folder: Path, below: list[str]) -> list[str]:
    """Which folders below that of a run belong to it."""
    halves = [TRAIN, VALIDATION] if _has_halves(folder) else []
    return halves + [name for name in below if _OF_HPARAMS.match(name)]


def _has_halves(folder: Path) -> bool:
    return all(_events_in(folder / half) for half in (TRAIN, VALIDATION))


def _events_in(folder: Path) -> list[Path]:
    try:
        names = [] if folder.is_symlink() else os.listdir(folder)  # noqa: PTH208
    except OSError:  # there is no such folder
        return []
    paths = (folder / name for name in sorted(names) if ".tfevents." in name)
    return [path for path in paths if is_inside(path, folder)]


def recognises(path: Path, head: bytes) -> bool:
    """Whether the first record is whole and its length has the right checksum."""
    return ".tfevents." in path.name and _framed(head)


def parts(path: Path, state: State) -> Iterator[Log]:
    """The run of an event file, or of the event files in a folder: a session each.

    Steps that a later session repeats are taken from it. Keras writes a run's validation into a
    folder of its own, under the names of the training; its metrics get ``val_`` before their
    names. ``add_hparams`` of PyTorch writes into a folder that is called by the time.

    Raises:
        InputError: if nothing has been logged yet.
    """
    is_one = path.is_file() or (len(_events_in(path)) == 1 and not _folders_of(path))
    if is_one:
        return growing_parts(path, state, _new_events, _load)
    several = growing_parts(path, state, _all_events, _load)
    return (Log(part.observations, part.runs) for part in several)


def _folders_of(folder: Path) -> list[Path]:
    """The folders below that of a run that belong to it."""
    return [folder / name for name in owns(folder, sorted(p.name for p in folder.iterdir()))]


def _new_events(path: Path, state: State) -> Iterator[Log]:
    """What is new in a run with a single file."""
    file = path if path.is_file() else _events_in(path)[0]
    if state.setdefault("file", file) != file:
        raise RereadRequiredError
    start = state.setdefault("end", 0)
    must_have_grown(file, state, start)
    events = Events.read(file, start)
    state["end"], state["hyper"] = events.end, state.get("hyper", {}) | events.hyper
    rows = pl.DataFrame()
    if events.frame.height:
        first, last = events.clock()
        begun, latest = state.get("clock", (first, first))
        if first < latest:
            raise RereadRequiredError
        state["clock"] = begun, last
        rows = by_step(_from(events.frame, begun))
    sessions = [(0.0, state["clock"][0])] if "clock" in state else []
    yield Log(rows, _settings(state["hyper"], sessions))


def _all_events(path: Path, state: State) -> Iterator[Log]:
    """All of a run with several files, of which only what is new is read."""
    files: dict[Path, tuple[State, Events]] = state.setdefault("files", {})
    if "file" in state:
        raise RereadRequiredError

    def events(file: Path) -> Events:
        seen, before = files.get(file, ({}, None))
        must_have_grown(file, seen, before.end if before else 0)
        new = Events.read(file, before.end if before else 0)
        files[file] = seen, before.followed_by(new) if before else new
        return files[file][1]

    yield _log(path, events)


def _load(path: Path) -> Log:
    return _log(path, Events.read)


def _log(path: Path, events: Callable[[Path], Events]) -> Log:
    run = _Run(events)
    run.read([path] if path.is_file() else _events_in(path))
    for folder in _folders_of(path) if path.is_dir() else []:
        if folder.name == VALIDATION:
            held_out = _Run(events)
            held_out.read(_events_in(folder))
            run.tables += [
                table.with_columns(
                    name=pl.format("val_{}", "name"), seconds=pl.lit(None, pl.Float64)
                )
                for table in held_out.tables
            ]
        elif folder.name == TRAIN:
            run.read(_events_in(folder))
        else:
            for file in _events_in(folder):
                run.hyper |= events(file).hyper
    if not run.tables:
        raise EmptyLogError(f"{path}: no scalar has been logged yet")
    return Log(by_step(pl.concat(run.tables)), _settings(run.hyper, run.sessions))


class _Run:
    """What the event files of a run hold.

    Args:
        events: reads a file.
    """

    def __init__(self, events: Callable[[Path], Events]) -> None:
        self._events = events
        self.tables: list[pl.DataFrame] = []
        self.hyper: dict[str, Any] = {}
        self.sessions: list[tuple[float, float]] = []  # where each begins: in seconds, on the clock

    def read(self, paths: list[Path]) -> None:
        """Read the files of its sessions, one after the other."""
        begun = 0.0
        for path in paths:
            events = self._events(path)
            self.hyper |= events.hyper
            if events.frame.height:
                first, _ = events.clock()
                self.sessions.append((begun, first))
                frame = _from(events.frame, first - begun)
                begun = float(frame["seconds"].max())  # type: ignore[arg-type]
                self.tables = [_until(table, frame) for table in self.tables] + [frame]


def _from(frame: pl.DataFrame, begun: float) -> pl.DataFrame:
    """Values whose seconds count from a time on the clock."""
    seconds = (frame["seconds"] - begun).alias("seconds")
    return frame.clone().replace_column(frame.get_column_index("seconds"), seconds)


def _until(earlier: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """What a restart leaves of the values logged before it, as TensorBoard shows them."""
    starts = later.group_by("name").agg(pl.col("step").min().alias("restart"))
    kept = earlier.join(starts, on="name", how="left", maintain_order="left")
    gone = pl.col("restart").is_not_null() & (pl.col("step") >= pl.col("restart"))
    return kept.filter(~gone).drop("restart")


def _settings(hyper: dict[str, Any], sessions: list[tuple[float, float]]) -> pl.DataFrame | None:
    row = settings(hyper)
    if sessions:
        row["started"] = sessions[0][1]
    if len(sessions) > 1:
        row["restarted"] = json.dumps(sessions[1:])
    return pl.DataFrame([row]) if row else None


@dataclass
class Events:
    """The values in a file's complete records.

    Attributes:
        frame: ``step``, ``name``, ``value`` and ``seconds`` (since 1970) of each value.
        hyper: hyper-parameters.
        end: the byte where the first record begins that is incomplete.
    """

    frame: pl.DataFrame
    hyper: dict[str, Any]
    end: int

    @classmethod
    def read(cls, path: Path, start: int = 0) -> Events:
        """The records of a file from a byte on."""
        with path.open("rb") as file:
            file.seek(start)
            content = np.frombuffer(file.read(), np.uint8)
        at, size, end, damaged = _records(content)
        if damaged is not None:
            warnings.warn(
                f"{path}: damaged at byte {start + damaged}; what follows is left out",
                CurveWarning,
                stacklevel=2,
            )
        whole, real = np.empty(0, dtype=np.int64), np.empty(0)
        chunks: list[tuple[NDArray[Any], ...]] = [(whole, whole, whole, real, real)]
        places: dict[str, int] = {}
        hyper: dict[str, Any] = {}
        for length, rows in _blocks(size):
            chunks += _decoded(_matrix(content, at[rows], length), rows, places, hyper)
            if len(places) > MAX_METRICS:
                raise InputError(
                    f"{path}: more than {MAX_METRICS} tags are more than a log has; name metrics "
                    "by what they are, not by their step or sample"
                )
        order, tag, step, wall, value = (np.concatenate(c) for c in zip(*chunks, strict=True))
        sort = np.argsort(order, kind="stable")
        names = pl.Series("name", list(places), dtype=pl.String)[tag[sort]]
        frame = pl.DataFrame(
            {"step": step[sort], "name": names, "value": value[sort], "seconds": wall[sort]}
        )
        return cls(frame, hyper, start + end)

    def followed_by(self, more: Events) -> Events:
        """These values and those of the records after them."""
        return Events(pl.concat([self.frame, more.frame]), self.hyper | more.hyper, more.end)

    def clock(self) -> tuple[float, float]:
        """The first and the last time, in seconds since 1970."""
        seconds = self.frame["seconds"].to_numpy()
        return float(np.fmin.reduce(seconds)), float(np.fmax.reduce(seconds))


def _blocks(size: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Records of one size, some megabytes at a time: the size, and which they are."""
    if not len(size):
        return
    order = np.argsort(size, kind="stable")
    lengths, starts = np.unique(size[order], return_index=True)
    for length, rows in zip(lengths.tolist(), np.split(order, starts[1:]), strict=True):
        together = max(1, _BLOCK_BYTES // max(length, 1))
        for first in range(0, len(rows), together):
            yield length, rows[first : first + together]


def _matrix(content: Bytes, at: NDArray[np.int64], length: int) -> Bytes:
    """The bytes from each place on, shape (places, length)."""
    if len(at) == 1:  # it may be long
        return content[at[0] : at[0] + length][None]
    if len(at) * length < _FEW_BYTES:  # of a small file; a view takes longer to make
        return np.asarray(content[at[:, None] + np.arange(length)])
    return np.lib.stride_tricks.sliding_window_view(content, length)[at]


def _records(content: Bytes) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int | None]:
    """Where the records' contents begin, their sizes, where they end, and where damage begins."""
    starts, sizes = [], []
    position, whole = 0, len(content)
    view = memoryview(content)
    unpack = struct.Struct("<Q").unpack_from
    while position + _HEADER + _FOOTER <= whole:
        (length,) = unpack(view, position)
        after = position + _HEADER + length + _FOOTER
        if after > whole:
            break
        starts.append(position + _HEADER)
        sizes.append(length)
        position = after
    at, size = np.array(starts, dtype=np.int64), np.array(sizes, dtype=np.int64)
    good = _checked(content, at - _HEADER, 8)
    for length, rows in _blocks(np.where(good, size, 0)):  # a damaged length may be anything
        if length <= _MAX_CHECKED:
            good[rows] &= _checked(content, at[rows], length)
    if good.all():
        # A length that is damaged looks like a record that is not whole yet.
        left = content[position : position + _HEADER]
        broken = len(left) == _HEADER and not _checked(content, np.array([position]), 8)[0]
        return at, size, position, position if broken else None
    n = int(np.argmin(good))
    return at[:n], size[:n], int(at[n]) - _HEADER, int(at[n]) - _HEADER


_SPAN = 256  # bytes whose checksum is one look into a table


def _tables() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """What a byte adds to a CRC-32C by its distance from the end, and what the start does.

    A CRC is linear: that of some bytes is the exclusive or of what each adds.
    """
    of_byte = np.empty((_SPAN, 256), dtype=np.uint32)
    last = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        last = np.where(last & 1, (last >> 1) ^ np.uint32(0x82F63B78), last >> 1)
    of_byte[0] = last
    of_start = np.full(_SPAN + 1, 0xFFFFFFFF, dtype=np.uint32)
    for i in range(_SPAN):
        if i:
            of_byte[i] = last[of_byte[i - 1] & 0xFF] ^ (of_byte[i - 1] >> 8)
        of_start[i + 1] = last[of_start[i] & 0xFF] ^ (of_start[i] >> 8)
    return of_byte, of_start


_OF_BYTE, _OF_START = _tables()


def _checked(content: Bytes, at: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    """Whether the bytes from each place on have the masked CRC-32C that stands behind them."""
    matrix = _matrix(content, at, length + _FOOTER)
    first = length % _SPAN
    crc = np.full(len(at), _OF_START[first]) ^ _added(matrix[:, :first])
    for start in range(first, length, _SPAN):
        span = matrix[:, start : start + _SPAN].copy()
        span[:, :4] ^= crc.astype("<u4")[:, None].view(np.uint8)
        crc = _added(span)
    crc = ~crc
    masked = ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
    stored = np.ascontiguousarray(matrix[:, length:]).view("<u4")[:, 0]
    return np.asarray(masked == stored)


def _added(span: Bytes) -> NDArray[np.uint32]:
    """What some bytes before the end add to the CRC of each row."""
    distance = np.arange(span.shape[1])[::-1]
    added: NDArray[np.uint32] = np.bitwise_xor.reduce(_OF_BYTE[distance, span], axis=1)
    return added


def _framed(head: bytes) -> bool:
    content = np.frombuffer(head[:_HEADER], np.uint8)
    return len(content) == _HEADER and bool(_checked(content, np.array([0]), 8)[0])


@dataclass
class _Value:
    """Where one number stands in an event."""

    tag: str
    at: int
    kind: str  # a numpy type, little-endian


@dataclass
class _Layout:
    """Where the parts of an event stand that differ between events of its kind."""

    wall: int | None = None
    step: tuple[int, int] | None = None  # the bytes of a varint
    values: list[_Value] = None  # type: ignore[assignment]

    def same(self, matrix: Bytes) -> NDArray[np.bool_]:
        """Which rows have the layout of the first."""
        free = np.zeros(matrix.shape[1], dtype=bool)
        if self.wall is not None:
            free[self.wall : self.wall + 8] = True
        for value in self.values:
            free[value.at : value.at + np.dtype(value.kind).itemsize] = True
        same = np.ones(len(matrix), dtype=bool)
        if self.step is not None:
            first, last = self.step
            free[first:last] = True
            same &= ((matrix[:, first:last] ^ matrix[0, first:last]) < 0x80).all(axis=1)
        return np.asarray(same & (matrix[:, ~free] == matrix[0, ~free]).all(axis=1))


def _decoded(
    matrix: Bytes, order: NDArray[np.int64], places: dict[str, int], hyper: dict[str, Any]
) -> Iterator[tuple[NDArray[Any], ...]]:
    """The values of events of one length: their order, tag, step, time and value."""
    for _ in range(min(_MAX_LAYOUTS, len(matrix))):
        layout = _layout(matrix[0].tobytes(), hyper)
        same = np.arange(len(matrix)) == 0 if layout is None else layout.same(matrix)
        if layout is not None:
            yield from _values(matrix[same], order[same], layout, places)
        matrix, order = matrix[~same], order[~same]
        if not len(matrix):
            return
    for i in range(len(matrix)):  # of many layouts: each event by itself
        layout = _layout(matrix[i].tobytes(), hyper)
        if layout is not None and len(places) <= MAX_METRICS:
            yield from _values(matrix[i : i + 1], order[i : i + 1], layout, places)


def _values(
    rows: Bytes, order: NDArray[np.int64], layout: _Layout, places: dict[str, int]
) -> Iterator[tuple[NDArray[Any], ...]]:
    """The values of events of one layout."""
    step = _varints(rows, layout.step)
    wall = np.zeros(len(rows)) if layout.wall is None else _as(rows, layout.wall, "<f8")
    for value in layout.values:
        tag = np.full(len(rows), places.setdefault(value.tag, len(places)))
        yield order, tag, step, wall, _as(rows, value.at, value.kind)


def _as(rows: Bytes, at: int, kind: str) -> NDArray[np.float64]:
    raw = np.ascontiguousarray(rows[:, at : at + np.dtype(kind).itemsize])
    return raw.view(kind)[:, 0].astype(np.float64)


def _varints(rows: Bytes, where: tuple[int, int] | None) -> NDArray[np.int64]:
    total = np.zeros(len(rows), dtype=np.uint64)
    for i, at in enumerate(range(*where) if where else ()):
        total |= (rows[:, at] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * i)
    return total.astype(np.int64)


def _layout(event: bytes, hyper: dict[str, Any]) -> _Layout | None:
    """Where the numbers of an event stand; None of an event without any."""
    layout = _Layout(values=[])
    try:
        for number, kind, at, after in fields(event, 0, len(event)):
            if (number, kind) == (1, 1):
                layout.wall = at
            elif (number, kind) == (2, 0):
                layout.step = (at, after)
            elif (number, kind) == (5, 2):
                for first, last in nested(event, at, after, 1):
                    _take_value(event, first, last, layout, hyper)
    except (ValueError, UnicodeDecodeError):  # an event of another kind
        return None
    return layout if layout.values else None


_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # DT_FLOAT, DT_DOUBLE …
_LISTS = {5: "<f4", 6: "<f8"}  # float_val, double_val


def _take_value(
    event: bytes, start: int, stop: int, layout: _Layout, hyper: dict[str, Any]
) -> None:
    """A summary value: a simple one, a tensor of one number, or hyper-parameters."""
    tag, found = "", None
    for number, kind, at, after in fields(event, start, stop):
        if (number, kind) == (1, 2):
            tag = event[at:after].decode("utf-8")
        elif (number, kind) == (2, 5):
            found = (at, "<f4")
        elif (number, kind) == (8, 2):
            found = _tensor(event, at, after)
        elif (number, kind) == (9, 2):
            hyper |= _hyper(event, at, after)
    if found is not None:
        layout.values.append(_Value(tag, *found))


def _tensor(event: bytes, start: int, stop: int) -> tuple[int, str] | None:
    """Where the number of a tensor stands, None of a tensor of several or of none."""
    dtype, found = "<f4", None
    for number, kind, at, after in fields(event, start, stop):
        if (number, kind) == (1, 0):
            code, _ = varint(event, at, after)
            if code not in _TYPES:
                return None
            dtype = _TYPES[code]
        elif (number, kind) == (4, 2) and after - at == np.dtype(dtype).itemsize:
            found = (at, dtype)
        elif number in _LISTS and after - at == np.dtype(_LISTS[number]).itemsize:
            found = (at, _LISTS[number])  # one number, packed or not
    return found


def _hyper(event: bytes, start: int, stop: int) -> dict[str, Any]:
    """Hyper-parameters in a value's metadata (HParamsPluginData.session_start_info.hparams)."""
    plugins = [event[at:after] for at, after in nested(event, start, stop, 1, 1)]
    if plugins != [b"hparams"]:
        return {}
    return dict(_entry(event, at, after) for at, after in nested(event, start, stop, 1, 2, 3, 1))


def _entry(event: bytes, start: int, stop: int) -> tuple[str, Any]:
    """An entry of a map from names to google.protobuf.Value."""
    key, value = "", None
    for at, after in nested(event, start, stop, 1):
        key = event[at:after].decode("utf-8")
    for first, last in nested(event, start, stop, 2):
        for kind, _, at, after in fields(event, first, last):
            if kind == 2:
                (value,) = struct.unpack_from("<d", event, at)
            elif kind == 3:
                value = event[at:after].decode("utf-8")
            elif kind == 4:
                value = bool(event[at])
    return key, value
