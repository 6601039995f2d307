"""How well scores agree with the outcomes, score by budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from earlycall.errors import InputError
from earlycall.formatting import shown
from earlycall.plots.theme import Figure, Theme, palette, panels, styled

if TYPE_CHECKING:
    from earlycall.evaluation.evaluate import Evaluation


def agreement_map(evaluation: Evaluation, *, theme: Theme = "light") -> Figure:
    """Spearman correlations of scores (down) at budgets (across), the mean over groups.

    Blue agrees with the outcomes, orange contradicts them; the best score of the largest budget
    stands on top. A panel for each set.

    Args:
        evaluation: of `earlycall.evaluate`.
        theme: light or dark.

    Raises:
        InputError: if there is nothing to show, or plotly is not installed.
    """
    colours = palette(theme)
    summary = evaluation.means()
    if not summary.height:
        raise InputError("the evaluation has no rows, so there is nothing to draw")
    sets = summary["set"].unique(maintain_order=True).to_list()
    budgets = summary["budget"].unique().sort().to_list()
    scores = _best_last(summary, budgets[-1])
    figure = panels(1, len(sets), sets, shared_yaxes=True, horizontal_spacing=0.03)
    for column, name in enumerate(sets, start=1):
        of_set = summary.filter(pl.col("set") == name)
        cells = {(row["score"], row["budget"]): row for row in of_set.iter_rows(named=True)}
        rows = [[cells.get((score, budget)) for budget in budgets] for score in scores]
        values = [[cell["spearman"] if cell else None for cell in row] for row in rows]
        figure.add_heatmap(
            z=values, x=[f"{100 * budget:.3g} %" for budget in budgets],
            y=[shown(score, 30) for score in scores],
            text=[["" if v is None else f"{v:+.2f}" for v in row] for row in values],
            texttemplate="%{text}", textfont={"color": colours.ink},
            hovertext=[[_hover(cell) for cell in row] for row in rows],
            hovertemplate="%{hovertext}<extra></extra>", coloraxis="coloraxis", xgap=3, ygap=3,
            row=1, col=column,
        )  # fmt: skip
        figure.update_xaxes(
            title="part of training seen (cells: Spearman correlation)",
            type="category",
            showgrid=False,
            row=1,
            col=column,
        )
    figure.update_yaxes(showgrid=False)
    scale = [[0, colours.warm], [0.5, colours.paper], [1, colours.cold]]
    return styled(
        figure, colours, height=130 + 30 * len(scores),
        coloraxis={"colorscale": scale, "cmin": -1, "cmax": 1, "showscale": False},
    )  # fmt: skip


def _best_last(summary: pl.DataFrame, budget: float) -> list[str]:
    """The scores by their mean correlation, the best last: a heat map is drawn upwards."""
    at_budget = pl.when(pl.col("budget") == budget).then("spearman")
    means = summary.sort("score").group_by("score", maintain_order=True).agg(at_budget.mean())
    return means.sort("spearman", nulls_last=False, maintain_order=True)["score"].to_list()


def _hover(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "not computed"
    lines = [f"<b>{shown(cell['score'])}</b> at {100 * cell['budget']:.3g} %"]
    for key, name in (("spearman", "Spearman"), ("kendall", "Kendall"), ("top1_regret", "regret")):
        lines.append(f"{name} unknown" if cell[key] is None else f"{name} {cell[key]:.3f}")
    return "<br>".join([*lines, f"{cell['n']} runs in {cell['groups']} groups"])
