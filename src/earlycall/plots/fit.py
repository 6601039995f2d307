"""One curve with its fit and forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.plots.curves import curves
from earlycall.plots.theme import Theme

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from earlycall.approximation.fit import Fit

AHEAD = 2.0  # times the end of the curve, up to which it is forecast


def fit(fit: Fit, *, ahead: float = AHEAD, theme: Theme = "light") -> Figure:
    """The losses of a curve, its approximation, and the forecast with its 90 % interval.

    Args:
        fit: of `earlycall.fit` or `earlycall.fit_many`, which knows what it was fitted to.
        ahead: up to how many times the last x to look ahead; 1 for no forecast.
        theme: light or dark.

    Raises:
        InputError: if the fit does not know its losses (a `StreamingFit` keeps none), or plotly is
            not installed.
    """
    if fit.loss is None:
        raise InputError("this fit does not keep its losses (a StreamingFit has none to draw)")
    if ahead < 1:
        raise InputError(f"ahead={ahead:g} must be at least 1: a part of the curve's own length")
    x = np.arange(1.0, len(fit.loss) + 1) if fit.x is None else fit.x
    whole = CurveSet.from_frame(
        pl.DataFrame({"run": ["loss"] * len(x), "step": x, "loss": fit.loss})
    )
    figure = curves(whole.prefix(horizon=ahead * float(x[-1])), theme=theme)
    return figure.update_layout(showlegend=False)
