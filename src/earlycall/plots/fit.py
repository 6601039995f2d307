"""Curves with their fits and forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from earlycall.curves import CurveSet, Ragged
from earlycall.errors import InputError
from earlycall.plots.curves import MISSES, curves
from earlycall.plots.theme import Figure, Theme

if TYPE_CHECKING:
    from earlycall.approximation.fit import Fit, Fits

AHEAD = 2.0  # times the end of the curve, up to which it is forecast


def fit(fit: Fit | Fits, *, ahead: float = AHEAD, theme: Theme = "light") -> Figure:
    """The losses of curves, their approximations, and the forecasts with their 90 % intervals.

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
    if isinstance(fit.loss, Ragged):
        names = fit.table.select("group", "run").rows()
        losses, axes = list(fit.loss), None if fit.x is None else list(fit.x)
    else:
        names, losses, axes = [("all", "loss")], [fit.loss], None if fit.x is None else [fit.x]
    axes = [np.arange(1.0, len(loss) + 1) for loss in losses] if axes is None else axes
    tables = [
        pl.DataFrame({"group": group, "run": run, "step": x, "loss": loss})
        for (group, run), x, loss in zip(names, axes, losses, strict=True)
    ]
    end = max(float(x[-1]) for x in axes if len(x))
    figure = curves(CurveSet.from_frame(pl.concat(tables)).prefix(horizon=ahead * end), theme=theme)
    missed = any(trace.name == MISSES for trace in figure.data)
    return figure.update_layout(showlegend=len(names) > 1 or missed)
