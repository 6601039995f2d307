"""``earlycall rank``: the runs of each group, the best first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import options, output
from earlycall.cli.watch import EVERY, Every, Watch, watch
from earlycall.errors import InputError
from earlycall.formatting import common_ending

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType
    from rich.table import Table

    from earlycall.curves import CurveSet, Prefixes
    from earlycall.ranking.rank import Ranking
    from earlycall.report.run_table import RunTable


def command(
    paths: options.Paths,
    score: options.ScoreName = None,
    burn_in: options.BurnIn = None,
    finished: options.Finished = None,
    metric: options.Metric = None,
    maximize: options.Maximize = None,
    budget: options.Budget = None,
    steps: Annotated[float | None, typer.Option(help="Use the first steps only.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Use the first epochs only.")] = None,
    horizon: options.Horizon = None,
    group: options.Group = None,
    axis: options.Axis = options.AxisName.observation,
    cost: Annotated[
        options.CostName,
        typer.Option(
            help="What the budget is a part of: with joules or usd, runs are compared at the same "
            "energy or money."
        ),
    ] = options.CostName.step,
    top: options.Top = options.TOP,
    best: Annotated[
        int, typer.Option(help="K: show each run's chance to end among the best K.", min=1)
    ] = 3,
    svg: Annotated[
        Path | None, typer.Option(help="Also write the table as a picture, for a page or a paper.")
    ] = None,
    pattern: options.Pattern = None,
    watching: Watch = False,
    every: Every = EVERY,
    power: options.Power = None,
    price: options.Price = None,
    power_offset: options.PowerOffset = None,
    zone: options.Zone = None,
    fmt: options.Output = options.Format.table,
) -> None:
    """Rank runs from the first part of their loss curves.

    The best run of each group stands first.

    Examples:
      earlycall rank runs/ --budget 10%

      earlycall rank runs/ --score lcga_d1 --epochs 10 --format json

      earlycall rank runs/ --watch --metric val_loss

      earlycall rank runs/ --budget 10% --cost joules

      earlycall rank runs/ --finished last-sweep/
    """
    from earlycall.ranking.rank import DEFAULT_SCORE, rank

    past = output.read_finished(finished)

    def ranked(curves: CurveSet, name: str | None = metric) -> Ranking:
        return rank(
            curves, score=score or DEFAULT_SCORE, metric=name, budget=budget, steps=steps,
            epochs=epochs, horizon=horizon, group=group, axis=axis.value, cost=cost.value,
            top=best, direction=options.direction(maximize), finished=past,
            burn_in=burn_in,
        )  # fmt: skip

    if watching:
        output.joined_once(power, price, power_offset, zone)
        if svg is not None:
            raise InputError("--svg draws one table; leave out --watch")
        watch(paths, pattern, ranked, tables, every=every, top=top, fmt=fmt)
        return
    needed = axis.value if cost is options.CostName.step else cost.value
    curves = output.read_with_cost(
        paths, pattern, needed, power=power, price=price, power_offset=power_offset, zone=zone
    )
    ranking = ranked(curves, output.chosen_metric(curves, metric))
    title = f"earlycall rank {' '.join(map(str, paths))}"
    output.show(ranking, fmt, lambda: tables(ranking, top), svg=svg, title=title)


def tables(ranking: Ranking, top: int) -> Iterator[RenderableType]:
    """A table for each group, with its verdict."""
    from rich.text import Text

    from earlycall.report.run_table import run_table
    from earlycall.report.verdict import verdicts

    prefixes = {p.group: p for p in ranking.prefixes}
    sentences = {verdict.group: verdict.sentences[1:] for verdict in verdicts(ranking)}
    table = run_table(ranking)

    def body(group: str, rows: pl.DataFrame) -> Iterator[RenderableType]:
        stop = ranking.stop(group)
        yield run_grid(table.group(group).head(rows.height), prefixes[group], stop)
        if sentences[group]:
            yield Text(" ".join(sentences[group]), style="italic")

    yield from output.by_group(ranking.table, top, lambda g: _title(ranking, prefixes[g]), body)


def run_grid(table: RunTable, prefixes: Prefixes, stop: Collection[str] = ()) -> Table:
    """The runs of a group as a terminal shows them, each with its curve.

    Args:
        table: of `earlycall.report.run_table`, the runs to show.
        prefixes: of their group.
        stop: the runs to stop, which are dim.
    """
    from rich.text import Text

    table = table.select("rank", "run", "step", "score", "se", "p_top", "moved", "note")
    heads = [column.title for column in table.columns]
    grid = output.grid(
        *heads[:2], "seen", *heads[2:], right=[c.title for c in table.columns if c.numeric]
    )
    grid.columns[2].no_wrap = True
    if "note" in table:
        grid.columns[-1].style = "yellow"
    ending = common_ending(table["run"].values)
    rows = dict(zip(prefixes.runs, prefixes.values, strict=True))
    low, high = _heights(prefixes)
    ranks = zip(table["run"].values, table["rank"].values, strict=True)
    for (run, rank), texts in zip(ranks, table.rows(), strict=True):
        cells = list(map(Text, texts))
        cells[1] = Text(output.shown(run.removesuffix(ending)))
        curve = output.sparkline(rows[run].tolist(), low, high)
        style = "bold green" if rank == 1 else "dim" if run in stop else None
        grid.add_row(*cells[:2], curve, *cells[2:], style=style)
    return grid


def _title(ranking: Ranking, prefixes: Prefixes) -> str:
    from earlycall.curves.horizon import UNKNOWN_END

    where = "" if prefixes.group == "all" else f"{prefixes.group}: "
    seen = "all of the log"
    if ranking.budget is not None:
        seen = f"the first {100 * ranking.budget:.3g} % of "
        seen += (
            f"{prefixes.horizon:g} steps" if ranking.cost == "step" else f"the usual {ranking.cost}"
        )
    if learned := ranking.learned_from.get(prefixes.group, 0):
        seen += f", and {learned} finished run{'' if learned == 1 else 's'}"
    end = "" if prefixes.horizon_from else f"; {UNKNOWN_END}"
    return f"{where}{len(prefixes)} runs by {ranking.score} of {ranking.metric}, {seen}{end}"


def _heights(prefixes: Prefixes) -> tuple[float, float]:
    """The values of the lowest and the highest bar, the same for all runs of a group."""
    import numpy as np

    finite = prefixes.values.values[np.isfinite(prefixes.values.values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.quantile(finite, [0.0, 0.95] if prefixes.sign > 0 else [0.05, 1.0])
    return float(low), float(high)
