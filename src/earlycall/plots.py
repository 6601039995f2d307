"""Figures, by plotly: one function each, for notebooks, pages and papers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from plotly.graph_objects import Figure

    from earlycall.stopping.replay import Replay

# Okabe and Ito's colours, which those who see few colours can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#999999"


def cost_against_regret(replayed: Replay) -> Figure:
    """What rules cost and what they lose, a panel for each set; near the lower left is best.

    Args:
        replayed: of `earlycall.replay`.

    Raises:
        InputError: if plotly is not installed.
    """
    _plotly()
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    summary = replayed.summary()
    sets = summary["set"].unique(maintain_order=True).to_list()
    figure = make_subplots(rows=1, cols=len(sets), subplot_titles=sets, shared_yaxes=True)
    families = [("gain", BLUE, "circle"), ("patience", ORANGE, "square"), ("", GREY, "diamond")]
    for column, name in enumerate(sets, start=1):
        rows = summary.filter(summary["set"] == name).sort("cost_pct").to_dicts()
        for family, colour, symbol in families:
            mine = [r for r in rows if _family(r["rule"]) == family]
            figure.add_trace(
                Scatter(
                    x=[r["regret_pct"] for r in mine],
                    y=[r["cost_pct"] for r in mine],
                    text=[r["rule"].removeprefix(f"{family}:") for r in mine],
                    hovertext=[r["rule"] for r in mine],
                    mode="lines+markers+text" if family == "gain" else "markers+text",
                    textposition="top right",
                    textfont={"size": 10, "color": colour},
                    marker={"color": colour, "symbol": symbol, "size": 8},
                    line={"color": colour, "width": 1},
                    name=family or "other",
                    showlegend=column == 1 and bool(mine),
                ),
                row=1,
                col=column,
            )
        figure.update_xaxes(title="regret, % of the gain", rangemode="tozero", row=1, col=column)
    figure.update_yaxes(title="cost, % of the full run", range=[0, 105], row=1, col=1)
    return _styled(figure)


def elasticity_along(
    cost: ArrayLike, loss: ArrayLike, *, unit: str = "step", threshold: float = 0.1
) -> Figure:
    """A loss curve, and below it its gain elasticity along the cost, with the regimes shaded.

    Args:
        cost: shape (n,), rising.
        loss: shape (n,), finite.
        unit: what the cost is called.
        threshold: the gain elasticity at which to stop, drawn as a line.

    Raises:
        InputError: if plotly is not installed.
    """
    _plotly()
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    from earlycall.elasticity import measure

    x, y = np.asarray(cost, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    at = np.arange(6, len(x) + 1)
    found = [measure(y[:n], x[:n], threshold=threshold) for n in at]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    line: dict[str, Any] = {"mode": "lines", "showlegend": False}
    figure.add_trace(Scatter(x=x, y=y, line={"color": BLUE}, name="loss", **line), row=1, col=1)
    ends = x[at - 1]
    for key, colour, fill in (("low", GREY, None), ("high", GREY, "tonexty")):
        values = [f.get(key) for f in found]
        edge = {"color": colour, "width": 0}
        figure.add_trace(Scatter(x=ends, y=values, line=edge, fill=fill, **line), row=2, col=1)
    gain = [f.get("gain_elasticity") for f in found]
    figure.add_trace(
        Scatter(x=ends, y=gain, line={"color": GREEN}, name="elasticity", **line), row=2, col=1
    )
    figure.add_hrect(y0=1, y1=1.6, fillcolor=GREEN, opacity=0.12, line_width=0, row=2, col=1)
    figure.add_hrect(y0=-0.5, y1=0, fillcolor=ORANGE, opacity=0.15, line_width=0, row=2, col=1)
    figure.add_hline(y=threshold, line={"color": ORANGE, "dash": "dash"}, row=2, col=1)
    figure.update_yaxes(title="loss", row=1, col=1)
    figure.update_yaxes(title="gain elasticity", range=[-0.5, 1.6], row=2, col=1)
    figure.update_xaxes(title=unit, row=2, col=1)
    return _styled(figure)


def write(figure: Figure, path: str | Path) -> None:
    """Write a figure as one page that opens offline.

    Raises:
        InputError: if the file cannot be written.
    """
    try:
        page = figure.to_html(
            include_plotlyjs=True, default_height="96vh", config={"displaylogo": False}
        )
        Path(path).write_text(page)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _family(rule: str) -> str:
    name = rule.split(":", maxsplit=1)[0]
    return name if name in ("gain", "patience") and " " not in rule else ""


def _styled(figure: Figure) -> Figure:
    figure.update_layout(
        template="plotly_white",
        font={"size": 13},
        hovermode="closest",
        margin={"t": 40, "r": 30, "b": 60, "l": 70},
        modebar={"orientation": "v"},
    )
    return figure


def _plotly() -> None:
    try:
        import plotly  # noqa: F401
    except ImportError:
        raise InputError("figures need plotly: pip install 'earlycall[plots]'") from None
