"""``earlycall fit``: the approximation, LCGA and TSE of each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from earlycall.cli import output
from earlycall.cli.options import (
    Axis,
    AxisName,
    Format,
    Group,
    Maximize,
    Metric,
    Output,
    Paths,
    Pattern,
    direction,
)

WIDTH = 140

if TYPE_CHECKING:
    import polars as pl

    from earlycall.curves import Prefixes


def command(
    paths: Paths,
    epochs: Annotated[int, typer.Option(help="T: use the first epochs only.", min=1)] = 10,
    burn_in: Annotated[int, typer.Option(help="B: epochs that LCGA ignores.", min=0)] = 2,
    gamma: Annotated[
        float | None,
        typer.Option(help="γ of both moving averages; by default 0.999 (LCGA) and 0.9 (TSE)."),
    ] = None,
    metric: Metric = None,
    maximize: Maximize = None,
    group: Group = None,
    axis: Axis = AxisName.observation,
    pattern: Pattern = None,
    fmt: Output = Format.table,
) -> None:
    """Fit each run's loss curve; its LCGA and TSE values.

    The fit is f(x) = 1/(b1 + b2·x) + b3, over the first epochs.

    Where a log has no epochs, each observation counts as one.

    Examples:
      earlycall fit runs/

      earlycall fit metrics.csv --epochs 10 --burn-in 2 --format json
    """
    import polars as pl

    curves = output.read(paths, pattern)
    if group is not None:
        curves = curves.select(group=group)
    name = output.chosen_metric(curves, metric)
    curves = curves.directed(name, direction(maximize))
    seen = curves.prefix(epochs=epochs, metric=name).prefixes(metric=name, axis=axis.value)
    table = pl.concat([_fit_group(prefixes, burn_in, gamma) for prefixes in seen])
    if fmt is Format.json:
        output.print_json({"runs": table.to_dicts()})
    elif fmt is Format.csv:
        output.print_csv(table)
    else:
        _print_table(table)


def _fit_group(prefixes: Prefixes, burn_in: int, gamma: float | None) -> pl.DataFrame:
    import polars as pl

    from earlycall.approximation import fit_many
    from earlycall.scores import lcga, tse

    fits = fit_many(prefixes)
    slopes = lcga.lcga(
        fits, prefixes.x, prefixes.epoch, burn_in=burn_in,
        gamma=lcga.GAMMA if gamma is None else gamma,
    )  # fmt: skip
    means = tse.epoch_means(prefixes.loss, prefixes.epoch)
    columns: dict[str, Any] = {
        "group": [prefixes.group] * len(prefixes),
        "run": prefixes.runs,
        "n": fits.n,
        "b1": fits.b1,
        "b2": fits.b2,
        "b3": fits.b3,
        "sse": fits.sse,
        "status": fits.status.tolist(),
        "lcga_d1": slopes.d1,
        "lcga_norm": slopes.norm,
        "lcga_d1_ema": slopes.d1_ema.value,
        "lcga_norm_ema": slopes.norm_ema.value,
        "tse": tse.tse(means).value,
        "tse_e": tse.tse_e(means).value,
        "tse_ema": tse.tse_ema(means, tse.GAMMA if gamma is None else gamma).value,
    }
    return pl.DataFrame(columns, nan_to_null=True)


def _print_table(table: pl.DataFrame) -> None:
    from rich.table import Table
    from rich.text import Text

    out = output.console()
    if out.width < WIDTH:
        table = table.drop("sse", "lcga_d1_ema", "lcga_norm_ema", "tse_e", "tse_ema")
        out.print("a wider terminal shows the moving averages, too", style="dim")
    for group in table["group"].unique(maintain_order=True).to_list():
        rows = table.filter(table["group"] == group).drop("group")
        if group != "all":
            out.print(group, style="bold", markup=False)
        shown = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in rows.columns:
            shown.add_column(name, justify="left" if name in ("run", "status") else "right")
        for row in rows.iter_rows():
            shown.add_row(*(v if isinstance(v, Text) else _cell(v) for v in row))
        out.print(shown)


def _cell(value: Any) -> Any:
    from rich.text import Text

    return Text(output.shown(value)) if isinstance(value, str) else output.number(value)
