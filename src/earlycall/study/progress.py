"""How a study is getting on, with the time left: bars in a terminal, a line per run elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from earlycall.study.folder import State


class TimeLeft:
    """An estimate from the seconds that the epochs of each architecture have taken so far.

    Examples:
        >>> TimeLeft([]).seconds is None
        True
    """

    def __init__(self, states: Sequence[State]) -> None:
        self._left = {s.plan.name: s.plan.epochs - s.epochs for s in states if not s.done}
        self._architecture = {s.plan.name: s.plan.architecture for s in states}
        self._before = {s.plan.name: (s.epochs, s.seconds) for s in states}
        self._spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for state in states:
            self._add(state.plan.architecture, state.epochs, state.seconds)
        self.active: set[str] = set()

    def _add(self, architecture: str, epochs: float, seconds: float) -> None:
        self._spent[architecture][0] += epochs
        self._spent[architecture][1] += seconds

    def epoch(self, run: str, epoch: int, epochs: int, seconds: float) -> None:
        """A run has done an epoch, and spent so many seconds since its start."""
        had, before = self._before[run]
        if epoch > had:
            self._add(self._architecture[run], epoch - had, seconds - before)
            self._before[run] = (epoch, seconds)
        self._left[run] = epochs - epoch
        self.active.add(run)

    def done(self, run: str) -> None:
        """A run needs no more epochs."""
        self._left.pop(run, None)
        self.active.discard(run)

    @property
    def seconds(self) -> float | None:
        """Seconds until all runs are done, as many at a time as now; None before any epoch."""
        whole = [sum(column) for column in zip(*self._spent.values(), strict=True)]
        if not whole or not whole[0]:
            return None
        usual = whole[1] / whole[0]
        each = [
            left * (seconds / epochs if epochs else usual)
            for run, left in self._left.items()
            for epochs, seconds in [self._spent[self._architecture[run]]]
        ]
        return max(sum(each) / max(len(self.active), 1), max(each, default=0.0))


class StudyProgress:
    """Shows a study's progress on a console (see `earlycall.study.watcher.Watcher`).

    Args:
        console: where; bars if it is a terminal, else a line for each run that is done.

    Examples:
        >>> with StudyProgress(Console(quiet=True)) as progress:
        ...     progress.begin([])
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._left = TimeLeft([])
        self._runs = self._done = self._failed = 0
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[told]}"),
        )
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._whole: TaskID | None = None
        self._bar: dict[str, TaskID] = {}
        self._planned: dict[str, int] = {}
        self._count: dict[str, int] = {}  # epochs that a run has done, or need not do any more

    def __enter__(self) -> StudyProgress:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def begin(self, states: Sequence[State]) -> None:
        """How far each run of the study has come."""
        self._left = TimeLeft(states)
        self._runs = len(states)
        self._done = sum(state.done for state in states)
        started = sum(state.epochs > 0 for state in states) - self._done
        also = f", {started} begun" if started else ""
        self._console.print(
            f"{self._runs} runs: {self._done} done{also}, "
            f"{self._runs - self._done - started} to begin"
        )
        self._planned = {state.plan.name: state.plan.epochs for state in states}
        self._count = {s.plan.name: s.plan.epochs if s.done else s.epochs for s in states}
        self._whole = self._bars.add_task("study", total=sum(self._planned.values()), told="")
        self._show()

    def epoch(self, run: str, told: dict[str, Any]) -> None:
        """A run has done an epoch."""
        self._left.epoch(run, told["epoch"], told["epochs"], told["seconds"])
        if run not in self._bar:
            self._bar[run] = self._bars.add_task(run, total=told["epochs"], told="")
        shown = f"epoch {told['epoch']}/{told['epochs']}, accuracy {told['val_accuracy']:.3f}"
        self._bars.update(self._bar[run], completed=told["epoch"], told=shown)
        self._count[run] = told["epoch"]
        self._show()

    def _show(self) -> None:
        if self._whole is not None:
            shown = f"{self._done}/{self._runs} runs{self._remaining()}"
            self._bars.update(self._whole, completed=sum(self._count.values()), told=shown)

    def _remaining(self) -> str:
        seconds = self._left.seconds
        return "" if seconds is None or seconds < 0.1 else f", about {duration(seconds)} left"

    def _leave(self, run: str) -> None:
        self._left.done(run)
        if run in self._bar:
            self._bars.remove_task(self._bar.pop(run))

    def done(self, run: str, result: dict[str, Any]) -> None:
        """A run is done."""
        self._done += 1
        self._leave(run)
        how = (
            "diverged" if result["diverged"]
            else f"stopped ({result['stopped']})" if result["stopped"] else ""
        )  # fmt: skip
        self._console.print(
            f"{self._done}/{self._runs} {run}: test accuracy {result['test_accuracy']:.4f}"
            f"{', ' + how if how else ''}, {duration(result['seconds'])}{self._remaining()}",
            soft_wrap=True,
            markup=False,
        )
        self._count[run] = self._planned[run]
        self._show()

    def failed(self, run: str, why: str, *, again: bool) -> None:
        """A run has failed."""
        if not again:
            self._leave(run)
        then = "tried again from its last checkpoint" if again else "given up"
        self._console.print(
            f"{run} failed: {why}; {then}", style="yellow", soft_wrap=True, markup=False
        )


def duration(seconds: float) -> str:
    """A time in its two largest units.

    Examples:
        >>> duration(0.42), duration(42.4), duration(95), duration(7300)
        ('0.4 s', '42 s', '1 min 35 s', '2 h 1 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
