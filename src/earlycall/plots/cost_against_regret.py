"""What stop rules cost against what they lose, from a replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from earlycall.formatting import shown
from earlycall.plots.theme import Theme, palette, styled

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

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
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    summary = replayed.means()
    sets = summary["set"].unique(maintain_order=True).to_list()
    figure = make_subplots(
        rows=1, cols=len(sets), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[shown(name, 40) for name in sets] if len(sets) > 1 else None,
    )  # fmt: skip
    families = [
        ("gain", colours.blue, "circle"),
        ("patience", colours.red, "square"),
        ("", colours.muted, "diamond"),
    ]
    for column, name in enumerate(sets, start=1):
        rows = summary.filter(pl.col("set") == name).sort("cost_pct").to_dicts()
        most = max((row["regret_pct"] for row in rows), default=0.0)
        for family, colour, symbol in families:
            mine = [r for r in rows if _family(r["rule"]) == family]
            figure.add_trace(
                Scatter(
                    x=[r["regret_pct"] for r in mine],
                    y=[r["cost_pct"] for r in mine],
                    text=[shown(r["rule"].removeprefix(f"{family}:"), 24) for r in mine],
                    hovertext=[shown(r["rule"]) for r in mine],
                    customdata=[f"{r['winner_kept']:.0%}" for r in mine],
                    hovertemplate="<b>%{hovertext}</b><br>cost %{y:.1f} %<br>regret %{x:.2f} %"
                    "<br>winner kept %{customdata}<extra></extra>",
                    mode="lines+markers+text" if family == "gain" else "markers+text",
                    textposition="top right",
                    textfont={"size": 11, "color": colour},
                    marker={"color": colour, "symbol": symbol, "size": 9},
                    line={"color": colour, "width": 1},
                    name=family or "other",
                    showlegend=column == 1 and bool(mine),
                ),
                row=1,
                col=column,
            )
        figure.update_xaxes(
            title="regret, % of the gain", range=[-0.02 * most, 1.12 * most or 1], row=1, col=column
        )
    figure.update_yaxes(title="cost, % of the full run", range=[0, 105], row=1, col=1)
    above = 1.1 if len(sets) > 1 else 1.02
    return styled(
        figure, colours, height=440,
        legend={"orientation": "h", "yanchor": "bottom", "y": above, "x": 1, "xanchor": "right"},
    )  # fmt: skip


def _family(rule: str) -> str:
    name = rule.split(":", maxsplit=1)[0]
    return name if name in ("gain", "patience") and " " not in rule else ""
