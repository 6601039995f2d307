"""``earlycall elasticity``: how many percent more cost still buy how many percent more gain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import options, output
from earlycall.cli.watch import EVERY, Every, Watch, watch
from earlycall.formatting import number

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType

    from earlycall.curves import CurveSet
    from earlycall.elasticity import Elasticities


def command(
    paths: options.Paths,
    cost: options.Cost = options.CostName.step,
    metric: options.WatchedMetric = None,
    maximize: options.Maximize = None,
    threshold: Annotated[
        float, typer.Option(help="Gain elasticity below which the advice is to stop.")
    ] = 0.1,
    group: options.Group = None,
    top: options.Top = options.TOP,
    pattern: options.Pattern = None,
    watching: Watch = False,
    every: Every = EVERY,
    power: options.Power = None,
    price: options.Price = None,
    power_offset: options.PowerOffset = None,
    zone: options.Zone = None,
    fmt: options.Output = options.Format.table,
) -> None:
    """Measure what more training still brings, run by run.

    How many percent more gain one percent more cost still brings, with its interval.

    Examples:
      earlycall elasticity runs/

      earlycall elasticity runs/ --cost seconds --threshold 0.05 --format json

      earlycall elasticity runs/ --watch

      earlycall elasticity runs/ --cost usd --price 0.30
    """
    from earlycall.elasticity import elasticity

    def measured(curves: CurveSet, name: str | None = metric) -> Elasticities:
        return elasticity(
            curves, cost=cost.value, metric=name, direction=options.direction(maximize),
            threshold=threshold, group=group,
        )  # fmt: skip

    if watching:
        output.joined_once(power, price, power_offset, zone)
        watch(paths, pattern, measured, _tables, every=every, top=top, fmt=fmt)
        return
    curves = output.read_with_cost(
        paths, pattern, cost.value, power=power, price=price, power_offset=power_offset, zone=zone
    )
    found = measured(curves, output.watched_metric(curves, metric))
    output.show(found, fmt, lambda: _tables(found, top))


def _tables(found: Elasticities, top: int) -> Iterator[RenderableType]:
    """A table for each group."""

    def title(group: str) -> str:
        where = "" if group == "all" else f"{group}: "
        return f"{where}elasticity of {found.metric} over {found.cost}, at the last one"

    yield from output.by_group(found.table, top, title, _table)


def _table(_: str, rows: pl.DataFrame) -> Iterator[RenderableType]:
    from rich.text import Text

    numbers = ("loss", "gain", "ε loss", "ε gain", "95 %", "fit's ε gain")
    shown = output.grid("run", *numbers, "regime", "shape", "advice", right=numbers)
    for column in shown.columns[1 : 1 + len(numbers)]:
        column.no_wrap = True
    for row in rows.iter_rows(named=True):
        low, high = number(row["low"], 2), number(row["high"], 2)
        shown.add_row(
            Text(output.shown(row["run"])),
            *(number(row[k], 3) for k in ("loss", "gain", "loss_elasticity")),
            number(row["gain_elasticity"], 2),
            "–" if row["low"] is None else f"{low} to {high}",
            number(row["fit_gain_elasticity"], 2),
            row["regime"] or "–",
            row["shape"],
            row["advice"],
        )
    yield shown
