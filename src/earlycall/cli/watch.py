"""``--watch``: a result that is shown again whenever its logs have grown."""

from __future__ import annotations

import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar, cast

import typer

from earlycall.cli import options, output
from earlycall.errors import InputError
from earlycall.results import Result

if TYPE_CHECKING:
    from rich.console import RenderableType

    from earlycall.curves import CurveSet
    from earlycall.ranking.on_verdict import OnVerdict
    from earlycall.ranking.rank import Ranking
    from earlycall.readers.growing.follower import Follower

R = TypeVar("R", bound=Result)

EVERY = 2.0  # seconds
MIN_EVERY = 0.1
LINES_AROUND = 14  # lines of a screen that are not rows of a table: verdict, headers, notes

Watch = Annotated[
    bool,
    typer.Option("--watch", help="Keep watching the logs and refresh the table; stop with Ctrl-C."),
]
Every = Annotated[
    float,
    typer.Option(
        "--every", metavar="SECONDS", help="With --watch: how often to look.", min=MIN_EVERY
    ),
]

OnVerdictCommand = Annotated[
    str | None,
    typer.Option(
        "--on-verdict",
        metavar="COMMAND",
        help="Run COMMAND, without a shell, whenever the leader or the runs to stop change, with "
        "what --format json prints on its standard input.",
        show_default=False,
    ),
]


def watch(
    paths: options.Paths,
    pattern: str | None,
    compute: Callable[[CurveSet], R],
    tables: Callable[[R, int], Iterable[RenderableType]],
    *,
    every: float,
    top: int,
    fmt: options.Format,
    told: OnVerdict | None = None,
) -> None:
    """Show the result of the curves under the paths whenever they change, until Ctrl-C.

    In a terminal the tables are refreshed in place; elsewhere new ones are printed. A log that
    cannot be read for a while, or a result that cannot be computed yet, becomes a note.

    Args:
        paths: as everywhere.
        pattern: as everywhere.
        compute: the result of some curves.
        tables: what a terminal shows of it, with a number of rows per group.
        every: seconds between two looks at the logs.
        top: rows per group, 0 for all.
        fmt: how results are printed.
        told: what is told of each result, which then is a ranking.

    Raises:
        InputError: if there is no such path, or the format cannot be printed again and again.
    """
    from earlycall.readers.growing.follower import Follower

    if fmt is options.Format.csv:
        raise InputError("--watch shows tables or, with --format json, one JSON object a line")
    follower = Follower(paths, pattern=pattern)
    out = output.console()
    with _until_interrupted():
        states = _states(follower, compute, every, told)
        if out.is_terminal and fmt is options.Format.table:
            _refresh(states, tables, ", ".join(map(str, paths)), every, top)
        else:
            _print(states, lambda r: output.print_result(r, fmt, lambda: tables(r, top)))


@dataclass(frozen=True)
class _State(Generic[R]):
    """What there is to show after an update."""

    result: R | None
    changed: bool
    notes: tuple[str, ...]
    size: str


def _states(
    follower: Follower,
    compute: Callable[[CurveSet], R],
    every: float,
    told: OnVerdict | None,
) -> Iterator[_State[R]]:
    """A state per update; never busy for more than half of the time."""
    result: R | None = None
    notes: tuple[str, ...] = ()
    before: CurveSet | None = None
    while True:
        begun = time.monotonic()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            curves = follower.update()
            changed = curves is not before
            if changed:
                before = curves
                result, notes = _computed(compute, curves, result)
                notes += tuple(str(warning.message) for warning in caught)
        broken = tuple(follower.broken.values())
        if told is not None:
            told.look() if result is None else told.update(cast("Ranking", result))
            broken += (told.problem,) if told.problem is not None else ()
        size = f"{len(curves)} runs, {curves.observations.height:,} observations"
        yield _State(result, changed, tuple(dict.fromkeys(broken + notes)), size)
        spent = time.monotonic() - begun
        time.sleep(max(every - spent, spent))


def _computed(
    compute: Callable[[CurveSet], R], curves: CurveSet, before: R | None
) -> tuple[R | None, tuple[str, ...]]:
    """The result of the curves and its notes; the one before where there is none now."""
    if not len(curves):
        return None, ()
    try:
        result = compute(curves)
    except InputError as error:
        return before, (str(error),)
    return result, result.notes


def _print(states: Iterator[_State[R]], show: Callable[[R], None]) -> None:
    """Print each new result, and each note once."""
    noted: set[str] = set()
    for state in states:
        waiting = ("waiting for logs",) if state.result is None and not noted else ()
        for sentence in (*waiting, *state.notes):
            if sentence not in noted:
                noted.add(sentence)
                output.note(sentence)
        if state.changed and state.result is not None:
            show(state.result)
            sys.stdout.flush()  # a pipe's reader waits for it


def _refresh(
    states: Iterator[_State[R]],
    tables: Callable[[R, int], Iterable[RenderableType]],
    source: str,
    every: float,
    top: int,
) -> None:
    """Show each result in place, with as many rows as the screen has."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    out = output.console()
    with Live(console=out, auto_refresh=False) as screen:
        for state in states:
            rows = max(out.height - LINES_AROUND - len(state.notes), 3)
            fitting = rows if top <= 0 else min(top, rows)
            now = datetime.now().astimezone().strftime("%H:%M:%S")
            foot = f"{state.size}; {now}, every {every:g} s; stop with Ctrl-C; {source}"
            waiting = [Text("waiting for logs …", style="italic")]
            lines: list[RenderableType] = [
                *(waiting if state.result is None else tables(state.result, fitting)),
                *(Text(f"note: {sentence}", style="yellow") for sentence in state.notes),
                Text(foot, style="dim"),
            ]
            screen.update(Group(*lines), refresh=True)


@contextmanager
def _until_interrupted() -> Iterator[None]:
    """Ctrl-C, or the signal that ends programs, is how watching ends: no failure."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
