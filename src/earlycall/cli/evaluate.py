"""``earlycall evaluate``: how well scores agree with the outcomes of finished runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earlycall.cli import options, output

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType

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
    outcome: options.Outcome = None,
    burn_in: options.BurnIn = None,
    metric: options.Metric = None,
    maximize: options.Maximize = None,
    axis: options.Axis = options.AxisName.observation,
    by_group: options.ByGroup = False,
    pattern: options.Pattern = None,
    address: options.Address = None,
    fmt: options.Output = options.Format.table,
) -> None:
    """Compare early scores with the outcomes of finished runs.

    Examples:
      earlycall evaluate study/ --budgets 5%,10%,20%

      earlycall evaluate runs/ --outcome val_accuracy:best

      earlycall evaluate a/ b/ --scores last_loss,tse,lcga_d1 --format csv
    """
    from earlycall.evaluation.evaluate import evaluate

    curve_sets = output.read_each(sets, pattern)
    for curves in curve_sets:
        output.chosen_metric(curves, metric)
    how: dict[str, Any] = {
        "scores": None if scores is None else options.words(scores),
        "budgets": options.words(budgets), "metric": metric,
        "direction": options.direction(maximize), "axis": axis.value, "finished": finished,
        "outcome": outcome, "burn_in": burn_in,
    }  # fmt: skip
    if address is None:
        with output.progress("groups × budgets") as progress:
            result = evaluate(curve_sets, progress=progress, **how)
    else:
        from earlycall.integrations import ray_groups

        with output.progress("evaluating groups") as progress:
            result = ray_groups.evaluate(curve_sets, address=address, progress=progress, **how)
    output.show(result, fmt, lambda: _tables(result, by_group))


def _tables(result: Evaluation, by_group: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    yield from output.words(result.summary())
    for i, (title, rows) in enumerate(_parts(result, by_group)):
        if i:
            yield Text()
        yield Text(output.shown(title), style="bold")
        yield _table(rows)


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


def _table(rows: pl.DataFrame) -> RenderableType:
    """Scores down, budgets across; the best of each column is marked."""
    import polars as pl

    from earlycall.cli.fitted import FittedTable, TableColumn, names

    scores = rows["score"].unique(maintain_order=True).to_list()
    columns = [names(scores, "score", ending="")]
    for (budget,), cells in rows.group_by("budget", maintain_order=True):
        found = {row["score"]: row for row in cells.iter_rows(named=True)}
        best = cells.filter(pl.col("spearman") == pl.col("spearman").max())["score"].to_list()
        columns.append(
            TableColumn(
                f"{100 * float(str(budget)):.3g} %",
                [_cell(found.get(score)) for score in scores],
                styles=["bold green" if score in best else "" for score in scores],
            )
        )
    return FittedTable(columns)


def _cell(row: dict[str, float | None] | None) -> str:
    if row is None or row["spearman"] is None:
        return "–"
    regret = row["top1_regret"]
    shown = "" if regret is None else " (>99)" if regret > 99 else f" ({regret:.2f})"
    return f"{row['spearman']:+.3f}{shown}"
