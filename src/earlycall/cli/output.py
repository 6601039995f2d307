"""Results on stdout (tables, JSON, CSV); progress and notes on stderr."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.console import Console

from earlycall.errors import InputError, first_of
from earlycall.formatting import csv_of, json_of

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl
    from rich.console import ConsoleOptions, RenderableType

    from earlycall.cli.options import Format, Paths
    from earlycall.curves import CurveSet
    from earlycall.energy import EnergyTable
    from earlycall.results import Result

ROWS_AT_ONCE = 10_000  # of a table that is printed as JSON
PIPE_WIDTH = 10_000  # nothing is cut or folded where no width is asked for
MAX_SENTENCE = 1400  # characters
BAR_AFTER = 2.0  # seconds, in which a spinner will do
BARS = "▁▂▃▄▅▆▇█"
verbose = False  # whether notes list all that they name, and tables show all columns


def console(*, record: bool = False) -> Console:
    """Where tables go: as wide as the terminal; in a pipe as COLUMNS asks, else as they need to be.

    ``NO_COLOR`` is heeded.
    """
    if record:
        return Console(highlight=False, record=True, width=100)
    out = Console(highlight=False)
    if out.is_terminal:
        return out
    asked = os.environ.get("COLUMNS", "")
    width = int(asked) if asked.isdecimal() and int(asked) > 0 else PIPE_WIDTH
    return Console(highlight=False, width=width)


def save_svg(out: Console, path: Path, title: str) -> None:
    """What a recording console printed, as a picture.

    Raises:
        InputError: if the file cannot be written.
    """
    try:
        out.save_svg(str(path), title=title)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def errors() -> Console:
    """Where progress and notes go."""
    return Console(stderr=True, highlight=False)


def print_json(document: dict[str, Any]) -> None:
    """One JSON object on stdout; what is not finite becomes null."""
    print(json_of(document))


def print_json_rows(facts: dict[str, Any], key: str, table: pl.DataFrame) -> None:
    """As `print_json`, with the rows of a table under a key, of which there may be millions."""
    print(f'{json_of(facts)[:-1]}, "{key}": [', end="")
    for i, rows in enumerate(table.iter_slices(ROWS_AT_ONCE)):
        print(", " * bool(i) + json_of(rows.to_dicts())[1:-1], end="")
    print("]}")


def print_csv(table: pl.DataFrame, *, header: bool = True) -> None:
    """A table as CSV on stdout, safe to open in a spreadsheet."""
    text = csv_of(table)
    print(text if header else text.partition("\n")[2], end="")


def show(
    result: Result, fmt: Format, tables: Callable[[], Iterable[RenderableType]],
    *, svg: Path | None = None, title: str = "",
) -> None:  # fmt: skip
    """A result on stdout, in the format asked for; its notes on stderr.

    Args:
        result: what a command computed.
        fmt: table, JSON or CSV.
        tables: what a terminal shows of it.
        svg: a picture of the tables to write, too.
        title: of the picture.
    """
    for sentence in result.notes:
        note(sentence)
    print_result(result, fmt, tables, svg=svg, title=title)


def print_result(
    result: Result, fmt: Format, tables: Callable[[], Iterable[RenderableType]],
    *, svg: Path | None = None, title: str = "",
) -> None:  # fmt: skip
    """As `show`, without the notes."""
    if fmt == "json":
        print_json(result.to_dict())
    elif fmt == "csv":
        print_csv(result.table)
    else:
        out = console(record=svg is not None)
        for line in tables():
            out.print(line)
        if svg is not None:
            save_svg(out, svg, title)


def by_group(
    table: pl.DataFrame,
    top: int,
    title: Callable[[str], str],
    body: Callable[[str, pl.DataFrame], Iterable[RenderableType]],
) -> Iterator[RenderableType]:
    """A title and a table for each group, each cut after its first rows.

    Args:
        table: with a column ``group``.
        top: rows per group, 0 for all.
        title: from a group to its title.
        body: from a group and its first rows to what is shown of them.
    """
    from rich.text import Text

    for i, ((group,), rows) in enumerate(table.group_by("group", maintain_order=True)):
        if i:
            yield Text()
        if heading := title(str(group)):
            yield Text(shown(heading), style="bold")
        yield from body(str(group), rows.head(top) if top > 0 else rows)
        if 0 < top < rows.height:
            yield Text(f"… and {rows.height - top} more; --top 0 shows all", style="dim")


@dataclass(frozen=True)
class Sentences:
    """Words for a terminal, in which no line begins with the unit of the number before."""

    text: str

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.text import Text

        joined = shown(self.text).replace(" %", "\xa0%")
        for line in wrap(joined, options.max_width, break_on_hyphens=False):
            yield Text(line.replace("\xa0", " "))


def words(summary: str) -> Iterator[RenderableType]:
    """The verdict, above the tables."""
    yield from map(Sentences, summary.splitlines())
    yield ""


def sparkline(losses: Sequence[float], low: float, high: float, width: int = 16) -> str:
    """A curve in a few characters, the highest bar for ``high`` and above.

    Examples:
        >>> sparkline([4.0, 3.0, 2.0, 1.0], 1.0, 4.0)
        '█▆▃▁'
    """
    n = len(losses)
    picked = [losses[i * n // min(n, width)] for i in range(min(n, width))]
    picked[-1:] = [losses[-1]] if n else []
    span = high - low
    return "".join(_bar((v - low) / span if span > 0 else 0.0) for v in picked)


def _bar(height: float) -> str:
    if not math.isfinite(height):
        return "×"
    return BARS[min(max(round(height * (len(BARS) - 1)), 0), len(BARS) - 1)]


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner on stderr while something takes its time (in a terminal only)."""
    where = errors()
    if not where.is_terminal:
        yield
        return
    with where.status(what):
        yield


