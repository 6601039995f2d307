"""``earlycall rank``: the runs of each group, the best first."""

from __future__ import annotations

from collections.abc import Iterator
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


def command(
    paths: options.Paths,
    score: options.ScoreName = None,
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
    """
    from earlycall.ranking.rank import DEFAULT_SCORE, rank

    def ranked(curves: CurveSet, name: str | None = metric) -> Ranking:
        return rank(
            curves, score=score or DEFAULT_SCORE, metric=name, budget=budget, steps=steps,
            epochs=epochs, horizon=horizon, group=group, axis=axis.value, cost=cost.value,
            top=best, direction=options.direction(maximize),
        )  # fmt: skip

    if watching:
        output.joined_once(power, price, power_offset, zone)
        if svg is not None:
            raise InputError("--svg draws one table; leave out --watch")
        watch(paths, pattern, ranked, tables, every=every, top=top, fmt=fmt)
        return
    needed = axis.value if cost is options.CostName.step else cost.value
    curves = output.read_with_cost(
        paths, pattern, needed, power=power, price=price, offset=power_offset, zone=zone
    )
    ranking = ranked(curves, output.chosen_metric(curves, metric))
    title = f"earlycall rank {' '.join(map(str, paths))}"
    output.show(ranking, fmt, lambda: tables(ranking, top), svg=svg, title=title)


def tables(ranking: Ranking, top: int) -> Iterator[RenderableType]:
    """A table for each group, with its verdict."""
    from rich.text import Text

    from earlycall.formatting import capitalised

    prefixes = {p.group: p for p in ranking.prefixes}

    def body(group: str, rows: pl.DataFrame) -> Iterator[RenderableType]:
        yield run_table(ranking, prefixes[group], rows)
        if group in ranking.verdicts:
            yield Text(f"{capitalised(str(ranking.verdicts[group]))}.", style="italic")

    yield from output.by_group(ranking.table, top, lambda g: _title(ranking, prefixes[g]), body)


def run_table(ranking: Ranking, prefixes: Prefixes, rows: pl.DataFrame) -> Table:
    """Some runs of a group as a terminal shows them.

    Args:
        ranking: of all runs.
        prefixes: of the group.
        rows: of ``ranking.table``.
    """
    import polars as pl
    from rich.text import Text

    from earlycall.ranking.rank import TIED

    # That the first runs are tied stands below the table; a column need not repeat it.
    shown = pl.col("reason").is_not_null() & (pl.col("reason") != TIED)
    rows = rows.with_columns(reason=pl.when(shown).then(pl.col("reason")))
    reasons = rows["reason"].count() > 0
    sure = rows["p_top"].count() > 0
    numbers = ["rank", "to step", ranking.score, *(["±", f"P(best {ranking.top})"] if sure else [])]
    heads = ["rank", "run", "seen", *numbers[1:], *(["why"] if reasons else [])]
    table = output.grid(*heads, right=numbers)
    table.columns[2].no_wrap = True
    if reasons:
        table.columns[-1].style = "yellow"
    suffix = common_ending(prefixes.runs)
    place = {run: i for i, run in enumerate(prefixes.runs)}
    low, high = _heights(prefixes)
    for row in rows.iter_rows(named=True):
        i = place[row["run"]]
        step = prefixes.step[i]
        cells = [
            "–" if row["rank"] is None else str(row["rank"]),
            Text(output.shown(row["run"].removesuffix(suffix))),
            output.sparkline(prefixes.values[i].tolist(), low, high),
            f"{step[-1]:g}" if len(step) else "–",
            output.number(row["score"] if sure else row["raw"], 3),
            *([output.number(row["se"], 2), _percent(row["p_top"])] if sure else []),
            *([row["reason"] or ""] if reasons else []),
        ]
        table.add_row(*cells, style="bold green" if row["rank"] == 1 else None)
    return table


def _percent(part: float | None) -> str:
    return "–" if part is None else f"{part:.0%}"


def _title(ranking: Ranking, prefixes: Prefixes) -> str:
    where = "" if prefixes.group == "all" else f"{prefixes.group}: "
    seen = "all of the log"
    if ranking.budget is not None:
        seen = f"the first {100 * ranking.budget:.3g} % of "
        seen += (
            f"{prefixes.horizon:g} steps" if ranking.cost == "step" else f"the usual {ranking.cost}"
        )
    return f"{where}{len(prefixes)} runs by {ranking.score} of {ranking.metric}, {seen}"


def _heights(prefixes: Prefixes) -> tuple[float, float]:
    """The values of the lowest and the highest bar, the same for all runs of a group."""
    import numpy as np

    finite = prefixes.values.values[np.isfinite(prefixes.values.values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.quantile(finite, [0.0, 0.95] if prefixes.sign > 0 else [0.05, 1.0])
    return float(low), float(high)
