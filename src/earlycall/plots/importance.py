"""Which features a predictor of architectures goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earlycall.errors import InputError
from earlycall.formatting import shown
from earlycall.plots.theme import Figure, Theme, palette, panels, styled

if TYPE_CHECKING:
    import polars as pl


def importance(table: pl.DataFrame, *, top: int = 20, theme: Theme = "light") -> Figure:
    """A bar for each of the most important features, whole families at the top in grey.

    Args:
        table: of `earlycall.nas.explain.explain`.
        top: how many features to draw.
        theme: light or dark.

    Raises:
        InputError: if no feature matters, or plotly is not installed.
    """
    colours = palette(theme)
    if table.height == 0:
        raise InputError("no feature matters to this predictor, so there is nothing to draw")
    rows = table.head(top).to_dicts()
    rows.sort(key=lambda row: (row["direction"] is not None, -row["importance"]))
    rise, fall = colours.line(0)["color"], colours.line(1)["color"]
    tint = [
        colours.faint if row["direction"] is None else rise if row["direction"] > 0 else fall
        for row in rows
    ]
    places = list(range(len(rows)))
    figure = panels()
    figure.add_bar(
        x=[row["importance"] for row in rows], y=places, orientation="h",
        marker={"color": tint, "line": {"width": 0}}, showlegend=False,
        text=[shown(row["meaning"], 120) for row in rows], textposition="none",
        hovertemplate="%{text}<br>importance %{x:.3f}<extra></extra>",
    )  # fmt: skip
    for name, colour in (("more is better", rise), ("less is better", fall)):
        figure.add_bar(x=[None], y=[None], name=name, marker={"color": colour})
    names = [shown(row["feature"], 48) for row in rows]
    figure.update_yaxes(tickvals=places, ticktext=names, autorange="reversed", automargin=True)
    figure.update_xaxes(title="part of the ranking lost when shuffled", rangemode="tozero")
    return styled(figure, colours, height=140 + 24 * len(rows))