@contextmanager
def progress(what: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A spinner on stderr and, after two seconds, a bar with the time left instead.

    In a terminal only, which shows nothing of it when the work is done.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    out = errors()
    if not (shown and out.is_terminal):
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn(compact=True))  # fmt: skip
    bar = Progress(*columns, console=out, transient=True, redirect_stdout=False)
    task = bar.add_task(what, total=None)
    begun, spinner = time.monotonic(), out.status(what)

    def update(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        is_late = done < total and time.monotonic() - begun > BAR_AFTER
        if is_late and not bar.live.is_started:
            spinner.stop()
            bar.start()

    spinner.start()
    try:
        yield update
    finally:
        spinner.stop()
        if bar.live.is_started:
            bar.stop()


@contextmanager
def progressing(what: str) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr that says what is worked on (in a terminal only)."""
    where = errors()
    if not where.is_terminal:
        yield lambda _: None
        return
    with where.status(what) as status:
        yield lambda now: status.update(f"{what}: {now}")


def read(paths: Paths, pattern: str | None = None) -> CurveSet:
    """The runs under the paths, with a progress bar."""
    from earlycall.readers import read as read_curves

    with progress("reading logs") as advance:
        return read_curves(paths, pattern=pattern, progress=advance)


def read_finished(paths: Paths | None, outcome: str | None = None) -> CurveSet | None:
    """The finished runs to learn from, None where none are given.

    Args:
        paths: as everywhere.
        outcome: the metric that says how they ended.

    Raises:
        InputError: if none of them has a finite outcome.
    """
    from earlycall.ranking.finished import finished_runs

    return finished_runs(read(paths), outcome) if paths else None


def read_with_power(
    paths: Paths,
    pattern: str | None,
    *,
    power: list[Path] | None,
    price: float | None,
    power_offset: float | None,
    zone: str | None,
) -> EnergyTable:
    """The runs under the paths with what power logs know of their energy; assumptions are noted."""
    from earlycall.energy import with_energy

    with working("reading logs"):
        joined = with_energy(
            list(paths),
            power=power,
            price=price,
            power_offset=power_offset,
            zone=zone,
            pattern=pattern,
        )
    for sentence in joined.notes:
        note(sentence)
    return joined


def read_with_cost(
    paths: Paths, pattern: str | None, cost: str, *, price: float | None, **options: Any
) -> CurveSet:
    """The runs under the paths; where joules or money are asked for, those that have them.

    Args:
        paths: as everywhere.
        pattern: as everywhere.
        cost: what is asked for.
        price: of a kWh.
        options: the others of `read_with_power`.

    Raises:
        InputError: if the energy of no run is known, or money is asked for without a price.
    """
    if cost not in ("joules", "usd"):
        return read(paths, pattern)
    joined = read_with_power(paths, pattern, price=price, **options)
    found = joined.measured
    without = joined.table.filter(joined.table["source"].is_null())
    if without.height:
        names = ", ".join(repr(run) for run in without["run"][:3])
        more = f" and {without.height - 3} more" if without.height > 3 else ""
        note(f"left out, since no energy is known of them: {names}{more}: {without['reason'][0]}")
    if cost == "usd" and "usd" not in found.observations.columns:
        raise InputError("money needs a price: give --price, that of a kWh")
    return found


def joined_once(*options: object) -> None:
    """Refuse options of power logs where runs are watched.

    Raises:
        InputError: if any is given.
    """
    if any(option is not None for option in options):
        raise InputError(
            "power logs are joined once, not while runs are watched: leave out --watch, or the "
            "options of power; joules that a run logs itself are followed"
        )


def read_each(paths: Paths, pattern: str | None = None) -> list[CurveSet]:
    """A curve set for each path, with a spinner."""
    return [read([path], pattern) for path in paths]


def chosen_metric(curves: CurveSet, wanted: str | None) -> str:
    """The metric to work on; a guess is shown.

    Raises:
        InputError: if there is no such metric, or several could be meant.
    """
    metric = curves.metric(wanted)
    if wanted is None and metric != "train_loss":
        _show_guess(curves, metric, "training")
    return metric


def watched_metric(curves: CurveSet, wanted: str | None) -> str:
    """The loss that is watched and judged, by default the validation loss; a guess is shown.

    Raises:
        InputError: if there is no such metric, or several could be meant.
    """
    metric = curves.watched(wanted)
    if wanted is None and metric not in ("train_loss", "val_loss"):
        _show_guess(curves, metric, "watched")
    return metric


def _show_guess(curves: CurveSet, metric: str, kind: str) -> None:
    others = first_of([m for m in curves.metrics if m != metric])
    if others:
        note(f"{metric!r} is taken as the {kind} loss; --metric NAME takes another of: {others}")


def shown(text: str) -> str:
    r"""A name as a terminal may show it: what would move the cursor or hide text is written out.

    Examples:
        >>> shown("a\nb.csv"), shown("\x1b[2Jküche.csv")
        ('a\\nb.csv', '\\x1b[2Jküche.csv')
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def sentence_shown(sentence: str) -> str:
    """A sentence on one line, which names of any length cannot make longer than a screen."""
    line = shown(" ".join(sentence.split()))
    half = MAX_SENTENCE // 2
    return line if len(line) <= MAX_SENTENCE else f"{line[:half]} … {line[-half:]}"


def note(sentence: str) -> None:
    """Something worth knowing, on stderr."""
    errors().print(
        f"note: {sentence_shown(sentence)}", style="yellow", markup=False, soft_wrap=True
    )
