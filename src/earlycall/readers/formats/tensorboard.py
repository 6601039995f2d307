"""TensorBoard event files: scalars and tensors of one number, hyper-parameters, restarts.

A run is a folder with event files. The files are read here, not by TensorBoard, because events of
one kind have one layout, so that thousands are decoded at once.
"""

from __future__ import annotations

import json
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

from earlycall.errors import CurveWarning, NothingYetError
from earlycall.readers.base.inside import files_in
from earlycall.readers.base.log import Log, by_step, settings
from earlycall.readers.base.protobuf import fields, varint
from earlycall.readers.growing.tails import AT_ONCE, DoubtError, Stamp, stamp

NAME = "TensorBoard events"
WHOLE_TREE = False
TRAIN, VALIDATION = "train", "validation"
_OF_HPARAMS = re.compile(r"\d{9,}\.\d+$")
_HEADER, _FOOTER = 12, 4  # length and its checksum; the checksum of the content
_AT_ONCE = 1 << 15  # records decoded at once
_TEMPLATES = 64  # layouts tried among records of one length before the slow way is taken
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
    return [] if folder.is_symlink() else files_in(folder, "*.tfevents.*")


def load_folder(folder: Path) -> Log:
    """The run whose event files are in a folder.

    Keras writes a run's validation into a folder of its own, under the names of the training; its
    metrics get ``val_`` before their names. ``add_hparams`` of PyTorch writes into a folder that
    is called by the time.

    Raises:
        InputError: if nothing has been logged yet.
    """
    return _folder_log(folder, Events.read)


def _folder_log(folder: Path, events: Callable[[Path], Events]) -> Log:
    run = _Run(events)
    run.read(_events_in(folder))
    if _has_halves(folder):
        run.read(_events_in(folder / TRAIN))
        held_out = _Run(events)
        held_out.read(_events_in(folder / VALIDATION))
        run.parts += [
            part.with_columns(name=pl.format("val_{}", "name"), seconds=pl.lit(None, pl.Float64))
            for part in held_out.parts
        ]
    for name in sorted(path.name for path in folder.iterdir() if _OF_HPARAMS.match(path.name)):
        for path in _events_in(folder / name):
            run.hyper |= events(path).hyper
    return run.log(folder)


def recognises(path: Path, head: bytes) -> bool:
    """Whether the first record is whole and its length has the right checksum."""
    return ".tfevents." in path.name and _framed(head)


def load(path: Path) -> Log:
    """The run of one event file.

    Raises:
        InputError: if nothing has been logged yet.
    """
    return load_files([path])


def load_files(paths: list[Path]) -> Log:
    """The run of several event files; steps that a later file repeats are taken from it."""
    run = _Run(Events.read)
    run.read(paths)
    return run.log(paths[0])


class _Run:
    """What the event files of a run hold.

    Args:
        events: reads a file.
    """

    def __init__(self, events: Callable[[Path], Events]) -> None:
        self._events = events
        self.parts: list[pl.DataFrame] = []
        self.hyper: dict[str, Any] = {}
        self.sessions: list[tuple[float, float]] = []  # where each begins: in seconds, on the clock

    def read(self, paths: list[Path]) -> None:
        """Read the files of its sessions, one after the other."""
        begun = 0.0
        for path in paths:
            events = self._events(path)
            self.hyper |= events.hyper
            frame = events.frame()
            if frame.height:
                first = float(frame["seconds"].min())  # type: ignore[arg-type]
                self.sessions.append((begun, first))
                frame = frame.with_columns(seconds=pl.col("seconds") - first + begun)
                begun = float(frame["seconds"].max())  # type: ignore[arg-type]
                self.parts = [_until(part, frame) for part in self.parts] + [frame]

    def log(self, where: Path) -> Log:
        """The run.

        Raises:
            InputError: if nothing has been logged yet.
        """
        if not self.parts:
            raise NothingYetError(f"{where}: no scalar has been logged yet")
        return Log(by_step(pl.concat(self.parts)), _runs(self.hyper, self.sessions))


def gathering_folder(folder: Path) -> EventsGathering:
    """What reads a growing run of several event files on."""
    return EventsGathering(folder)


