"""The progress of a study with the time left: bars in a terminal, a line per run elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from earlycall.formatting import duration
from earlycall.study.folder import State
from earlycall.study.watcher import Watcher


class TimeLeft:
    """An estimate from the seconds that the epochs of each architecture have taken so far.

    Attributes:
        epochs: the epochs left of each run that is not done.
        active: the runs in training.

    Examples:
        >>> TimeLeft([]).seconds is None
        True
    """

    def __init__(self, states: Sequence[State]) -> None:
        self.epochs = {s.plan.name: s.plan.epochs - s.epochs for s in states if not s.done}
        self.active: set[str] = set()
        self._architecture = {s.plan.name: s.plan.architecture for s in states}
        self._spent = {s.plan.name: (s.epochs, s.seconds) for s in states}

    def epoch(self, run: str, epoch: int, epochs: int, seconds: float) -> None:
        """A run has finished an epoch, ``seconds`` of training after its start."""
        self._spent[run] = max(self._spent[run], (epoch, seconds))
        self.epochs[run] = epochs - epoch
        self.active.add(run)

    def done(self, run: str) -> None:
        """A run needs no more epochs."""
        self.epochs.pop(run, None)
        self.active.discard(run)

    @property
    def seconds(self) -> float | None:
        """Seconds until all runs are done, as many at a time as now; None before any epoch."""
        overall = _mean(self._spent.values())
        if overall is None:
            return None
        pace = {}
        for name in set(self._architecture.values()):
            spent = [self._spent[run] for run, own in self._architecture.items() if own == name]
            pace[name] = _mean(spent) or overall
        each = [left * pace[self._architecture[run]] for run, left in self.epochs.items()]
        return max(sum(each) / max(len(self.active), 1), max(each, default=0.0))


def _mean(spent: Collection[tuple[int, float]]) -> float | None:
    """Seconds per epoch, None before any epoch."""
    epochs = sum(epochs for epochs, _ in spent)
    return sum(seconds for _, seconds in spent) / epochs if epochs else None


class StudyProgress(Watcher):
    """Shows a study's progress on a console.

    Args:
        console: where; bars if it is a terminal, else a line for each run that is done.

    Examples:
        >>> with StudyProgress(Console(quiet=True)) as progress:
        ...     progress.begin([])
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._left = TimeLeft([])
        self._runs = self._done = self._epochs = 0
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[status]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._study_bar = TaskID(0)
        self._run_bars: dict[str, TaskID] = {}

    def __enter__(self) -> StudyProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, states: Sequence[State]) -> None:
        """Print how many runs are done, and show the study's bar."""
        self._left = TimeLeft(states)
        self._runs = len(states)
        self._done = sum(state.done for state in states)
        started = sum(state.epochs > 0 for state in states) - self._done
        also = f", {started} begun" if started else ""
        self._console.print(
            f"{self._runs} runs: {self._done} done{also}, "
            f"{self._runs - self._done - started} to begin"
        )
        self._epochs = sum(state.plan.epochs for state in states)
        self._study_bar = self._bars.add_task("study", total=self._epochs, status="")
        self._update()

    def epoch(self, run: str, progress: dict[str, Any]) -> None:
        """Show the epoch of a run."""
        epoch, epochs = progress["epoch"], progress["epochs"]
        self._left.epoch(run, epoch, epochs, progress["seconds"])
        if run not in self._run_bars:
            self._run_bars[run] = self._bars.add_task(run, total=epochs, status="")
        status = f"epoch {epoch}/{epochs}, accuracy {progress['val_accuracy']:.3f}"
        self._bars.update(self._run_bars[run], completed=epoch, status=status)
        self._update()

    def _update(self) -> None:
        self._bars.update(
            self._study_bar,
            completed=self._epochs - sum(self._left.epochs.values()),
            status=f"{self._done}/{self._runs} runs{self._time_left()}",
        )

    def _time_left(self) -> str:
        seconds = self._left.seconds
        return "" if seconds is None or seconds < 0.1 else f", about {duration(seconds)} left"

    def _end(self, run: str) -> None:
        self._left.done(run)
        if run in self._run_bars:
            self._bars.remove_task(self._run_bars.pop(run))

    def done(self, run: str, result: dict[str, Any]) -> None:
        """Print a line for a run that is done."""
        self._done += 1
        self._end(run)
        stopped = f", stopped ({result['stopped']})" if result["stopped"] else ""
        self._console.print(
            f"{self._done}/{self._runs} {run}: test accuracy {result['test_accuracy']:.4f}"
            f"{', diverged' if result['diverged'] else stopped}, "
            f"{duration(result['seconds'])}{self._time_left()}",
            soft_wrap=True,
            markup=False,
        )
        self._update()

    def failed(self, run: str, reason: str, *, again: bool) -> None:
        """Print a line for a run that has failed."""
        if not again:
            self._end(run)
        then = "tried again from its last checkpoint" if again else "given up"
        self._console.print(
            f"{run} failed: {reason}; {then}", style="yellow", soft_wrap=True, markup=False
        )
