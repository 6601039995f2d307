"""``earlycall energy``: what runs used, and what calling them early would have saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import options, output
from earlycall.formatting import duration, number

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType
    from rich.table import Table

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

    groups = used.table.partition_by("group", maintain_order=True)
    rows = pl.concat([g.sort("joules", descending=True, nulls_last=True) for g in groups])
    yield from output.by_group(rows, top, title, lambda _, some: [_table(some)])
    if used.savings["would_kwh"].count():
        yield Text(f"what calling early would have saved, by {used.metric}", style="bold")
        yield _savings(used)
        yield Text()
    yield Text(used.summary(), style="italic")
    if used.table["estimated"].any():
        yield Text("Energy by CodeCarbon is partly an estimate.", style="dim")


def _table(rows: pl.DataFrame) -> Table:
    from rich.text import Text

    money, carbon, reasons = (rows[name].count() > 0 for name in ("usd", "gco2e", "reason"))
    prices = [*(["usd"] if money else []), *(["g CO2e"] if carbon else [])]
    numbers = ["time", "joules", "kWh", *prices, "mean W"]
    shown = output.grid("run", *numbers, "", "from", *(["why not"] * reasons), right=numbers)
    shown.columns[len(numbers) + 2].style = "dim"
    if reasons:
        shown.columns[-1].style = "yellow"
    most = float(rows["joules"].max() or 0.0)  # type: ignore[arg-type]
    for row in rows.iter_rows(named=True):
        share = (row["joules"] or 0.0) / most if most > 0 else 0.0
        shown.add_row(
            Text(output.shown(row["run"])),
            duration(row["seconds"]),
            *(number(row[k], 4) for k in ("joules", "kwh")),
            *([number(row["usd"], 3)] if money else []),
            *([number(row["gco2e"], 3)] if carbon else []),
            number(row["mean_watts"], 3),
            "█" * max(round(BAR * share), 1 if share > 0 else 0),
            row["source"] or "–",
            *([row["reason"] or ""] if reasons else []),
        )
    return shown


def _savings(used: Energy) -> Table:
    groups = used.savings["group"].n_unique() > 1
    money, carbon = used.price is not None, used.carbon is not None
    prices = [*(["saved usd"] if money else []), *(["saved g CO2e"] if carbon else [])]
    numbers = ["used kWh", "would kWh", "saved kWh", "saved", *prices, "regret", "winner kept"]
    shown = output.grid(*(["group"] * groups), "way", *numbers, right=numbers)
    kept = "the best" if used.keep == 1 else f"the best {used.keep}"
    ways = {"choose": f"choose {kept} at {used.budget:.0%}", "stop": f"stop by {used.rule}"}
    for row in used.savings.iter_rows(named=True):
        regret = row["regret_pct"]
        shown.add_row(
            *([row["group"]] if groups else []),
            ways[row["way"]],
            *(number(row[k], 3) for k in ("used_kwh", "would_kwh", "saved_kwh")),
            "–" if row["saved_pct"] is None else f"{row['saved_pct']:.1f} %",
            *([number(row["saved_usd"], 3)] if money else []),
            *([number(row["saved_gco2e"], 3)] if carbon else []),
            "–" if regret is None else f"{regret:.2f} %",
            {True: "yes", False: "no", None: "–"}[row["winner_kept"]],
        )
    return shown
