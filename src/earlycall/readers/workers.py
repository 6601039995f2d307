"""Logs read one after another or, where that would take long, by several processes.

A worker is a Python of its own that imports the readers: a copy of this process would lack the
threads of Polars, and `multiprocessing` would run the script again that calls `earlycall.read`. It
takes logs from its standard input and writes what they hold to its standard output, and ends when
its input does, however this process ends.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from queue import SimpleQueue
from threading import Lock
from typing import IO, Any

import polars as pl

from earlycall.errors import EmptyLogError, InputError, NoMatchError
from earlycall.readers.base.threads import awaited
from earlycall.readers.discovery import Source
from earlycall.readers.growing.log import FollowedLog
from earlycall.readers.trainings import CleanLog

ALONE_SECONDS = 1.0  # of processor time here, before it is asked whether workers would help
SECONDS_PER_WORKER = 4.0  # that are left at that pace: to start one takes about 0.6
MAX_WORKERS = 8
_CHUNK_LOGS, _CHUNK_BYTES = 64, 1 << 24  # that a worker is given at once
_MAX_WORKER_BYTES = 1 << 26  # a larger log is read here, so that no two are in memory at once
_MAX_FAILURES = 2  # of a worker, which then is not started again
_BEGIN = (
    "import sys, pickle; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from earlycall.readers.workers import serve; serve()"
)
Outcome = CleanLog | EmptyLogError | NoMatchError


def read_each(sources: Sequence[Source]) -> Generator[Outcome, None, None]:
    """What each log holds, in their order, or why it holds nothing.

    Warnings and errors are those of reading one log after the other. To be closed, if not all are
    taken.

    Raises:
        InputError: naming the place in the first log that cannot be read.
    """
    begun = time.process_time()
    cores = min(_cores(), MAX_WORKERS)
    for done, source in enumerate(sources):
        spent = time.process_time() - begun
        left = spent * (len(sources) - done) / max(done, 1)
        count = min(cores, int(left / SECONDS_PER_WORKER))
        if count > 1 and spent > ALONE_SECONDS:
            yield from _by_workers(sources[done:], count)
            return
        yield _outcome(source)


def _cores() -> int:
    if not sys.executable or getattr(sys, "frozen", False):
        return 1  # there is no Python to start
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _outcome(source: Source) -> Outcome:
    """What a log holds, read in this process."""
    log = FollowedLog(source)
    try:
        log.read()
    except (EmptyLogError, NoMatchError) as error:
        return error
    empty = EmptyLogError(f"{source.path}: no observation in this log yet")
    return log.clean() or empty


@dataclass(frozen=True)
class _Answer:
    """What a worker says of a log: nothing, where this process has to find out itself."""

    outcome: Outcome | InputError | None
    warned: tuple[Warning, ...] = ()


def _by_workers(sources: Sequence[Source], count: int) -> Iterator[Outcome]:
    """As `read_each`, by some workers."""
    idle: SimpleQueue[_Worker] = SimpleQueue()
    workers = [_Worker() for _ in range(count)]
    for worker in workers:
        idle.put(worker)

    def answers(chunk: list[Source]) -> list[_Answer]:
        worker = idle.get()
        try:
            return worker.ask(chunk)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(count)
    chunks = list(_chunks(sources))
    try:
        pending = [None if large else threads.submit(answers, chunk) for chunk, large in chunks]
        pending.reverse()
        for chunk, _ in chunks:
            future = pending.pop()
            found = [] if future is None else awaited(future)
            for source, answer in zip(chunk, found or [_Answer(None)] * len(chunk), strict=True):
                yield _taken(source, answer)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.stop(for_good=True)
        threads.shutdown()


def _taken(source: Source, answer: _Answer) -> Outcome:
    """What a worker found, as if it had been found here."""
    if answer.outcome is None:
        return _outcome(source)
    for warning in answer.warned:
        warnings.warn(warning, stacklevel=5)
    if isinstance(answer.outcome, InputError) and not isinstance(
        answer.outcome, EmptyLogError | NoMatchError
    ):
        raise answer.outcome
    return answer.outcome


def _chunks(sources: Sequence[Source]) -> Iterator[tuple[list[Source], bool]]:
    """Logs that are read together, and whether it is one that is too large for a worker."""
    chunk: list[Source] = []
    total = 0
    for source in sources:
        size = _size(source)
        is_large = size > _MAX_WORKER_BYTES
        if chunk and (is_large or len(chunk) == _CHUNK_LOGS or total + size > _CHUNK_BYTES):
            yield chunk, False
            chunk, total = [], 0
        if is_large:
            yield [source], True
        else:
            chunk.append(source)
            total += size
    if chunk:
        yield chunk, False


def _size(source: Source) -> int:
    """The bytes of a log; of a folder, those of the files in it."""
    try:
        if not source.path.is_dir():
            return source.path.stat().st_size
        with os.scandir(source.path) as entries:
            return sum(e.stat(follow_symlinks=False).st_size for e in entries if e.is_file())
    except OSError:
        return 0


@dataclass
class _Worker:
    """A process that reads logs; started when it is asked for the first time."""

    _process: subprocess.Popen[bytes] | None = None
    _failures: int = 0
    _lock: Lock = field(default_factory=Lock)

    def ask(self, chunk: list[Source]) -> list[_Answer]:
        """What it says of some logs; nothing, if they cannot be sent or it does not answer."""
        try:
            question = pickle.dumps(chunk)
        except (pickle.PicklingError, TypeError, AttributeError):  # a reader from elsewhere
            return []
        try:
            process = self._started()
            if process is None or process.stdin is None or process.stdout is None:
                return []
            _send(process.stdin, question)
            answer = _received(process.stdout)
            if answer is not None:
                return list(_unpacked(answer))
        except (OSError, ValueError):  # it has ended, or its pipes are closed
            pass
        self._failures += 1
        self.stop()
        return []

    def stop(self, *, for_good: bool = False) -> None:
        """End the process."""
        with self._lock:
            process, self._process = self._process, None
            if for_good:
                self._failures = _MAX_FAILURES
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    _close(pipe)

    def _started(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._process is None and self._failures < _MAX_FAILURES:
                one = dict.fromkeys(
                    ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
                )
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-P", "-c", _BEGIN],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                    env=os.environ | one, **_OUT_OF_REACH_OF_CTRL_C,
                )  # fmt: skip
                pickle.dump(sys.path, self._process.stdin)  # type: ignore[arg-type]
            return self._process


_OUT_OF_REACH_OF_CTRL_C: dict[str, Any] = (
    {"process_group": 0} if os.name == "posix" else {"creationflags": 0x200}
)


def _close(pipe: IO[bytes]) -> None:
    with suppress(OSError):  # what was still to be written
        pipe.close()


def serve() -> None:
    """What a worker does: answer until there are no more questions."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a reader prints is no answer
    try:
        while (question := _received(sys.stdin.buffer)) is not None:
            _send(answers, _packed([_answer(source) for source in pickle.loads(question)]))  # noqa: S301
    except BrokenPipeError:
        os._exit(0)  # nobody waits for it any more


