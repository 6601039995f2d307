"""How well scores agree with the outcomes, score by budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from earlycall.errors import InputError
from earlycall.formatting import shown
from earlycall.plots.theme import Theme, palette, styled

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

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
    from plotly.graph_objects import Heatmap
    from plotly.subplots import make_subplots

    summary = evaluation.means()
    if not summary.height:
        raise InputError("the evaluation has no rows, so there is nothing to draw")
    sets = summary["set"].unique(maintain_order=True).to_list()
    budgets = summary["budget"].unique().sort().to_list()
    scores = _best_last(summary, budgets[-1])
    figure = make_subplots(
        rows=1, cols=len(sets), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[shown(name, 40) for name in sets] if len(sets) > 1 else None,
    )  # fmt: skip
    scale = [[0, colours.warm], [0.5, colours.paper], [1, colours.cold]]
    for column, name in enumerate(sets, start=1):
        cells = {
            (row["score"], row["budget"]): row
            for row in summary.filter(pl.col("set") == name).iter_rows(named=True)
        }
        rows = [[cells.get((score, budget)) for budget in budgets] for score in scores]
        known = [[r["spearman"] if r else None for r in row] for row in rows]
        figure.add_trace(
            Heatmap(
                z=known,
                x=[f"{100 * budget:.3g} %" for budget in budgets],
                y=[shown(score, 30) for score in scores],
                text=[["" if v is None else f"{v:+.2f}" for v in row] for row in known],
                texttemplate="%{text}", textfont={"color": colours.ink},
                hovertext=[[_hover(r) for r in row] for row in rows],
                hovertemplate="%{hovertext}<extra></extra>",
                coloraxis="coloraxis", xgap=3, ygap=3,
            ),
            row=1, col=column,
        )  # fmt: skip
        figure.update_xaxes(
            title="part of training seen", type="category", showgrid=False, row=1, col=column
        )
    figure.update_yaxes(showgrid=False)
    title = {"text": "Spearman", "side": "right", "font": {"color": colours.muted, "size": 13}}
    bar = {"title": title, "thickness": 10, "outlinewidth": 0,
           "tickfont": {"color": colours.muted}}  # fmt: skip
    return styled(
        figure, colours, height=130 + 30 * len(scores),
        coloraxis={"colorscale": scale, "cmin": -1, "cmax": 1, "colorbar": bar},
    )  # fmt: skip


def _best_last(summary: pl.DataFrame, budget: float) -> list[str]:
    """The scores by their mean correlation, the best last: a heat map is drawn upwards."""
    means = summary.filter(pl.col("budget") == budget).group_by("score", maintain_order=True)
    ordered = means.agg(pl.col("spearman").mean()).sort("spearman", nulls_last=False)
    rest = [s for s in summary["score"].unique().sort() if s not in ordered["score"]]
    return [*rest, *ordered["score"].to_list()]


def _hover(row: dict[str, object] | None) -> str:
    if row is None:
        return "not computed"
    lines = [f"<b>{shown(str(row['score']))}</b> at {100 * float(str(row['budget'])):.3g} %"]
    for key, name in (("spearman", "Spearman"), ("kendall", "Kendall"), ("top1_regret", "regret")):
        value = row[key]
        lines.append(f"{name} {value:.3f}" if isinstance(value, float) else f"{name} unknown")
    return "<br>".join([*lines, f"{row['n']} runs in {row['groups']} groups"])