class EventsGathering:
    """A run with any number of event files, of which only what is new is read.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, _GrowingEvents] = {}

    def log(self) -> Log:
        """All of the run so far.

        Raises:
            DoubtError: if a file was replaced.
            InputError: if nothing has been logged yet.
        """
        return _folder_log(self._folder, self._events)

    def _events(self, path: Path) -> Events:
        return self._files.setdefault(path, _GrowingEvents(path)).read()


class _GrowingEvents:
    """The values in an event file so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Stamp = (0, 0, 0)
        self._so_far: Events | None = None

    def read(self) -> Events:
        now = stamp(self._path)
        before = self._so_far
        if before is None:
            before = Events.read(self._path)
        elif now != self._seen:
            if self._seen[0] != now[0] or now[1] < before.end:
                raise DoubtError
            before = before.followed_by(Events.read(self._path, before.end))
        self._seen, self._so_far = now, before
        return before


def tail_folder(folder: Path) -> EventsTail:
    """What reads a growing run on."""
    return EventsTail(folder)


class EventsTail:
    """The observations of a run with one event file, a part of it at a time.

    Args:
        folder: where the file is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: Stamp = (0, 0, 0)
        self._path: Path | None = None
        self._end = 0
        self._clock: tuple[float, float] | None = None  # of the first and the last event
        self._hyper: dict[str, Any] = {}

    def runs(self) -> pl.DataFrame | None:
        """What is known of the run."""
        return _runs(self._hyper, [] if self._clock is None else [(0.0, self._clock[0])])

    def more(self) -> pl.DataFrame | None:
        """Some of the new observations, None if there are none yet.

        Raises:
            DoubtError: if the run was restarted or replaced, or the clock went back.
        """
        paths = files_in(self._folder, "*.tfevents.*")
        if len(paths) != 1 or self._path not in (None, paths[0]):
            raise DoubtError
        self._path = paths[0]
        now = stamp(self._path)
        if now == self._seen:
            return None
        if self._seen[0] not in (0, now[0]) or now[1] < self._end:
            raise DoubtError
        while True:
            events = Events.read(self._path, self._end, AT_ONCE)
            if events.end == self._end and now[1] - self._end > AT_ONCE:
                raise DoubtError  # a record larger than is read at once
            self._end = events.end
            self._hyper |= events.hyper
            if len(events.value):
                return self._wide(events)
            if now[1] - self._end <= AT_ONCE:
                self._seen = now
                return None

    def _wide(self, events: Events) -> pl.DataFrame:
        first, last = float(events.wall.min()), float(events.wall.max())
        begun, so_far = self._clock or (first, first)
        if first < so_far:
            raise DoubtError
        self._clock = begun, last
        return by_step(events.frame().with_columns(seconds=pl.col("seconds") - begun + 0.0))


def _until(earlier: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """What a restart leaves of the values logged before it, as TensorBoard shows them."""
    starts = later.group_by("name").agg(pl.col("step").min().alias("restart"))
    kept = earlier.join(starts, on="name", how="left", maintain_order="left")
    gone = pl.col("restart").is_not_null() & (pl.col("step") >= pl.col("restart"))
    return kept.filter(~gone).drop("restart")


def _runs(hyper: dict[str, Any], sessions: list[tuple[float, float]]) -> pl.DataFrame | None:
    known = settings(hyper)
    if sessions:
        known["started"] = sessions[0][1]
    if len(sessions) > 1:
        known["restarted"] = json.dumps(sessions[1:])
    return pl.DataFrame([known]) if known else None


@dataclass
class Events:
    """The values in a file's whole records.

    Attributes:
        names: the tags.
        tag: shape (n,), the place of each value's tag in ``names``.
        step: shape (n,).
        wall: shape (n,), seconds since 1970.
        value: shape (n,).
        hyper: hyper-parameters.
        end: the byte where the first record begins that is not whole yet.
    """

    names: list[str]
    tag: NDArray[np.int64]
    step: NDArray[np.int64]
    wall: NDArray[np.float64]
    value: NDArray[np.float64]
    hyper: dict[str, Any]
    end: int

    @classmethod
    def read(cls, path: Path, start: int = 0, most: int = -1) -> Events:
        """The records of a file from a byte on, in at most so many bytes."""
        with path.open("rb") as file:
            file.seek(start)
            content = np.frombuffer(file.read(most), np.uint8)
        at, size, end, damaged = _records(content)
        if damaged is not None:
            warnings.warn(
                f"{path}: damaged at byte {start + damaged}; what follows is left out",
                CurveWarning,
                stacklevel=2,
            )
        none = np.empty(0)
        whole = np.empty(0, dtype=np.int64)
        found = cls([], whole, whole, none, none, {}, start + end)
        chunks: list[tuple[NDArray[Any], ...]] = []
        places: dict[str, int] = {}
        for length in np.unique(size):
            rows = np.flatnonzero(size == length)
            for first in range(0, len(rows), _AT_ONCE):
                part = rows[first : first + _AT_ONCE]
                matrix = content[at[part][:, None] + np.arange(length)]
                chunks += list(_decoded(matrix, part, places, found.hyper))
        if chunks:
            order, tag, step, wall, value = (np.concatenate(c) for c in zip(*chunks, strict=True))
            sort = np.argsort(order, kind="stable")
            found.tag, found.step = tag[sort], step[sort]
            found.wall, found.value = wall[sort], value[sort]
        found.names = list(places)
        return found

    def followed_by(self, more: Events) -> Events:
        """These values and those of the records after them."""
        names = list(dict.fromkeys([*self.names, *more.names]))
        places = np.array([names.index(name) for name in more.names], dtype=np.int64)
        tag = places[more.tag.astype(np.int64)]
        return Events(
            names, np.concatenate([self.tag, tag]), np.concatenate([self.step, more.step]),
            np.concatenate([self.wall, more.wall]), np.concatenate([self.value, more.value]),
            self.hyper | more.hyper, more.end,
        )  # fmt: skip

    def frame(self) -> pl.DataFrame:
        """``step``, ``name``, ``value`` and ``seconds`` (wall-clock time) of each value."""
        names = pl.Series("name", self.names, dtype=pl.String)
        return pl.DataFrame({
            "step": self.step.astype(np.int64), "name": names.gather(self.tag.astype(np.int64)),
            "value": self.value, "seconds": self.wall,
        })  # fmt: skip


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
    for length in np.unique(size):
        rows = np.flatnonzero((size == length) & good)
        for first in range(0, len(rows), _AT_ONCE):
            part = rows[first : first + _AT_ONCE]
            good[part] = _checked(content, at[part], int(length))
    if good.all():
        # A length that is damaged looks like a record that is not whole yet.
        left = content[position : position + _HEADER]
        broken = len(left) == _HEADER and not _checked(content, np.array([position]), 8)[0]
        return at, size, position, position if broken else None
    n = int(np.argmin(good))
    return at[:n], size[:n], int(at[n]) - _HEADER, int(at[n]) - _HEADER


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


_CRC = _table()


def _checked(content: Bytes, at: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    """Whether the bytes from each place on have the masked CRC-32C that stands behind them."""
    crc = np.full(len(at), 0xFFFFFFFF, dtype=np.uint32)
    for i in range(length):
        crc = _CRC[(crc ^ content[at + i]) & 0xFF] ^ (crc >> 8)
    crc = ~crc
    masked = ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
    stored = np.zeros(len(at), dtype=np.uint32)
    for i in range(4):
        stored |= content[at + length + i].astype(np.uint32) << np.uint32(8 * i)
    return np.asarray(masked == stored)


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
    for tries in range(len(matrix)):
        if not len(matrix):
            return
        layout = _layout(matrix[0].tobytes(), hyper)
        if layout is None:
            same = np.zeros(len(matrix), dtype=bool)
            same[0] = True
        else:
            same = layout.same(matrix) if tries < _TEMPLATES else np.arange(len(matrix)) == 0
            rows = matrix[same]
            step = _varints(rows, layout.step)
            wall = np.zeros(len(rows)) if layout.wall is None else _as(rows, layout.wall, "<f8")
            for value in layout.values:
                tag = np.full(len(rows), places.setdefault(value.tag, len(places)))
                yield order[same], tag, step, wall, _as(rows, value.at, value.kind)
        matrix, order = matrix[~same], order[~same]


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
                for inner, _, first, last in fields(event, at, after):
                    if inner == 1:
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
    found: dict[str, Any] = {}
    content, plugin = None, b""
    for number, _, at, after in fields(event, start, stop):
        if number == 1:
            for inner, _, first, last in fields(event, at, after):
                if inner == 1:
                    plugin = event[first:last]
                elif inner == 2:
                    content = (first, last)
    if plugin != b"hparams" or content is None:
        return found
    for number, kind, at, after in fields(event, *content):
        if (number, kind) != (3, 2):
            continue
        for inner, _, first, last in fields(event, at, after):
            if inner == 1:
                key, value = _entry(event, first, last)
                found[key] = value
    return found


def _entry(event: bytes, start: int, stop: int) -> tuple[str, Any]:
    """An entry of a map from names to google.protobuf.Value."""
    key, value = "", None
    for number, _, at, after in fields(event, start, stop):
        if number == 1:
            key = event[at:after].decode("utf-8")
            continue
        for inner, _, first, last in fields(event, at, after):
            if inner == 2:
                (value,) = struct.unpack_from("<d", event, first)
            elif inner == 3:
                value = event[first:last].decode("utf-8")
            elif inner == 4:
                value = bool(event[first])
    return key, value
