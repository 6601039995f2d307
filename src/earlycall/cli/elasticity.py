"""``earlycall elasticity``: how many percent more cost still buy how many percent more gain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import options, output
from earlycall.cli.watch import EVERY, Every, Watch, watch
from earlycall.formatting import common_ending, number
from earlycall.stopping.gain import THRESHOLD

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
    ] = THRESHOLD,
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

      earlycall elasticity runs/ -v
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
    """A table for each group, below the verdict."""

    def title(group: str) -> str:
        where = "" if group == "all" else f"{group}: "
        return f"{where}elasticity of {found.metric} over {found.cost}, at the last one"

    def body(group: str, rows: pl.DataFrame) -> Iterator[RenderableType]:
        ending = common_ending(found.table.filter(found.table["group"] == group)["run"].to_list())
        yield _table(rows, ending, found)

    yield from output.words(found.summary())
    yield from output.by_group(found.table, top, title, body)


def _table(rows: pl.DataFrame, ending: str, found: Elasticities) -> RenderableType:
    """The runs of a group: the advice, the numbers that it rests on, what else is to be said."""
    from earlycall.cli.fitted import FittedTable, TableColumn, names
    from earlycall.elasticity import AFTER_DROP, CAME_BACK, FIT_DISAGREES, GO, STOP, UNSURE

    said = [advice.partition(": ")[::2] for advice in rows["advice"]]
    style = {STOP: "red", GO: "green", UNSURE: "yellow"}
    clauses = {
        AFTER_DROP: "what followed a sudden drop",
        FIT_DISAGREES: "the fit disagrees",
        CAME_BACK: "it rose so before",
    }
    at = f"{found.threshold:g}"
    usual = {STOP: f"below {at}", GO: f"above {at}", UNSURE: f"{at} lies within"}
    reasons = []
    for (word, clause), shape, regime in zip(said, rows["shape"], rows["regime"], strict=True):
        if regime in (None, "rising") or shape == "flat":
            reasons.append(clause.replace(f"since {found.cost} ", "since "))
        else:  # the numbers are shown
            ends = (short for end, short in clauses.items() if clause.endswith(end))
            reasons.append(next(ends, usual[word]))
    bounds = zip(rows["low"], rows["high"], strict=True)
    intervals = ["–" if a is None else f"{number(a, 2)} to {number(b, 2)}" for a, b in bounds]

    def numbers(key: str, digits: int = 3) -> list[str]:
        return [number(value, digits) for value in rows[key]]

    columns = [
        names(rows["run"], ending=ending),
        TableColumn("advice", [w for w, _ in said], "text", styles=[style[w] for w, _ in said]),
        TableColumn("ε gain", numbers("gain_elasticity", 2)),
        TableColumn("95 %", intervals, need="where it fits"),
        TableColumn("loss", numbers("loss"), need="where it fits"),
        TableColumn("gain", numbers("gain"), need="details"),
        TableColumn("ε loss", numbers("loss_elasticity"), need="details"),
        TableColumn("fit's ε gain", numbers("fit_gain_elasticity", 2), need="details"),
        TableColumn("next 1 % at", numbers("next_percent"), need="details"),
        TableColumn("regime", [r or "–" for r in rows["regime"]], "text", "details"),
        TableColumn("shape", rows["shape"].to_list(), "text", "details"),
    ]
    return FittedTable([*columns, TableColumn("because", reasons, "note")])
