"""What stop rules cost against what they lose, from a replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from earlycall.formatting import shown
from earlycall.plots.theme import ABOVE, LEGEND_ABOVE, Figure, Theme, palette, panels, styled

if TYPE_CHECKING:
    from earlycall.stopping.replay import Replay

MAX_COST = 105.0  # percent
# What has room in these pixels has it on any screen.
NARROW_WIDTH, PANEL_WIDTH, PANEL_HEIGHT = 260.0, 190.0, 350.0
SIDES = ("top right", "bottom left", "bottom right", "top left", "bottom center", "top center")
MARKER, LETTER, LINE = 5.0, 6.5, 13.0  # pixels: half a marker, a letter, a line of a label


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
    width = NARROW_WIDTH if len(sets) == 1 else PANEL_WIDTH
    for column, name in enumerate(sets, start=1):
        rows = summary.filter(pl.col("set") == name).sort("cost_pct").to_dicts()
        largest = max((row["regret_pct"] for row in rows), default=0.0)
        limits = [-0.02 * largest, 1.12 * largest or 1]
        per_x, per_y = width / (limits[1] - limits[0]), PANEL_HEIGHT / MAX_COST
        rules = [row["rule"] for row in rows]
        labelled = [shown(rule.removeprefix(f"{_family(rule)}:"), 24) for rule in rules]
        sides = _sides(
            [((row["regret_pct"] - limits[0]) * per_x, row["cost_pct"] * per_y) for row in rows],
            labelled, width,
        )  # fmt: skip
        for family, colour, symbol in families:
            here = [i for i, row in enumerate(rows) if _family(row["rule"]) == family]
            members = [rows[i] for i in here]
            figure.add_scatter(
                x=[row["regret_pct"] for row in members],
                y=[row["cost_pct"] for row in members],
                text=[labelled[i] if sides[i] else "" for i in here],
                hovertext=[shown(row["rule"]) for row in members],
                customdata=[f"{row['winner_kept']:.0%}" for row in members],
                hovertemplate="<b>%{hovertext}</b><br>cost %{y:.1f} %<br>regret %{x:.2f} %"
                "<br>winner kept %{customdata}<extra></extra>",
                mode="lines+markers+text" if family == "gain" else "markers+text",
                textposition=[sides[i] or "top right" for i in here],
                textfont={"size": 11, "color": colour},
                marker={"color": colour, "symbol": symbol, "size": 9},
                line={"color": colour, "width": 1}, name=family or "other",
                showlegend=column == 1 and bool(members), row=1, col=column,
            )  # fmt: skip
        figure.update_xaxes(title="regret, % of the gain", range=limits, row=1, col=column)
    figure.update_yaxes(title="cost, % of the full run", range=[0, MAX_COST], row=1, col=1)
    legend = LEGEND_ABOVE | ({"y": 1.08} if len(sets) > 1 else {})
    return styled(figure, colours, height=466, legend=legend, margin={"t": ABOVE})


def _sides(
    points: Sequence[tuple[float, float]], texts: Sequence[str], width: float
) -> list[str | None]:
    """On which side of its point each label has room; None for one that has it nowhere.

    Args:
        points: x and y in pixels, from the lower left.
        texts: their labels.
        width: of the panel.
    """
    taken = [(x - MARKER, y - MARKER, x + MARKER, y + MARKER) for x, y in points]
    sides: list[str | None] = []
    for (x, y), text in zip(points, texts, strict=True):
        sides.append(None)
        wide = LETTER * len(text)
        for side in SIDES:
            left = x - wide / 2
            if not side.endswith("center"):
                left = x + MARKER if side.endswith("right") else x - MARKER - wide
            low = y + MARKER if side.startswith("top") else y - MARKER - LINE
            box = (left, low, left + wide, low + LINE)
            if left < 0 or left + wide > width or low < 0 or any(_overlap(box, b) for b in taken):
                continue
            sides[-1] = side
            taken.append(box)
            break
    return sides


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _family(rule: str) -> str:
    name = rule.split(":", maxsplit=1)[0]
    return name if name in ("gain", "patience") and " " not in rule else ""
