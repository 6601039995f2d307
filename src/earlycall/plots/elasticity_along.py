"""The elasticity of a run along its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earlycall.curves import Direction
from earlycall.elasticity import measure
from earlycall.errors import InputError
from earlycall.formatting import shown
from earlycall.plots.downsampling import extremes
from earlycall.plots.theme import Figure, Palette, Theme, palette, panels, soft, styled
from earlycall.stopping.gain import THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MAX_MOMENTS = 160  # at which the elasticity is measured
MIN_OBSERVATIONS = 6
MIN_MOMENTS_BELOW = 3  # in a row, so that the noise of single steps does not stop
LOW, HIGH = -0.35, 1.45  # of the elasticities shown


def elasticity_along(
    cost: ArrayLike,
    loss: ArrayLike,
    *,
    unit: str = "step",
    threshold: float = THRESHOLD,
    name: str = "loss",
    direction: Direction = "min",
    theme: Theme = "light",
) -> Figure:
    """A loss curve, and below it its gain elasticity along the cost, with the regimes shaded.

    Above 1 training is elastic (more gain than in proportion), between 1 and the threshold
    inelastic, below the threshold hardly worth its cost, below 0 it gets worse. The stop is marked
    where the elasticity's 95 % interval has been below the threshold at three moments in a row, so
    that the noise of single steps does not decide.

    Args:
        cost: shape (n,), rising.
        loss: shape (n,), as recorded; a curve that diverges is drawn up to there.
        unit: what the cost is called.
        threshold: the gain elasticity at which to stop, drawn as a line.
        name: what the loss is called.
        direction: whether less ("min") or more ("max") of it is better.
        theme: light or dark.

    Raises:
        InputError: if the two differ in length, or plotly is not installed.
    """
    colours = palette(theme)
    x, y = np.asarray(cost, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(f"a cost and a loss for each moment, got shapes {x.shape} and {y.shape}")
    bad = np.flatnonzero(~np.isfinite(y))
    x, y = (x[: bad[0]], y[: bad[0]]) if len(bad) else (x, y)
    figure = panels(2, shared_xaxes=True, vertical_spacing=0.07)
    upper = {"mode": "lines", "showlegend": False, "row": 1, "col": 1}
    lower = upper | {"row": 2}
    thin_x, thin_y = extremes(x, y, 800)
    figure.add_scatter(
        x=thin_x, y=thin_y, line={"color": colours.blue, "width": 1.8}, name=shown(name),
        hovertemplate=f"{unit} %{{x:,.6~g}}<br>%{{y:.4~g}}<extra></extra>", **upper,
    )  # fmt: skip
    moments = _moments(len(x))
    oriented = -y if direction == "max" else y
    found = [measure(oriented[:n], x[:n], threshold=threshold) for n in moments]
    ends = x[moments - 1]
    for key, fill in (("low", None), ("high", "tonexty")):
        figure.add_scatter(
            x=ends, y=[f.get(key) for f in found], line={"width": 0}, fill=fill,
            fillcolor=soft(colours.green, 0.2), hoverinfo="skip", **lower,
        )  # fmt: skip
    figure.add_scatter(
        x=ends, y=[f.get("gain_elasticity") for f in found], name="elasticity",
        line={"color": colours.green, "width": 2.2},
        hovertemplate=f"{unit} %{{x:,.6~g}}<br>1 % more cost brings %{{y:.2~g}} % more gain"
        "<extra></extra>", **lower,
    )  # fmt: skip
    _shade(figure, threshold, colours)
    _mark_stop(figure, found, ends.tolist(), threshold, colours)
    figure.update_yaxes(title=shown(name), row=1, col=1)
    figure.update_yaxes(title="gain elasticity", range=[LOW, HIGH], row=2, col=1)
    figure.update_xaxes(title=unit, row=2, col=1)
    return styled(figure, colours, height=520)


def _moments(n: int) -> NDArray[np.int64]:
    """The numbers of observations after which to measure: all, or some, denser early."""
    if n < MIN_OBSERVATIONS:
        return np.empty(0, dtype=np.int64)
    return np.unique(np.geomspace(MIN_OBSERVATIONS, n, MAX_MOMENTS).round().astype(np.int64))


def _shade(figure: Figure, threshold: float, colours: Palette) -> None:
    """The regimes, each with its name at the right edge."""
    bands = [
        (1.0, HIGH, colours.green, 0.10, "elastic", "top right"),
        (threshold, 1.0, colours.sky, 0.06, "inelastic", "top right"),
        (0.0, threshold, colours.amber, 0.12, "", ""),
        (LOW, 0.0, colours.red, 0.10, "getting worse", "bottom left"),
    ]
    for low, high, colour, opacity, name, place in bands:
        figure.add_hrect(
            y0=low, y1=high, fillcolor=soft(colour, opacity), line_width=0, layer="below",
            annotation_text=name, annotation_position=place or "top right", row=2, col=1,
        )  # fmt: skip
    figure.add_hline(y=threshold, line={"color": colours.amber, "dash": "dash"}, row=2, col=1)


def _mark_stop(
    figure: Figure, found: list[dict[str, Any]], ends: list[float], threshold: float,
    colours: Palette,
) -> None:  # fmt: skip
    """Where the interval has lain below the threshold at three moments in a row."""
    below = 0
    for measured, end in zip(found, ends, strict=True):
        high = measured.get("high")
        below = below + 1 if high is not None and high < threshold else 0
        if below < MIN_MOMENTS_BELOW:
            continue
        line = {"color": colours.red, "width": 1.5, "dash": "dot"}
        figure.add_vline(x=end, line=line, row="all", col=1)
        late = end - ends[0] > (ends[-1] - ends[0]) / 2
        figure.add_annotation(
            x=end, y=1, yref="y domain", text=f"stop at {end:,.6g}", showarrow=False,
            xanchor="right" if late else "left", yanchor="top", xshift=-4 if late else 4,
            bgcolor=soft(colours.paper, 0.8), row=1, col=1,
        )  # fmt: skip
        return
