"""The elasticity of runs at their ends, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from earlycall.errors import InputError
from earlycall.formatting import labels
from earlycall.plots.theme import Figure, Theme, palette, panels, styled

if TYPE_CHECKING:
    from earlycall.elasticity import Elasticities

MAX_RUNS = 40


def elasticity(found: Elasticities, *, group: str | None = None, theme: Theme = "light") -> Figure:
    """Each run's gain elasticity with its 95 % interval, and the threshold to stop at.

    Args:
        found: of `earlycall.elasticity`.
        group: by default the first.
        theme: light or dark.

    Raises:
        InputError: if there is no such group, no run's elasticity could be measured, or plotly is
            not installed.
    """
    colours = palette(theme)
    group = found.table["group"][0] if group is None and found.table.height else group
    rows = found.table.filter(pl.col("group") == group).drop_nulls("gain_elasticity")
    rows = rows.sort("gain_elasticity", descending=True).head(MAX_RUNS).reverse()
    if not rows.height:
        raise InputError(f"no run of group {group!r} has an elasticity to draw")
    stop = rows["advice"].str.starts_with("stop")
    x = rows["gain_elasticity"]
    figure = panels()
    figure.add_scatter(
        x=x, y=labels(rows["run"].to_list()), mode="markers",
        marker={"size": 9, "color": [colours.red if s else colours.blue for s in stop]},
        error_x={"array": rows["high"] - x, "arrayminus": x - rows["low"], "color": colours.muted},
        customdata=rows["advice"], hovertemplate="%{y}: %{x:.2g}<br>%{customdata}<extra></extra>",
    )  # fmt: skip
    figure.add_vline(found.threshold, line={"color": colours.red, "dash": "dot", "width": 1.5})
    figure.update_xaxes(title=f"percent more gain per percent more cost ({found.cost})")
    figure.update_yaxes(type="category", automargin=True)
    return styled(figure, colours, height=26 * rows.height + 130, showlegend=False)
