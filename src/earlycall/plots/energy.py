"""What runs used, against how low their losses came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.formatting import labels, shown
from earlycall.plots.downsampling import means, points_for
from earlycall.plots.theme import Figure, Theme, palette, panels, soft, styled
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.readers.power.trace import KWH

MAX_COLOURED, MAX_NAMED, MAX_DRAWN = 6, 40, 150  # runs
UNITS = ((KWH, "kWh"), (KWH / 1000, "Wh"), (1.0, "J"))


def energy(curves: Any, *, metric: str | None = None, theme: Theme = "light") -> Figure:
    """The loss along the energy used, and the energy and mean power of each run.

    Of more than 150 runs, 150 are drawn, evenly spread by the energy that they used.

    Args:
        curves: a curve set with a cumulative ``joules`` column, or whatever `earlycall.rank` takes.
        metric: the metric to draw; by default the training loss.
        theme: light or dark.

    Raises:
        InputError: if no energy was logged, or plotly is not installed.
    """
    colours = palette(theme)
    curve_set = as_curve_set(curves)
    metric = curve_set.metric(metric)
    if "joules" not in curve_set.observations.columns:
        raise InputError(f"{curve_set.name or 'the curve set'} has no column 'joules' to draw")
    runs = sorted(_runs(curve_set, metric), key=lambda run: -float(run["joules"][-1]))
    if not runs:
        raise InputError(f"no run has both {metric!r} and 'joules', so there is nothing to draw")
    found, most = len(runs), float(runs[0]["joules"][-1])
    spread = np.linspace(0, found - 1, min(found, MAX_DRAWN)).round().astype(int)
    runs = [runs[i] for i in spread.tolist()]
    size, unit = next((size, unit) for size, unit in UNITS if size == 1 or most >= size)
    figure = panels(1, 2, column_widths=[0.6, 0.4], horizontal_spacing=0.12)
    names = labels([run["run"] for run in runs], 30)
    many = len(runs) > MAX_NAMED
    for i, run in reversed(list(enumerate(runs))):
        x, y = means(run["joules"] / size, run["loss"], points_for(len(runs)))
        coloured = {**colours.line(i), "width": 2}
        figure.add_scatter(
            x=x, y=y, mode="lines", name=names[i], showlegend=False,
            line=coloured if i < MAX_COLOURED else {"color": soft(colours.faint, 0.6)},
            hovertemplate=f"<b>{names[i]}</b><br>%{{x:.4~g}} {unit}<br>%{{y:.4~g}}<extra></extra>",
            row=1, col=1,
        )  # fmt: skip
    places = list(range(len(runs)))
    shade = [colours.line(i)["color"] if i < MAX_COLOURED else colours.faint for i in places]
    figure.add_bar(
        y=places, x=[float(run["joules"][-1]) / size for run in runs],
        orientation="h", marker={"color": shade, "line": {"width": 0}}, showlegend=False,
        text=[f"<b>{name}</b><br>{_power(run)}" for name, run in zip(names, runs, strict=True)],
        textposition="none", hovertemplate=f"%{{text}}<br>%{{x:.4~g}} {unit}<extra></extra>",
        row=1, col=2,
    )  # fmt: skip
    thinned = f"; {len(runs)} of {found:,} runs" if len(runs) < found else ""
    figure.update_xaxes(title=f"energy used, {unit}", rangemode="tozero")
    figure.update_xaxes(title=f"energy used, {unit}{thinned}", row=1, col=1)
    figure.update_yaxes(title=shown(metric), row=1, col=1)
    ticks = {"showticklabels": False} if many else {"tickvals": places, "ticktext": names}
    figure.update_yaxes(autorange="reversed", showgrid=False, row=1, col=2, **ticks)
    return styled(figure, colours, height=420 if many else max(360, 130 + 22 * len(runs)))


def _runs(curve_set: CurveSet, metric: str) -> Iterator[dict[str, Any]]:
    """Each run's losses beside its joules and seconds, where the first two are finite."""
    for prefixes in curve_set.prefixes(metric=metric):
        joules = prefixes.ragged("joules", where=metric)
        seconds = prefixes.ragged("seconds", where=metric) if prefixes.has("seconds") else None
        for i, run in enumerate(prefixes.runs):
            loss = prefixes.values[i]
            good = np.isfinite(loss) & np.isfinite(joules[i])
            if good.any():
                time = None if seconds is None else seconds[i][good]
                yield {"run": run, "loss": loss[good], "joules": joules[i][good], "seconds": time}


def _power(run: dict[str, Any]) -> str:
    """The mean power, if the time is known."""
    seconds, joules = run["seconds"], run["joules"]
    if seconds is None or not np.isfinite(seconds[-1]) or seconds[-1] <= seconds[0]:
        return "power unknown"
    return f"{(joules[-1] - joules[0]) / (seconds[-1] - seconds[0]):.3g} W on average"
