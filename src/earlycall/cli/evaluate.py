"""``earlycall evaluate``: how well scores agree with the outcomes of finished runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import output
from earlycall.cli.options import (
    Axis,
    AxisName,
    Format,
    Maximize,
    Metric,
    Output,
    Pattern,
    direction,
    parts,
    with_demo,
    words,
)

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from earlycall.evaluation.evaluate import Evaluation


def command(
    sets: Annotated[
        list[Path],
        typer.Argument(help="Curve sets with outcomes.", show_default=False, callback=with_demo),
    ],
    scores: Annotated[
        str | None, typer.Option(help="Scores, separated by commas; by default all that fit.")
    ] = None,
    budgets: Annotated[
        str, typer.Option(help="Parts of training seen, separated by commas.")
    ] = "5%,10%,20%",
    metric: Metric = None,
    maximize: Maximize = None,
    axis: Axis = AxisName.observation,
    by_group: Annotated[
        bool, typer.Option("--by-group", help="A table for each group, not only their mean.")
    ] = False,
    pattern: Pattern = None,
    fmt: Output = Format.table,
) -> None:
    """Compare early scores with the outcomes of finished runs.

    Examples:
      earlycall evaluate study/ --budgets 5%,10%,20%

      earlycall evaluate a/ b/ --scores last_loss,tse,lcga_d1 --format csv
    """
    from earlycall.evaluation.evaluate import evaluate

    curve_sets = output.read_each(sets, pattern)
    for curves in curve_sets:
        output.chosen_metric(curves, metric)
    with output.progress("groups × budgets") as progress:
        result = evaluate(
            curve_sets,
            scores=None if scores is None else words(scores),
            budgets=parts(budgets),
            metric=metric,
            direction=direction(maximize),
            axis=axis.value,
            progress=progress,
        )
    if fmt is Format.json:
        output.print_json({"rows": result.table.to_dicts()})
    elif fmt is Format.csv:
        output.print_csv(result.table)
    else:
        out = output.console()
        for title, table in _tables(result, by_group):
            out.print(title, style="bold", markup=False)
            out.print(table)
            out.print()


def _tables(result: Evaluation, by_group: bool) -> Iterator[tuple[str, Table]]:
    import polars as pl

    summary = result.summary()
    for name in summary["set"].unique(maintain_order=True).to_list():
        rows = summary.filter(pl.col("set") == name)
        groups, runs = rows["groups"].to_numpy().max(), rows["n"].to_numpy().max()
        over = "" if groups == 1 else f", mean over {groups} groups"
        yield f"{name}: Spearman (top-1 regret) of {runs} runs{over}", _table(rows)
    if by_group:
        for name, group in result.table.select("set", "group").unique(maintain_order=True).rows():
            rows = result.table.filter((pl.col("set") == name) & (pl.col("group") == group))
            yield f"{name}, {group}: Spearman (top-1 regret)", _table(rows)


def _table(rows: pl.DataFrame) -> Table:
    """Scores down, budgets across; the best of each column is marked."""
    import polars as pl
    from rich.table import Table

    table = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("score")
    budgets = rows["budget"].unique(maintain_order=True).to_list()
    for budget in budgets:
        table.add_column(f"{100 * budget:.3g} %", justify="right")
    best = {b: rows.filter(pl.col("budget") == b)["spearman"].max() for b in budgets}
    for (score,), cells in rows.group_by("score", maintain_order=True):
        found = {row["budget"]: row for row in cells.iter_rows(named=True)}
        table.add_row(str(score), *(_cell(found.get(b), best[b]) for b in budgets))
    return table


def _cell(row: dict[str, float | None] | None, best: object) -> str:
    if row is None or row["spearman"] is None:
        return "–"
    regret = row["top1_regret"]
    shown = "" if regret is None else " (>99)" if regret > 99 else f" ({regret:.2f})"
    text = f"{row['spearman']:+.3f}{shown}"
    return f"[bold green]{text}[/]" if row["spearman"] == best else text
