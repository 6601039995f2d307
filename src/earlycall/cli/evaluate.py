"""``earlycall evaluate``: how well scores agree with the outcomes of finished runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import options, output

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType
    from rich.table import Table

    from earlycall.evaluation.evaluate import Evaluation


def command(
    sets: Annotated[
        list[Path],
        typer.Argument(
            help="Curve sets with outcomes.", show_default=False, callback=options.with_demo
        ),
    ],
    scores: Annotated[
        str | None,
        typer.Option(help="Scores, separated by commas (default: all that the logs allow)."),
    ] = None,
    budgets: Annotated[
        str, typer.Option(help="Parts of training seen, separated by commas.")
    ] = "5%,10%,20%",
    finished: Annotated[
        int,
        typer.Option(
            help="Learn from the outcomes of K runs of each group, and judge on the others.",
            min=0,
            metavar="K",
        ),
    ] = 0,
    burn_in: options.BurnIn = None,
    metric: options.Metric = None,
    maximize: options.Maximize = None,
    axis: options.Axis = options.AxisName.observation,
    by_group: options.ByGroup = False,
    pattern: options.Pattern = None,
    fmt: options.Output = options.Format.table,
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
            scores=None if scores is None else options.words(scores),
            budgets=options.words(budgets),
            metric=metric,
            direction=options.direction(maximize),
            axis=axis.value,
            finished=finished,
            burn_in=burn_in,
            progress=progress,
        )
    output.show(result, fmt, lambda: _tables(result, by_group))


def _tables(result: Evaluation, by_group: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    for title, rows in _parts(result, by_group):
        yield Text(title, style="bold")
        yield _table(rows)
        yield Text()


def _parts(result: Evaluation, by_group: bool) -> Iterator[tuple[str, pl.DataFrame]]:
    import polars as pl

    summary = result.means()
    for name in summary["set"].unique(maintain_order=True).to_list():
        rows = summary.filter(pl.col("set") == name)
        groups, runs = rows["groups"].to_numpy().max(), rows["n"].to_numpy().max()
        over = "" if groups == 1 else f", mean over {groups} groups"
        yield f"{name}: Spearman (top-1 regret) of {runs} runs{over}", rows
    if by_group:
        for name, group in result.table.select("set", "group").unique(maintain_order=True).rows():
            rows = result.table.filter((pl.col("set") == name) & (pl.col("group") == group))
            yield f"{name}, {group}: Spearman (top-1 regret)", rows


def _table(rows: pl.DataFrame) -> Table:
    """Scores down, budgets across; the best of each column is marked."""
    import polars as pl

    budgets = rows["budget"].unique(maintain_order=True).to_list()
    heads = [f"{100 * budget:.3g} %" for budget in budgets]
    table = output.grid("score", *heads, right=heads, padding=3)
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
