"""What runs used, against how low their losses came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.errors import InputError
from earlycall.plots.names import labels, shown
from earlycall.plots.theme import Theme, palette, soft, styled
from earlycall.plots.thinning import means, points_for
from earlycall.ranking import as_curve_set

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURED = 6  # runs
UNITS = ((3.6e6, "kWh"), (3.6e3, "Wh"), (1.0, "J"))


def energy(curves: Any, *, metric: str | None = None, theme: Theme = "light") -> Figure:
    """The loss along the energy used, and the energy and mean power of each run.

    Args:
        curves: a curve set with a cumulative ``joules`` column, or whatever `earlycall.rank` takes.
        metric: the metric to draw; by default the training loss.
        theme: light or dark.

    Raises:
        InputError: if no energy was logged, or plotly is not installed.
    """
    colours = palette(theme)
    from plotly.graph_objects import Bar, Scatter
    from plotly.subplots import make_subplots

    whole = as_curve_set(curves)
    named = whole.metric(metric)
    if "joules" not in whole.observations.columns:
        raise InputError(f"{whole.name or 'the curve set'} has no column 'joules' to draw")
    runs = _runs(whole, named)
    if not runs:
        raise InputError(f"no run has both {named!r} and 'joules', so there is nothing to draw")
    size, unit = next(u for u in UNITS if u[0] == 1 or max(r["joules"][-1] for r in runs) >= u[0])
    figure = make_subplots(rows=1, cols=2, column_widths=[0.6, 0.4], horizontal_spacing=0.12)
    runs.sort(key=lambda run: float(run["joules"][-1]), reverse=True)
    title = labels([r["run"] for r in runs], 30)
    for i, run in reversed(list(enumerate(runs))):
        x, y = means(run["joules"] / size, run["loss"], points_for(len(runs)))
        line = (
            {**colours.line(i), "width": 2} if i < COLOURED else {"color": soft(colours.faint, 0.6)}
        )
        figure.add_trace(
            Scatter(x=x, y=y, mode="lines", line=line, name=title[i], showlegend=False,
                    hovertemplate=f"<b>{title[i]}</b><br>%{{x:.4~g}} {unit}<br>%{{y:.4~g}}"
                    "<extra></extra>"),
            row=1, col=1,
        )  # fmt: skip
    shade = [colours.line(i)["color"] if i < COLOURED else colours.faint for i in range(len(runs))]
    many = len(runs) > 40
    figure.add_trace(
        Bar(
            y=list(range(len(runs))), x=[float(r["joules"][-1]) / size for r in runs],
            orientation="h", marker={"color": shade, "line": {"width": 0}}, showlegend=False,
            text=[f"<b>{t}</b><br>{_power(r)}" for t, r in zip(title, runs, strict=True)],
            textposition="none", hovertemplate=f"%{{text}}<br>%{{x:.4~g}} {unit}<extra></extra>",
        ),
        row=1, col=2,
    )  # fmt: skip
    figure.update_xaxes(title=f"energy used, {unit}", rangemode="tozero")
    figure.update_yaxes(title=shown(named), row=1, col=1)
    figure.update_yaxes(
        autorange="reversed", showgrid=False, row=1, col=2,
        **({"showticklabels": False} if many else
           {"tickvals": list(range(len(runs))), "ticktext": title}),
    )  # fmt: skip
    return styled(figure, colours, height=420 if many else max(360, 130 + 22 * len(runs)))


def _runs(whole: Any, metric: str) -> list[dict[str, Any]]:
    """Each run's losses beside its joules, where both were logged, up to where it diverged."""
    out = []
    for prefixes in whole.prefixes(metric=metric):
        joules = prefixes.ragged("joules", where=metric)
        seconds = prefixes.ragged("seconds", where=metric) if prefixes.has("seconds") else joules
        for i, run in enumerate(prefixes.runs):
            loss = prefixes.values[i]
            good = np.isfinite(loss) & np.isfinite(joules[i])
            if good.any():
                time = seconds[i][good] if prefixes.has("seconds") else None
                out.append({"run": run, "loss": loss[good], "joules": joules[i][good],
                            "seconds": time})  # fmt: skip
    return out


def _power(run: dict[str, Any]) -> str:
    """The mean power, where the time is known."""
    seconds = run["seconds"]
    if seconds is None or not np.isfinite(seconds[-1]) or seconds[-1] <= seconds[0]:
        return "power unknown"
    watts = (run["joules"][-1] - run["joules"][0]) / (seconds[-1] - seconds[0])
    return f"{watts:.3g} W on average"
