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

    from earlycall.approximation.fit import Fits

# The fit's own error and LCGA's and TSE's variants stand under -v.
DETAILS = ("sse", "lcga_norm", "lcga_d1_ema", "lcga_norm_ema", "tse_e", "tse_ema")


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
    address: options.Address = None,
    fmt: options.Output = options.Format.table,
) -> None:
    """Fit each run's loss curve; its LCGA and TSE values.

    The fit is f(x) = 1/(b1 + b2·x) + b3, over the first epochs.

    Where a log has no epochs, each observation counts as one.

    Examples:
      earlycall fit runs/

      earlycall fit runs/ -v

      earlycall fit metrics.csv --epochs 10 --burn-in 2 --format json
    """
    from earlycall.approximation.fit import fit_many

    curves = output.read(paths, pattern)
    how: dict[str, Any] = {
        "epochs": epochs, "burn_in": burn_in, "gamma": gamma, "group": group, "axis": axis.value,
        "metric": output.chosen_metric(curves, metric), "direction": options.direction(maximize),
    }  # fmt: skip
    if address is None:
        with output.working("fitting"):
            fits = fit_many(curves, **how)
    else:
        from earlycall.integrations import ray_groups

        with output.progress("fitting groups") as progress:
            fits = ray_groups.fit(curves, address=address, progress=progress, **how)
    output.show(fits, fmt, lambda: _tables(fits))


def _tables(fits: Fits) -> Iterator[RenderableType]:
    from earlycall.cli.fitted import FittedTable, Need, TableColumn, names

    def body(_: str, rows: pl.DataFrame) -> Iterator[RenderableType]:
        columns = [names(rows["run"])]
        for key in rows.columns[2:]:
            need: Need = "details" if key in DETAILS else "where it fits"
            if key == "status":
                if (rows[key] != "ok").any():
                    styles = ["" if status == "ok" else "red" for status in rows[key]]
                    columns.append(TableColumn(key, rows[key].to_list(), "text", styles=styles))
            else:
                columns.append(TableColumn(key, [*map(number, rows[key])], need=need))
        yield FittedTable(columns)

    yield from output.words(fits.summary())
    yield from output.by_group(fits.table, 0, lambda g: "" if g == "all" else g, body)
