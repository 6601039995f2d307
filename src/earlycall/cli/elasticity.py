"""``earlycall elasticity``: how many percent more cost still buy how many percent more gain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from earlycall.cli import output
from earlycall.cli.options import (
    CostName,
    Format,
    Group,
    Maximize,
    Output,
    Paths,
    Pattern,
    Power,
    PowerOffset,
    Price,
    Zone,
    direction,
)
from earlycall.cli.watching import EVERY, Every, Shown, Watch, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from rich.console import RenderableType
    from rich.table import Table

    from earlycall.curves import CurveSet


Cost = Annotated[CostName, typer.Option("--cost", help="The column that says what a run cost.")]
WatchedMetric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help="The loss that is watched; by default val_loss where there is one, else the training "
        "loss.",
    ),
]


def command(
    paths: Paths,
    cost: Cost = CostName.step,
    metric: WatchedMetric = None,
    maximize: Maximize = None,
    threshold: Annotated[
        float, typer.Option(help="Gain elasticity below which the advice is to stop.")
    ] = 0.1,
    group: Group = None,
    top: Annotated[int, typer.Option(help="Rows a group in the table; 0 for all.")] = 30,
    pattern: Pattern = None,
    watching: Watch = False,
    every: Every = EVERY,
    power: Power = None,
    price: Price = None,
    power_offset: PowerOffset = None,
    zone: Zone = None,
    fmt: Output = Format.table,
) -> None:
    """Measure what more training still brings, run by run.

    How many percent more gain one percent more cost still brings, with its interval.

    Examples:
      earlycall elasticity runs/

      earlycall elasticity runs/ --cost seconds --threshold 0.05 --format json

      earlycall elasticity runs/ --watch

      earlycall elasticity runs/ --cost usd --price 0.30
    """
    from earlycall.elasticity import elasticities

    def measured(curves: CurveSet, name: str | None) -> pl.DataFrame:
        chosen = curves if group is None else curves.select(group=group)
        return elasticities(
            chosen,
            cost=cost.value,
            metric=name,
            direction=direction(maximize),
            threshold=threshold,
        )

    if watching:
        output.joined_once(power, price, power_offset, zone)
        watch(
            paths, pattern, lambda curves: _shown(measured(curves, metric)),
            every=every, top=top, fmt=fmt,
        )  # fmt: skip
        return
    curves = output.read_with_cost(
        paths, pattern, cost.value, power=power, price=price, offset=power_offset, zone=zone
    )
    table = measured(curves, output.watched_metric(curves, metric))
    if fmt is Format.json:
        output.print_json(_document(table))
    elif fmt is Format.csv:
        output.print_csv(table)
    else:
        out = output.console()
        for line in _tables(table, top):
            out.print(line)


def _shown(table: pl.DataFrame) -> Shown:
    from rich.console import Group

    return Shown(lambda top: Group(*_tables(table, top)), lambda: _document(table))


def _document(table: pl.DataFrame) -> dict[str, Any]:
    return {"runs": table.to_dicts()}


def _tables(table: pl.DataFrame, top: int) -> Iterator[RenderableType]:
    """A table for each group."""
    from rich.text import Text

    for name in table["group"].unique(maintain_order=True).to_list():
        rows = table.filter(table["group"] == name)
        where = "" if name == "all" else f"{name}: "
        over = f"elasticity of {rows['metric'][0]} over {rows['cost'][0]}, at the last one"
        yield Text(output.shown(where + over), style="bold")
        yield _table(rows.head(top) if top > 0 else rows)
        if 0 < top < rows.height:
            yield Text(f"… and {rows.height - top} more; --top 0 shows all", style="dim")
        yield Text()


def _table(rows: pl.DataFrame) -> Table:
    from rich.table import Table
    from rich.text import Text

    shown = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column("run", overflow="fold")
    for name in ("loss", "gain", "ε loss", "ε gain", "95 %", "fit's ε gain"):
        shown.add_column(name, justify="right", no_wrap=True)
    for name in ("regime", "shape", "advice"):
        shown.add_column(name, overflow="fold")
    for row in rows.iter_rows(named=True):
        low, high = output.number(row["low"], 2), output.number(row["high"], 2)
        shown.add_row(
            Text(output.shown(row["run"])),
            *(output.number(row[k], 3) for k in ("loss", "gain", "loss_elasticity")),
            output.number(row["gain_elasticity"], 2),
            "–" if row["low"] is None else f"{low} to {high}",
            output.number(row["fit_gain_elasticity"], 2),
            row["regime"] or "–",
            row["shape"],
            row["advice"],
        )
    return shown
