"""``earlycall nas explain``: the features that matter to a predictor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import options, output
from earlycall.cli.nas.rank import Model, Top, read_architectures

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType


def command(
    runs: Annotated[
        Path,
        typer.Argument(
            help="Architectures to try it on: a table with arch.* columns, or a curve set.",
            show_default=False,
        ),
    ],
    model: Model,
    plot: Annotated[
        Path | None, typer.Option(help="Also write a figure (.html, .png, .svg or .pdf).")
    ] = None,
    top: Top = 20,
    fmt: options.Output = options.Format.table,
) -> None:
    """Show which features matter to a predictor, and what they mean.

    The importance of a feature is how much of the ranking is lost when its values are shuffled.

    Examples:
      earlycall nas explain study/ --model model --plot features.html
    """
    from earlycall.nas.explain import explain
    from earlycall.nas.model_file import load

    predictor = load(model)
    with output.working("shuffling features"):
        table = explain(predictor, read_architectures(runs))
    if plot is not None:
        from earlycall import plots

        plots.write(plots.importance(table), plot)
    if fmt is options.Format.json:
        output.print_json({"target": predictor.target_, "features": table.to_dicts()})
    elif fmt is options.Format.csv:
        output.print_csv(table)
    else:
        output.console().print(_table(table.head(top) if top > 0 else table))


def _table(rows: pl.DataFrame) -> RenderableType:
    """The features, the most important first."""
    from earlycall.cli.fitted import FittedTable, TableColumn

    signs = ["" if d is None else "better" if d > 0 else "worse" for d in rows["direction"]]
    columns = [
        TableColumn("lost", [f"{lost:.3f}" for lost in rows["importance"]]),
        TableColumn("more is", signs, "text"),
        TableColumn("feature", [output.shown(name) for name in rows["feature"]], "name"),
        TableColumn("meaning", [output.shown(text) for text in rows["meaning"]], "note"),
    ]
    return FittedTable(columns)