def _answer(source: Source) -> _Answer:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            outcome: Outcome | InputError | None = _outcome(source)
        except InputError as error:
            outcome = error
        except Exception:  # it is raised where the log is read again
            outcome = None
    messages = (w.message for w in caught)
    return _Answer(outcome, tuple(m for m in messages if isinstance(m, Warning)))


def _send(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(len(content).to_bytes(8, "little"))
    pipe.write(content)
    pipe.flush()


def _received(pipe: IO[bytes]) -> bytes | None:
    """What was sent, None at the end."""
    length = pipe.read(8)
    content = pipe.read(int.from_bytes(length, "little")) if len(length) == 8 else b""
    return content if content and len(content) == int.from_bytes(length, "little") else None


def _packed(answers: list[_Answer]) -> bytes:
    """Answers whose tables of one schema are sent as one: each by itself takes long to send."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(answers)
    tables = [pl.concat(tables) for tables in pickler.tables.values()]
    heights = [[len(table) for table in tables] for tables in pickler.tables.values()]
    return pickle.dumps((file.getvalue(), tables, heights))


def _unpacked(content: bytes) -> list[_Answer]:
    answers, tables, heights = pickle.loads(content)  # noqa: S301
    slices = [
        [table[a:b] for a, b in pairwise(accumulate(those, initial=0))]
        for table, those in zip(tables, heights, strict=True)
    ]
    unpickler = _Unpickler(io.BytesIO(answers))
    unpickler.table = lambda place: slices[place[0]][place[1]]
    found: list[_Answer] = unpickler.load()
    return found


class _Pickler(pickle.Pickler):
    """Sets tables and columns aside, by what they have in common."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.tables: dict[tuple[Any, ...], list[Any]] = {}
        self._order: dict[tuple[Any, ...], int] = {}
        self._places: dict[int, tuple[int, int]] = {}

    def persistent_id(self, value: Any) -> tuple[int, int] | None:
        """Where a table was put."""
        if isinstance(value, pl.DataFrame):
            kind: tuple[Any, ...] = tuple(value.schema.items())
        elif isinstance(value, pl.Series):
            kind = (value.name, value.dtype, "column")
        else:
            return None
        if id(value) not in self._places:
            those = self.tables.setdefault(kind, [])
            self._places[id(value)] = (self._order.setdefault(kind, len(self._order)), len(those))
            those.append(value)
        return self._places[id(value)]


class _Unpickler(pickle.Unpickler):
    """Finds the tables that were set aside."""

    table: Callable[[tuple[int, int]], Any]

    def persistent_load(self, place: tuple[int, int]) -> Any:
        return self.table(place)
