"""``--watch``: a result that is shown again whenever its logs have grown."""

from __future__ import annotations

import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earlycall.cli import output
from earlycall.cli.options import Format, Paths
from earlycall.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from earlycall.curves import CurveSet
    from earlycall.readers.growing.follower import Follower

EVERY = 2.0  # seconds
SHORTEST = 0.1
_AROUND = 8  # lines of a screen that are not rows of a table: titles, headers, notes

Watch = Annotated[
    bool,
    typer.Option(
        "--watch", help="Go on as the logs grow, refreshed in place; Ctrl-C ends it (exit code 0)."
    ),
]
Every = Annotated[
    float,
    typer.Option(
        "--every", metavar="SECONDS", help="With --watch: how often to look.", min=SHORTEST
    ),
]


@dataclass(frozen=True)
class Shown:
    """A result of some curves, ready to be shown in any way.

    Attributes:
        table: for people, given how many rows a group may have.
        document: for programs, one JSON object.
        notes: what is worth knowing beside it.
    """

    table: Callable[[int], RenderableType]
    document: Callable[[], dict[str, Any]]
    notes: Sequence[str] = ()


def watch(
    paths: Paths,
    pattern: str | None,
    result: Callable[[CurveSet], Shown],
    *,
    every: float,
    top: int,
    fmt: Format,
) -> None:
    """Show the result of the curves under the paths whenever they change, until Ctrl-C.

    In a terminal a table is refreshed in place; elsewhere a new one is printed. A log that cannot
    be read for a while, or a result that cannot be told yet, becomes a note.

    Raises:
        InputError: if there is no such path, or the format cannot be printed again and again.
    """
    from earlycall.readers.growing.follower import Follower

    if fmt is Format.csv:
        raise InputError("--watch shows tables or, with --format json, one JSON object a line")
    follower = Follower(paths, pattern=pattern)
    out = output.console()
    live = out.is_terminal and fmt is Format.table
    with _until_told_to_stop():
        states = _states(follower, result, every)
        if live:
            _refresh(states, ", ".join(map(str, paths)), every, top)
        elif fmt is Format.json:
            _print(states, lambda shown: output.print_json(shown.document()))
        else:
            _print(states, lambda shown: out.print(shown.table(top)))


@dataclass(frozen=True)
class _State:
    """What is to be seen after an update."""

    shown: Shown | None
    changed: bool
    notes: tuple[str, ...]
    size: str


def _states(
    follower: Follower, result: Callable[[CurveSet], Shown], every: float
) -> Iterator[_State]:
    """What is to be seen, time after time; never busy for more than half of the time."""
    shown: Shown | None = None
    said: tuple[str, ...] = ()
    before: CurveSet | None = None
    while True:
        begun = time.monotonic()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            curves = follower.update()
            changed = curves is not before
            if changed:
                before = curves
                shown, said = _computed(result, curves, shown)
                said += tuple(str(warning.message) for warning in caught)
        broken = tuple(follower.broken.values())
        size = f"{len(curves)} runs, {curves.observations.height:,} observations"
        yield _State(shown, changed, tuple(dict.fromkeys(broken + said)), size)
        spent = time.monotonic() - begun
        time.sleep(max(every - spent, spent))


def _computed(
    result: Callable[[CurveSet], Shown], curves: CurveSet, before: Shown | None
) -> tuple[Shown | None, tuple[str, ...]]:
    """The result of the curves and its notes; the one before where it cannot be told now."""
    if not len(curves):
        return None, ()
    try:
        shown = result(curves)
    except InputError as error:
        return before, (str(error),)
    return shown, tuple(shown.notes)


def _print(states: Iterator[_State], show: Callable[[Shown], None]) -> None:
    """A new result a change, a note once."""
    noted: set[str] = set()
    waiting = "waiting for logs"
    for state in states:
        if state.shown is None and not noted:
            noted.add(waiting)
            output.note(waiting)
        for sentence in state.notes:
            if sentence not in noted:
                noted.add(sentence)
                output.note(sentence)
        if state.changed and state.shown is not None:
            show(state.shown)
            sys.stdout.flush()  # who reads a pipe waits for it


def _refresh(states: Iterator[_State], what: str, every: float, top: int) -> None:
    """The result in place, with as many rows as the screen has."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    out = output.console()
    with Live(console=out, auto_refresh=False) as screen:
        for state in states:
            rows = max(out.height - _AROUND - len(state.notes), 3)
            fitting = rows if top <= 0 else min(top, rows)
            now = datetime.now().astimezone().strftime("%H:%M:%S")
            foot = f"{state.size}; {now}, every {every:g} s; Ctrl-C ends; {what}"
            waiting = Text("waiting for logs …", style="italic")
            parts: list[RenderableType] = [
                waiting if state.shown is None else state.shown.table(fitting),
                *(Text(f"note: {sentence}", style="yellow") for sentence in state.notes),
                Text(foot, style="dim"),
            ]
            screen.update(Group(*parts), refresh=True)


@contextmanager
def _until_told_to_stop() -> Iterator[None]:
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
