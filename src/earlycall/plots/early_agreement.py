"""How well early scores agree with the outcomes of a study, by epochs seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from earlycall.errors import InputError
from earlycall.formatting import shown
from earlycall.plots.theme import Figure, Theme, palette, panels, soft, styled

if TYPE_CHECKING:
    from earlycall.evaluation.by_epochs import Comparison

SCORES = (  # the losses that a score takes, and its name
    ("training", "outlook"), ("training", "tse"), ("training", "lcga_d1"),
    ("training", "lcga_norm"), ("validation", "last_val_loss"), ("training", "last_loss"),
)  # fmt: skip
TITLES = {
    "overall": "all runs",
    "architectures": "architectures, one setting",
    "settings": "settings, one architecture",
}


def early_agreement(
    comparison: Comparison, *, of: str | None = None, theme: Theme = "light"
) -> Figure:
    """Spearman correlations of some scores with the final accuracy, by epochs seen.

    Panels: all runs, architectures under one setting, settings of one architecture (across);
    losses of every step and of every epoch (down). The 95 % intervals of two scores are shaded.

    Args:
        comparison: of `earlycall.evaluation.by_epochs.compare`.
        of: the name of a set; by default the first.
        theme: light or dark.

    Raises:
        InputError: if there is nothing to show, or plotly is not installed.
    """
    colours = palette(theme)
    names = comparison.table["set"].unique(maintain_order=True).to_list()
    if not names or (of is not None and of not in names):
        raise InputError(f"the comparison has no set {of!r}; there are: {', '.join(names)}")
    table = comparison.table.filter(pl.col("set") == (of or names[0]))
    views = [view for view in TITLES if view in table["view"]]
    levels = [level for level in ("step", "epoch") if level in table["level"]]
    titles = [f"{TITLES[view]}: each {level}" for level in levels for view in views]
    figure = panels(
        len(levels), len(views), titles, shared_yaxes=True, horizontal_spacing=0.04,
        vertical_spacing=0.16,
    )  # fmt: skip
    for i, level in enumerate(levels, start=1):
        for j, view in enumerate(views, start=1):
            cell = {"row": i, "col": j}
            panel = table.filter(pl.col("level") == level, pl.col("view") == view)
            for n, (source, score) in enumerate(SCORES):
                wanted = pl.col("from") == source, pl.col("score") == score
                rows = panel.filter(*wanted, pl.col("spearman").is_not_null()).sort("epochs")
                line = colours.line(n)
                band = soft(line["color"], 0.12) if score in ("tse", "lcga_d1") else None
                _draw(figure, rows, score, line, band, showlegend=i == j == 1, **cell)
            figure.update_xaxes(
                title="epochs seen" if i == len(levels) else None, type="log",
                tickvals=panel["epochs"].unique().sort().to_list(), **cell,
            )  # fmt: skip
        figure.update_yaxes(title="Spearman", range=[-1.02, 1.02], row=i, col=1)
    return styled(
        figure, colours, height=120 + 290 * len(levels),
        legend={"orientation": "h", "y": -0.14, "x": 0, "font": {"color": colours.ink}},
    )  # fmt: skip


def _draw(
    figure: Figure, rows: pl.DataFrame, score: str, line: dict[str, Any], band: str | None,
    *, showlegend: bool, **cell: int,
) -> None:  # fmt: skip
    x = rows["epochs"].to_list()
    if band and rows.height and rows["spearman_low"].null_count() == 0:
        around = rows["spearman_high"].to_list() + rows["spearman_low"].to_list()[::-1]
        figure.add_scatter(
            x=x + x[::-1], y=around, fill="toself", fillcolor=band, line={"width": 0},
            mode="lines", hoverinfo="skip", showlegend=False, **cell,
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=rows["spearman"].to_list(), mode="lines+markers", line=line, name=shown(score),
        legendgroup=score, showlegend=showlegend,
        hovertemplate=f"{shown(score)} after %{{x}} epochs: %{{y:+.2f}}<extra></extra>", **cell,
    )  # fmt: skip
