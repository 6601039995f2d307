"""``earlycall energy``: what runs used, and what calling them early would have saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import options, output
from earlycall.formatting import common_ending, duration, number

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType

    from earlycall.cli.fitted import Need
    from earlycall.energy import Energy

BAR = 20  # characters of the bar of the run that used most


def command(
    paths: options.Paths,
    power: options.Power = None,
    price: options.Price = None,
    carbon: Annotated[
        float | None,
        typer.Option(
            help="Grams of CO2e per kWh; by default what CodeCarbon's log says.",
            show_default=False,
        ),
    ] = None,
    power_offset: options.PowerOffset = None,
    zone: options.Zone = None,
    metric: options.WatchedMetric = None,
    maximize: options.Maximize = None,
    score: options.ScoreName = None,
    burn_in: options.BurnIn = None,
    budget: Annotated[
        str, typer.Option(help="The part of training after which runs are chosen.")
    ] = "10%",
    horizon: options.Horizon = None,
    keep: Annotated[int, typer.Option(help="Runs per group to train to completion.", min=1)] = 1,
    rule: Annotated[
        str | None, typer.Option(help="The stop rule (default: gain:0.02).", show_default=False)
    ] = None,
    top: options.Top = options.TOP,
    pattern: options.Pattern = None,
    fmt: options.Output = options.Format.table,
) -> None:
    """Show the energy of runs, and what an early call would save.

    Energy, money and CO2e, and what choosing or stopping runs early would have saved.

    Power logs of nvidia-smi, CodeCarbon and Zeus beside the runs are found and joined by the clock.

    Examples:
      earlycall energy runs/ --price 0.30 --carbon 380

      earlycall energy runs/ --power gpu.csv --zone Europe/Berlin --format json
    """
    from earlycall.energy import energy
    from earlycall.ranking.rank import DEFAULT_SCORE
    from earlycall.stopping.monitor import DEFAULT_RULE

    with output.working("reading logs"):
        used = energy(
            list(paths),
            power=power,
            price=price,
            carbon=carbon,
            power_offset=power_offset,
            zone=zone,
            pattern=pattern,
            metric=metric,
            direction=options.direction(maximize),
            score=score or DEFAULT_SCORE,
            budget=budget,
            horizon=horizon,
            keep=keep,
            rule=rule or DEFAULT_RULE,
            burn_in=burn_in,
        )
    output.show(used, fmt, lambda: _tables(used, top))


def _tables(used: Energy, top: int) -> Iterator[RenderableType]:
    import polars as pl
    from rich.text import Text

    def title(group: str) -> str:
        return "energy used" if group == "all" else f"{group}: energy used"

    def body(group: str, rows: pl.DataFrame) -> Iterator[RenderableType]:
        ending = common_ending(used.table.filter(pl.col("group") == group)["run"].to_list())
        yield _table(rows, ending)

    yield from output.words(used.summary())
    groups = used.table.partition_by("group", maintain_order=True)
    rows = pl.concat([g.sort("joules", descending=True, nulls_last=True) for g in groups])
    yield from output.by_group(rows, top, title, body)
    if used.savings["would_kwh"].count():
        yield Text()
        yield Text(f"what calling early would have saved, by {used.metric}", style="bold")
        yield _savings(used)
    if used.table["estimated"].any():
        yield Text()
        yield Text("Energy by CodeCarbon is partly an estimate.", style="dim")


def _table(rows: pl.DataFrame, ending: str) -> RenderableType:
    from earlycall.cli.fitted import FittedTable, TableColumn, names

    most = float(rows["joules"].max() or 0.0)  # type: ignore[arg-type]
    shares = [(joules or 0.0) / most if most > 0 else 0.0 for joules in rows["joules"]]
    bars = ["█" * max(round(BAR * share), 1 if share > 0 else 0) for share in shares]

    def numbers(title: str, key: str, digits: int, need: Need = "always") -> TableColumn:
        return TableColumn(title, [number(value, digits) for value in rows[key]], need=need)

    columns = [
        names(rows["run"], ending=ending),
        numbers("kWh", "kwh", 4),
        *([numbers("usd", "usd", 3)] if rows["usd"].count() else []),
        *([numbers("g CO2e", "gco2e", 3)] if rows["gco2e"].count() else []),
        TableColumn("time", [duration(seconds) for seconds in rows["seconds"]]),
        numbers("mean W", "mean_watts", 3, "where it fits"),
        numbers("joules", "joules", 4, "details"),
        TableColumn("", bars, "text", "where it fits", style="dim"),
        TableColumn("from", [s or "–" for s in rows["source"]], "text", "where it fits"),
    ]
    if rows["reason"].count():
        reasons = [output.shown(reason or "") for reason in rows["reason"]]
        columns.append(TableColumn("why not", reasons, "note", style="yellow"))
    return FittedTable(columns)


def _savings(used: Energy) -> RenderableType:
    """The ways to call early, of each group."""
    from earlycall.cli.fitted import FittedTable, TableColumn, names

    rows = used.savings
    kept = "the best" if used.keep == 1 else f"the best {used.keep}"
    ways = {"choose": f"choose {kept} at {used.budget:.0%}", "stop": f"stop by {used.rule}"}
    winner = {True: "yes", False: "no", None: "–"}

    def numbers(title: str, key: str, digits: int = 3, need: Need = "always") -> TableColumn:
        return TableColumn(title, [number(value, digits) for value in rows[key]], need=need)

    def percents(title: str, key: str, digits: int) -> TableColumn:
        return TableColumn(title, ["–" if v is None else f"{v:.{digits}f} %" for v in rows[key]])

    groups = rows["group"].n_unique() > 1
    columns = [
        *([names(rows["group"], "group", ending="")] if groups else []),
        TableColumn("way", [ways[way] for way in rows["way"]], "text" if groups else "name"),
        percents("saved", "saved_pct", 1),
        numbers("saved kWh", "saved_kwh"),
        *([numbers("saved usd", "saved_usd")] if used.price is not None else []),
        *([numbers("saved g CO2e", "saved_gco2e")] if used.carbon is not None else []),
        percents("regret", "regret_pct", 2),
        TableColumn("winner kept", [winner[kept] for kept in rows["winner_kept"]], "text"),
        numbers("used kWh", "used_kwh", need="details"),
        numbers("would kWh", "would_kwh", need="details"),
    ]
    return FittedTable(columns)
