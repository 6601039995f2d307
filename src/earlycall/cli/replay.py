"""``earlycall replay``: what stop rules would have saved and lost on finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from earlycall.cli import output
from earlycall.cli.elasticity import Cost, WatchedMetric
from earlycall.cli.options import (
    CostName,
    Format,
    Maximize,
    Output,
    Pattern,
    Power,
    PowerOffset,
    Price,
    Zone,
    direction,
    with_demo,
    words,
)
from earlycall.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from earlycall.stopping.replay import Replay

RULES = "gain:0.02,gain:0.05,gain:0.1,gain:0.2,patience:1,patience:3,patience:5,patience:10"
BAR = 24  # characters of the bar of cost


def command(
    sets: Annotated[
        list[Path],
        typer.Argument(help="Curve sets of finished runs.", show_default=False, callback=with_demo),
    ],
    rules: Annotated[
        str | None,
        typer.Option(
            help="Stop rules, separated by commas: gain:THRESHOLD, loss:THRESHOLD, "
            "patience:P[:REL_DELTA], plateau[:WINDOW[:SHARE]], budget:COST, target:LOSS:HORIZON, "
            "joined by and/or; by default some of gain and patience.",
        ),
    ] = None,
    metric: WatchedMetric = None,
    maximize: Maximize = None,
    cost: Cost = CostName.step,
    every: Annotated[
        str | None,
        typer.Option(
            help="Losses averaged before a rule sees them: 1, N or auto; by default 1 for a loss "
            "an epoch, auto for step-level logs."
        ),
    ] = None,
    choose: Annotated[
        float | None,
        typer.Option(
            metavar="PCT",
            help="Find the cheapest gain threshold with a mean regret below PCT %.",
        ),
    ] = None,
    by_group: Annotated[
        bool, typer.Option("--by-group", help="A table for each group, not only their mean.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also draw cost against regret: .html, .png, .svg or .pdf."
        ),
    ] = None,
    pattern: Pattern = None,
    power: Power = None,
    price: Price = None,
    power_offset: PowerOffset = None,
    zone: Zone = None,
    fmt: Output = Format.table,
) -> None:
    """Replay stop rules on finished runs: their cost and regret.

    Examples:
      earlycall replay study/ --rules "gain:0.1,patience:3,patience:3:0.001"

      earlycall replay study/ --choose 2 --cost seconds

      earlycall replay runs/ --cost joules --power gpu.csv
    """
    from earlycall.stopping.replay import replay

    options = {"power": power, "price": price, "offset": power_offset, "zone": zone}
    curve_sets = [
        output.read_with_cost([path], pattern, cost.value, **options)  # type: ignore[arg-type]
        for path in sets
    ]
    for curves in curve_sets:
        output.watched_metric(curves, metric)
    with output.working("replaying"):
        result = replay(
            curve_sets,
            words(RULES if rules is None else rules),
            metric=metric,
            direction=direction(maximize),
            cost=cost.value,
            every=_every(every),
            choose=choose,
        )
    if plot is not None:
        from earlycall import plots

        plots.write(plots.cost_against_regret(result), plot)
    if fmt is Format.json:
        chosen = {} if choose is None else {"choice": result.choice}
        output.print_json({"rows": result.table.to_dicts()} | chosen)
    elif fmt is Format.csv:
        output.print_csv(result.table)
    else:
        _print(result, by_group)
    if choose is not None:
        output.errors().print(_chosen(result, choose), soft_wrap=True)


def _every(text: str | None) -> int | Literal["auto"] | None:
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if text.isdigit() and int(text) >= 1:
        return int(text)
    raise InputError(f"--every {text!r} must be auto or a whole number of losses, at least 1")


def _chosen(result: Replay, choose: float) -> str:
    found = result.choice
    if found is None:
        return f"note: no gain threshold has a mean regret below {choose:g} % on these runs"
    return (
        f"{found['rule']} is the cheapest with a mean regret below {choose:g} % on these runs: "
        f"{found['cost_pct']:.1f} % of the cost, {found['regret_pct']:.2f} % regret; on new runs "
        "expect somewhat more"
    )


def _print(result: Replay, by_group: bool) -> None:
    import polars as pl

    out = output.console()
    summary = result.summary()
    for name in summary["set"].unique(maintain_order=True).to_list():
        rows = summary.filter(pl.col("set") == name)
        facts = result.table.filter(pl.col("set") == name)
        first = facts.row(0, named=True)
        apart = rows["apart"][0]
        also = f"; {apart} that hardly fell are left out" if apart else ""
        groups = "" if rows["groups"][0] == 1 else f", mean over {rows['groups'][0]} groups"
        out.print(
            f"{name}: {rows['n'][0]} runs by {first['metric']} over {first['cost']}{groups}{also}",
            style="bold",
            markup=False,
        )
        out.print(_table(rows))
        out.print()
        for group in facts["group"].unique(maintain_order=True).to_list() if by_group else []:
            one = facts.filter(pl.col("group") == group)
            out.print(f"{name}, {group}: {one['n'][0]} runs", style="bold", markup=False)
            out.print(_table(one.with_columns(pl.col("winner_kept").cast(pl.Float64))))
            out.print()


def _table(rows: pl.DataFrame) -> Table:
    """Rules down, the cheapest first; a bar shows the cost."""
    from rich.table import Table

    table = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("rule")
    for name in ("cost", "regret", "winner kept"):
        table.add_column(name, justify="right")
    table.add_column("cost of the full run")
    for row in rows.sort("cost_pct").iter_rows(named=True):
        table.add_row(
            row["rule"],
            f"{row['cost_pct']:.1f} %",
            f"{row['regret_pct']:.2f} %",
            f"{row['winner_kept']:.0%}",
            "█" * max(round(BAR * row["cost_pct"] / 100), 1),
        )
    return table
