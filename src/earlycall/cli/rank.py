"""``earlycall rank``: the runs of each group, the best first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earlycall.cli import output
from earlycall.cli.options import (
    Axis,
    AxisName,
    CostName,
    Format,
    Group,
    Maximize,
    Metric,
    Output,
    Paths,
    Pattern,
    Power,
    PowerOffset,
    Price,
    ScoreName,
    Zone,
    direction,
    part,
)
from earlycall.cli.watching import EVERY, Every, Shown, Watch, watch
from earlycall.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from rich.console import RenderableType
    from rich.table import Table

    from earlycall.curves import CurveSet, Prefixes
    from earlycall.ranking import Ranking


def command(
    paths: Paths,
    score: ScoreName = None,
    metric: Metric = None,
    maximize: Maximize = None,
    budget: Annotated[
        str | None, typer.Option(help="Use the first part of training only: 10% or 0.1.")
    ] = None,
    steps: Annotated[float | None, typer.Option(help="Use the first steps only.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Use the first epochs only.")] = None,
    horizon: Annotated[
        float | None, typer.Option(help="The step at which training would end.")
    ] = None,
    group: Group = None,
    axis: Axis = AxisName.observation,
    cost: Annotated[
        CostName,
        typer.Option(
            help="What the budget is a part of: with joules or usd, runs are compared at the same "
            "energy or money."
        ),
    ] = CostName.step,
    top: Annotated[int, typer.Option(help="Rows a group in the table; 0 for all.")] = 30,
    best: Annotated[
        int, typer.Option(help="K: show each run's chance to end among the best K.", min=1)
    ] = 3,
    svg: Annotated[
        Path | None, typer.Option(help="Also write the table as a picture, for a page or a paper.")
    ] = None,
    pattern: Pattern = None,
    watching: Watch = False,
    every: Every = EVERY,
    power: Power = None,
    price: Price = None,
    power_offset: PowerOffset = None,
    zone: Zone = None,
    fmt: Output = Format.table,
) -> None:
    """Rank runs from the first part of their loss curves.

    The best run of each group stands first.

    Examples:
      earlycall rank runs/ --budget 10%

      earlycall rank runs/ --score lcga_d1 --epochs 10 --format json

      earlycall rank runs/ --watch --metric val_loss

      earlycall rank runs/ --budget 10% --cost joules
    """
    from earlycall.ranking import DEFAULT_SCORE, rank
    from earlycall.scores import get

    chosen = get(score or DEFAULT_SCORE).name
    seen = None if budget is None else part(budget)

    def ranked(curves: CurveSet, name: str) -> Ranking:
        return rank(
            curves, score=chosen, metric=name, direction=direction(maximize), budget=seen,
            steps=steps, epochs=epochs, horizon=horizon, group=group,
            axis=axis.value, cost=cost.value, top=best,
        )  # fmt: skip

    if watching:
        output.joined_once(power, price, power_offset, zone)
        if svg is not None:
            raise InputError("--svg draws one table; leave out --watch")
        watch(
            paths, pattern, lambda curves: _shown(ranked(curves, curves.metric(metric))),
            every=every, top=top, fmt=fmt,
        )  # fmt: skip
        return
    needed = axis.value if cost is CostName.step else cost.value
    curves = output.read_with_cost(
        paths, pattern, needed, power=power, price=price, offset=power_offset, zone=zone
    )
    ranking = ranked(curves, output.chosen_metric(curves, metric))
    for warning in ranking.warnings:
        output.note(warning)
    if fmt is Format.json:
        output.print_json(_document(ranking))
    elif fmt is Format.csv:
        output.print_csv(ranking.table)
    else:
        out = output.console(record=svg is not None)
        for line in _tables(ranking, top):
            out.print(line)
        if svg is not None:
            output.save_svg(out, svg, title=f"earlycall rank {' '.join(map(str, paths))}")


def _shown(ranking: Ranking) -> Shown:
    from rich.console import Group

    return Shown(
        lambda top: Group(*_tables(ranking, top)), lambda: _document(ranking), ranking.warnings
    )


def _document(ranking: Ranking) -> dict[str, Any]:
    horizons = ranking.horizons
    one = next(iter(horizons.values())) if len(set(horizons.values())) == 1 else horizons
    return {
        "score": ranking.score,
        "budget": ranking.budget,
        "cost": ranking.cost,
        "horizon": one,
        "metric": ranking.metric,
        "direction": ranking.direction,
        "warnings": list(ranking.warnings),
        "verdicts": {group: str(said) for group, said in ranking.verdicts.items()},
        "runs": ranking.table.to_dicts(),
    }


def _tables(ranking: Ranking, top: int) -> Iterator[RenderableType]:
    """A table for each group, with what is to be said of it."""
    import polars as pl
    from rich.text import Text

    for prefixes in ranking.prefixes:
        table = ranking.table.filter(pl.col("group") == prefixes.group)
        yield Text(_title(ranking, prefixes), style="bold")
        yield run_table(ranking, prefixes, table.head(top) if top > 0 else table)
        if prefixes.group in ranking.verdicts:
            said = str(ranking.verdicts[prefixes.group])
            yield Text(f"{said[0].upper()}{said[1:]}.", style="italic")
        if 0 < top < table.height:
            yield Text(f"… and {table.height - top} more; --top 0 shows all", style="dim")
        yield Text()


def run_table(ranking: Ranking, prefixes: Prefixes, rows: pl.DataFrame) -> Table:
    """Some runs of a group as a terminal shows them.

    Args:
        ranking: of all runs.
        prefixes: of the group.
        rows: of ``ranking.table``.
    """
    import polars as pl
    from rich.table import Table
    from rich.text import Text

    from earlycall.ranking import TIED

    # That the first runs are tied stands below the table; a column need not repeat it.
    shown = pl.col("reason").is_not_null() & (pl.col("reason") != TIED)
    rows = rows.with_columns(reason=pl.when(shown).then(pl.col("reason")))
    reasons = rows["reason"].count() > 0
    table = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("rank", justify="right")
    table.add_column("run", overflow="fold")
    table.add_column("seen", no_wrap=True)
    table.add_column("to step", justify="right")
    table.add_column(ranking.score, justify="right")
    sure = rows["p_top"].count() > 0
    if sure:
        table.add_column("±", justify="right")
        table.add_column(f"P(best {ranking.top})", justify="right")
    if reasons:
        table.add_column("why", style="yellow")
    suffix = _common_suffix(prefixes.runs)
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
    seen = "all of the log" if ranking.budget is None else f"the first {ranking.budget:.3g}"
    if ranking.budget is not None:
        seen = f"the first {100 * ranking.budget:.3g} % of "
        seen += (
            f"{prefixes.horizon:g} steps" if ranking.cost == "step" else f"the usual {ranking.cost}"
        )
    return output.shown(
        f"{where}{len(prefixes)} runs by {ranking.score} of {ranking.metric}, {seen}"
    )


def _heights(prefixes: Prefixes) -> tuple[float, float]:
    """The values of the lowest and the highest bar, the same for all runs of a group."""
    import numpy as np

    finite = prefixes.values.values[np.isfinite(prefixes.values.values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.quantile(finite, [0.0, 0.95] if prefixes.sign > 0 else [0.05, 1.0])
    return float(low), float(high)


def _common_suffix(runs: tuple[str, ...]) -> str:
    """The ending that all runs' names share, where it is that of a file."""
    endings = {run[run.rfind(".") :] for run in runs if "." in run}
    ending = endings.pop() if len(endings) == 1 else ""
    shared = ending.isascii() and ending[1:].isalpha() and all(r.endswith(ending) for r in runs)
    return ending if shared else ""
