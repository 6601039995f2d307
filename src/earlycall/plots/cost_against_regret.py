"""What stop rules cost against what they lose, from a replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from earlycall.formatting import shown
from earlycall.plots.theme import LEGEND_ABOVE, Figure, Theme, palette, panels, styled

if TYPE_CHECKING:
    from earlycall.stopping.replay import Replay


def cost_against_regret(replayed: Replay, *, theme: Theme = "light") -> Figure:
    """What rules cost and what they lose, a panel for each set; near the lower left is best.

    Args:
        replayed: of `earlycall.replay`.
        theme: light or dark.

    Raises:
        InputError: if plotly is not installed.
    """
    colours = palette(theme)
    summary = replayed.means()
    sets = summary["set"].unique(maintain_order=True).to_list()
    figure = panels(1, len(sets), sets, shared_yaxes=True, horizontal_spacing=0.04)
    families = [
        ("gain", colours.blue, "circle"),
        ("patience", colours.red, "square"),
        ("", colours.muted, "diamond"),
    ]
    for column, name in enumerate(sets, start=1):
        rows = summary.filter(pl.col("set") == name).sort("cost_pct").to_dicts()
        largest = max((row["regret_pct"] for row in rows), default=0.0)
        for family, colour, symbol in families:
            members = [row for row in rows if _family(row["rule"]) == family]
            figure.add_scatter(
                x=[row["regret_pct"] for row in members],
                y=[row["cost_pct"] for row in members],
                text=[shown(row["rule"].removeprefix(f"{family}:"), 24) for row in members],
                hovertext=[shown(row["rule"]) for row in members],
                customdata=[f"{row['winner_kept']:.0%}" for row in members],
                hovertemplate="<b>%{hovertext}</b><br>cost %{y:.1f} %<br>regret %{x:.2f} %"
                "<br>winner kept %{customdata}<extra></extra>",
                mode="lines+markers+text" if family == "gain" else "markers+text",
                textposition="top right", textfont={"size": 11, "color": colour},
                marker={"color": colour, "symbol": symbol, "size": 9},
                line={"color": colour, "width": 1}, name=family or "other",
                showlegend=column == 1 and bool(members), row=1, col=column,
            )  # fmt: skip
        limits = [-0.02 * largest, 1.12 * largest or 1]
        figure.update_xaxes(title="regret, % of the gain", range=limits, row=1, col=column)
    figure.update_yaxes(title="cost, % of the full run", range=[0, 105], row=1, col=1)
    place = {"y": 1.1 if len(sets) > 1 else 1.02, "x": 1, "xanchor": "right"}
    return styled(figure, colours, height=440, legend=LEGEND_ABOVE | place)


def _family(rule: str) -> str:
    name = rule.split(":", maxsplit=1)[0]
    return name if name in ("gain", "patience") and " " not in rule else ""
