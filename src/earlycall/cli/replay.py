"""``earlycall replay``: what stop rules would have saved and lost on finished runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from earlycall.cli import options, output
from earlycall.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType

    from earlycall.stopping.replay import Replay

BAR_WIDTH = 24  # characters of the bar of cost


def command(
    sets: Annotated[
        list[Path],
        typer.Argument(
            help="Curve sets of finished runs.", show_default=False, callback=options.with_demo
        ),
    ],
    rules: Annotated[
        str | None,
        typer.Option(
            help="Stop rules, separated by commas: gain:THRESHOLD, loss:THRESHOLD, "
            "patience:P[:REL_DELTA], plateau[:WINDOW[:SHARE]], budget:COST, target:LOSS:HORIZON, "
            "forecast:COST:LIMIT, joined by and/or (default: some of gain and "
            "patience).",
        ),
    ] = None,
    metric: options.WatchedMetric = None,
    maximize: options.Maximize = None,
    cost: options.Cost = options.CostName.step,
    every: Annotated[
        str | None,
        typer.Option(
            help="Losses averaged per rule update: 1, N or auto (default: 1 for epoch-level logs, "
            "auto for step-level ones)."
        ),
    ] = None,
    choose: Annotated[
        float | None,
        typer.Option(
            metavar="PCT",
            help="Find the cheapest gain threshold with a mean regret below PCT %.",
        ),
    ] = None,
    halving: Annotated[
        bool,
        typer.Option(
            "--halving",
            help="Replay a tuner's successive halving instead, by earlycall's score and by the "
            "last loss.",
        ),
    ] = False,
    by_group: options.ByGroup = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also draw cost against regret: .html, .png, .svg or .pdf."
        ),
    ] = None,
    pattern: options.Pattern = None,
    power: options.Power = None,
    price: options.Price = None,
    power_offset: options.PowerOffset = None,
    zone: options.Zone = None,
    fmt: options.Output = options.Format.table,
) -> None:
    """Replay stop rules on finished runs: their cost and regret.

    Examples:
      earlycall replay study/ --rules "gain:0.1,patience:3,patience:3:0.001"

      earlycall replay study/ --choose 2 --cost seconds

      earlycall replay runs/ --cost joules --power gpu.csv

      earlycall replay study/ --halving
    """
    from earlycall.ranking.replayed import replay_halving
    from earlycall.stopping.replay import DEFAULT_RULES, replay

    if halving and (rules is not None or choose is not None or every is not None):
        raise InputError("--halving replays no stop rules; leave out --rules, --choose and --every")

    curve_sets = [
        output.read_with_cost(
            [path],
            pattern,
            cost.value,
            power=power,
            price=price,
            power_offset=power_offset,
            zone=zone,
        )
        for path in sets
    ]
    for curves in curve_sets:
        output.watched_metric(curves, metric)
    judged: dict[str, Any] = {
        "metric": metric, "direction": options.direction(maximize), "cost": cost.value
    }  # fmt: skip
    if halving:
        with output.progress("runs") as progress:
            result = replay_halving(curve_sets, **judged, progress=progress)
    else:
        with output.progress("groups") as progress:
            result = replay(
                curve_sets,
                DEFAULT_RULES if rules is None else options.words(rules),
                **judged,
                every=_every(every),
                choose=choose,
                progress=progress,
            )
    if plot is not None:
        from earlycall.plots import write

        write(result.plot(), plot)
    output.show(result, fmt, lambda: _tables(result, by_group))
    if choose is not None and fmt is not options.Format.table:
        output.errors().print(result.summary(), soft_wrap=True, markup=False)


def _every(text: str | None) -> int | Literal["auto"] | None:
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if text.isdigit() and int(text) >= 1:
        return int(text)
    raise InputError(f"--every {text!r} must be auto or a whole number of losses, at least 1")


def _tables(result: Replay, by_group: bool) -> Iterator[RenderableType]:
    """The verdict, and the rules of each set, the cheapest first."""
    import polars as pl
    from rich.text import Text

    yield from output.words(result.summary())
    for i, ((name,), rows) in enumerate(result.means().group_by("set", maintain_order=True)):
        facts = result.table.filter(pl.col("set") == name)
        first = facts.row(0, named=True)
        left_out = rows["n_no_gain"][0]
        also = f"; {left_out} that hardly fell are left out" if left_out else ""
        groups = "" if rows["groups"][0] == 1 else f", mean over {rows['groups'][0]} groups"
        title = f"{name}: {rows['n'][0]} runs by {first['metric']} over {first['cost']}"
        if i:
            yield Text()
        yield Text(output.shown(f"{title}{groups}{also}"), style="bold")
        yield _table(result, rows)
        for (group,), single in facts.group_by("group", maintain_order=True) if by_group else ():
            yield Text()
            yield Text(output.shown(f"{name}, {group}: {single['n'][0]} runs"), style="bold")
            yield _table(result, single)


def _table(result: Replay, rows: pl.DataFrame) -> RenderableType:
    """Rules down; a bar shows the cost."""
    from earlycall.cli.fitted import FittedTable, TableColumn, names

    rows = rows.sort("cost_pct")
    bars = ["█" * max(round(BAR_WIDTH * cost / 100), 1) for cost in rows["cost_pct"]]
    columns = [
        names(rows["rule"], "rule", ending=""),
        TableColumn("cost", [f"{cost:.1f} %" for cost in rows["cost_pct"]]),
        TableColumn("regret", [f"{regret:.2f} %" for regret in rows["regret_pct"]]),
        TableColumn("winner kept", [result.winner(row) for row in rows.iter_rows(named=True)]),
        TableColumn("cost of the full run", bars, "text", "where it fits"),
    ]
    return FittedTable(columns)
