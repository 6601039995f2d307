"""``earlycall fit``: the approximation, LCGA and TSE of each run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earlycall.cli import options, output
from earlycall.formatting import number

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType

MIN_WIDTH = 140  # of a terminal that shows all columns


def command(
    paths: options.Paths,
    epochs: Annotated[int, typer.Option(help="T: use the first epochs only.", min=1)] = 10,
    burn_in: Annotated[int, typer.Option(help="B: epochs that LCGA ignores.", min=0)] = 2,
    gamma: Annotated[
        float | None,
        typer.Option(help="γ of both moving averages (default: 0.999 for LCGA, 0.9 for TSE)."),
    ] = None,
    metric: options.Metric = None,
    maximize: options.Maximize = None,
    group: options.Group = None,
    axis: options.Axis = options.AxisName.observation,
    pattern: options.Pattern = None,
    fmt: options.Output = options.Format.table,
) -> None:
    """Fit each run's loss curve; its LCGA and TSE values.

    The fit is f(x) = 1/(b1 + b2·x) + b3, over the first epochs.

    Where a log has no epochs, each observation counts as one.

    Examples:
      earlycall fit runs/

      earlycall fit metrics.csv --epochs 10 --burn-in 2 --format json
    """
    from earlycall.approximation.fit import fit_many

    curves = output.read(paths, pattern)
    fits = fit_many(
        curves, epochs=epochs, burn_in=burn_in, gamma=gamma, group=group, axis=axis.value,
        metric=output.chosen_metric(curves, metric), direction=options.direction(maximize),
    )  # fmt: skip
    output.show(fits, fmt, lambda: _tables(fits.table))


def _tables(table: pl.DataFrame) -> Iterator[RenderableType]:
    from rich.text import Text

    if output.console().width < MIN_WIDTH:
        table = table.drop("sse", "lcga_d1_ema", "lcga_norm_ema", "tse_e", "tse_ema")
        yield Text("a wider terminal shows the moving averages, too", style="dim")

    def body(_: str, rows: pl.DataFrame) -> Iterator[RenderableType]:
        numbers = set(rows.columns) - {"group", "run", "status"}
        shown = output.grid(*rows.columns[1:], right=numbers)
        for row in rows.drop("group").iter_rows():
            shown.add_row(*map(_cell, row))
        yield shown

    yield from output.by_group(table, 0, lambda group: "" if group == "all" else group, body)


def _cell(value: Any) -> Any:
    from rich.text import Text

    return Text(output.shown(value)) if isinstance(value, str) else number(value)
