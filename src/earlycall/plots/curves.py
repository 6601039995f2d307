"""The curves of a set: the leaders with their fits and forecasts, before all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.curves import Axis, CurveSet, Prefixes
from earlycall.errors import InputError
from earlycall.plots.forecast import Forecast, forecast
from earlycall.plots.names import labels, shown
from earlycall.plots.theme import Palette, Theme, palette, soft, styled
from earlycall.plots.thinning import extremes, means, points_for
from earlycall.ranking import as_curve_set

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure

    from earlycall.ranking import Ranking

    Floats = NDArray[np.float64]

FEW = 6  # curves that are all drawn in colour
LEADERS = 4  # of more curves, those that are
BANDS = 1  # leaders whose forecast has its interval drawn: several would hide the curves
LEADING = 120  # points of a leader, whose noise is drawn pale behind it
OTHERS = 150  # that the eye can tell apart; of more, so many are drawn, evenly spread by rank
SHADES = 6  # of grey for the others, the better ones darker
PANELS = 12  # groups at most
ACROSS = 3  # panels in a row
SPREAD = 30.0  # times the lowest loss that the highest is, from which the axis is logarithmic


def curves(
    curves: Any,
    *,
    metric: str | None = None,
    budget: float | None = None,
    ranking: Ranking | None = None,
    group: str | None = None,
    axis: Axis = "step",
    leaders: int | None = None,
    forecasts: bool = True,
    log: bool | None = None,
    theme: Theme = "light",
) -> Figure:
    """The curves of a set, the leaders in colour with their fits and forecasts.

    A panel for each group. Of each leader: the part that was seen as a line, its single losses
    pale behind it where they are noisy, the fit dashed with its forecast up to the horizon (the
    first leader's with its 90 % interval), and what was logged after the prefix as a thin line.
    The other curves are means of neighbouring losses in shades of grey, the better ones darker; of
    more than 150, so many are drawn, evenly spread by rank. A cross marks where a run diverged.

    Args:
        curves: whatever `earlycall.rank` takes.
        metric: the metric to draw; by default the ranking's, else the training loss.
        budget: the part of the horizon that the fits see; by default the ranking's, else all.
        ranking: who leads; by default the runs with the best last
            value that was seen do.
        group: draw only the runs of this group.
        axis: what stands along the bottom.
        leaders: how many curves are drawn in colour; by default all up to 6, else 4.
        forecasts: whether to draw fits and forecasts.
        log: whether the loss has a logarithmic axis; by default where it spans 30 times or more.
        theme: light or dark.

    Raises:
        InputError: if the metric, group or axis is not there, or plotly is not installed.

    Examples:
        >>> x = np.arange(1, 101)
        >>> figure = curves({"a": 1 + 3 / x, "b": 2 + 2 / x}, budget=0.3)
        >>> [trace.name for trace in figure.data if trace.showlegend is not False]
        ['a', 'b']
    """
    colours = palette(theme)
    whole = as_curve_set(curves)
    if group is not None:
        whole = whole.select(group=group)
    if ranking is not None:
        whole = whole.directed(ranking.metric, ranking.direction)
    named = whole.metric(metric or (ranking.metric if ranking is not None else None))
    panels = list(_panels(whole, named, axis, budget, ranking))[:PANELS]
    if not panels:
        raise InputError("there is no curve to draw: the set is empty")
    columns = min(len(panels), ACROSS)
    figure = _grid([p.prefixes.group for p in panels], columns)
    for i, panel in enumerate(panels):
        where = {"row": i // columns + 1, "col": i % columns + 1}
        _draw(figure, panel, colours, where, leaders, forecasts, log)
        figure.update_xaxes(title=_unit(axis), **where)
        if where["col"] == 1:
            figure.update_yaxes(title=shown(named), **where)
    rows = -(-len(panels) // columns)
    legend = {
        "orientation": "h",
        "yanchor": "top",
        "y": -0.14 / rows,
        "x": 0,
        "traceorder": "normal",
    }
    return styled(figure, colours, height=120 + 340 * rows, legend=legend,
                  showlegend=len(panels) == 1)  # fmt: skip


@dataclass(frozen=True)
class _Panel:
    """The runs of a group, and what was seen of each.

    Attributes:
        seen: shape (m,), how many of each run's losses were seen.
        order: the row numbers of the runs, the best first.
        ends: shape (m,), where training would end, on the axis.
        places: shape (m,), the rank of each run; 0 where it has none.
    """

    prefixes: Prefixes
    seen: NDArray[np.int64]
    order: NDArray[np.int64]
    ends: Floats
    places: NDArray[np.int64]
    limited: bool

    def curve(self, i: int) -> tuple[Floats, Floats]:
        """A run's axis and its values as they were logged."""
        return self.prefixes.x[i], self.prefixes.values[i]


def _panels(
    whole: CurveSet, metric: str, axis: Axis, budget: float | None, ranking: Ranking | None
) -> Iterator[_Panel]:
    scored = {} if ranking is None else {p.group: p for p in ranking.prefixes}
    if ranking is None and budget is not None:
        limited = whole.prefix(budget=budget, metric=metric)
        scored = {p.group: p for p in limited.prefixes(metric=metric)}
    for prefixes in whole.prefixes(metric=metric, axis=axis):
        if ranking is not None and prefixes.group not in scored:
            continue
        seen = _seen(prefixes, scored.get(prefixes.group))
        horizon = scored[prefixes.group].horizon if prefixes.group in scored else prefixes.horizon
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = prefixes.x.last() * np.maximum(horizon / prefixes.step.last(), 1.0)
        places = _places(prefixes, ranking)
        key = _last_seen(prefixes, seen) if ranking is None else np.where(places > 0, places, 1e9)
        key = np.where(prefixes.loss.all_finite() & (prefixes.loss.lengths > 0), key, np.inf)
        limit = bool((seen < prefixes.loss.lengths).any())
        yield _Panel(prefixes, seen, np.argsort(key, kind="stable"), ends, places, limit)


def _seen(prefixes: Prefixes, scored: Prefixes | None) -> NDArray[np.int64]:
    """How many of each run's losses a prefix holds."""
    if scored is None:
        return prefixes.loss.lengths
    last = dict(zip(scored.runs, scored.step.last(), strict=True))
    return np.array([
        np.searchsorted(step, last.get(run, -np.inf), side="right")
        for run, step in zip(prefixes.runs, prefixes.step, strict=True)
    ], dtype=np.int64)  # fmt: skip


def _last_seen(prefixes: Prefixes, seen: NDArray[np.int64]) -> Floats:
    """The last loss seen of each run; infinite where there is none."""
    losses = zip(prefixes.loss, seen.tolist(), strict=True)
    return np.array([loss[n - 1] if n else np.inf for loss, n in losses], dtype=np.float64)


def _places(prefixes: Prefixes, ranking: Ranking | None) -> NDArray[np.int64]:
    if ranking is None:
        return np.zeros(len(prefixes), dtype=np.int64)
    mine = ranking.table.filter(pl.col("group") == prefixes.group)
    places = dict(mine.select("run", pl.col("rank").fill_null(0)).rows())
    return np.array([places.get(run, 0) for run in prefixes.runs], dtype=np.int64)


def _draw(
    figure: Figure,
    panel: _Panel,
    colours: Palette,
    where: dict[str, int],
    leaders: int | None,
    forecasts: bool,
    log: bool | None,
) -> None:
    """The curves of a panel, the leaders last, so that they lie on top."""
    m = len(panel.prefixes)
    count = leaders if leaders is not None else (m if m <= FEW else LEADERS)
    first, unled = panel.order[:count].tolist(), panel.order[count:]
    spread = np.linspace(0, len(unled) - 1, OTHERS).round().astype(np.int64)
    rest = (unled if len(unled) <= OTHERS else unled[spread]).tolist()
    points, others = points_for(count + len(rest)), set(rest)
    named = labels(panel.prefixes.runs)
    thin = {i: _thinned(panel, i, points if i in others else LEADING) for i in [*rest, *first]}
    low, high = _range(list(thin.values()))
    scale = log if log is not None else bool(low > 0 and high > SPREAD * low)
    limits = _limits(low, high, scale)
    _draw_others(figure, [(named[i], *thin[i]) for i in rest], colours, where)
    made = forecast(panel.prefixes, first, panel.seen, panel.ends) if forecasts else {}
    floor = 10 ** limits[0] if scale else -np.inf
    for place, i in enumerate(first):
        line = colours.line(place)
        _draw_leader(figure, panel, i, named[i], thin[i], line, where)
        if i in made:
            colour = colours.ink if len(first) == 1 else line["color"]
            band = line["color"] if place < BANDS else None
            _draw_forecast(figure, made[i], colour, band, floor, where)
    if len(rest) < len(unled):
        _tell_thinning(figure, len(rest), len(unled), where)
    _draw_ends(figure, panel, named, colours, where)
    _draw_limit(figure, panel, colours, where)
    if np.isfinite(limits).all() and high > low:
        figure.update_yaxes(range=limits, **where)
    if scale:
        many = limits[1] - limits[0] > 2
        figure.update_yaxes(type="log", dtick=1 if many else None, tickformat="~g", **where)
    end = float(np.nanmax(np.where(np.isfinite(panel.ends), panel.ends, np.nan), initial=0.0))
    if end > 0:
        figure.update_xaxes(range=[-0.01 * end, 1.02 * end], **where)


def _thinned(panel: _Panel, i: int, points: int) -> tuple[Floats, Floats]:
    """A curve up to where it ceases to be finite."""
    x, y = panel.curve(i)
    bad = np.flatnonzero(~np.isfinite(y))
    end = int(bad[0]) if len(bad) else len(y)
    return means(x[:end], y[:end], points)


def _range(curves: list[tuple[Floats, Floats]]) -> tuple[float, float]:
    """The losses worth seeing: down to the lowest, up to where curves start, but no spikes."""
    filled = [y for _, y in curves if len(y)]
    if not filled:
        return np.nan, np.nan
    values = np.concatenate(filled)
    start = float(np.median([y[0] for y in filled]))
    low, high = float(values.min()), max(float(np.quantile(values, 0.98)), start)
    return low, min(high, start + 2 * (start - low)) if start > low else high


def _limits(low: float, high: float, log: bool) -> list[float]:
    """The range of the axis, with a margin; in powers of ten on a logarithmic one."""
    if log:
        low, high = float(np.log10(low)), float(np.log10(high))
    return [low - 0.06 * (high - low), high + 0.06 * (high - low)]


def _draw_others(
    figure: Figure,
    others: list[tuple[str, Floats, Floats]],
    colours: Palette,
    where: dict[str, int],
) -> None:
    """Many curves as a few lines with gaps, the better ones darker and above."""
    from plotly.graph_objects import Scatter

    for part in reversed(np.array_split(np.arange(len(others)), min(SHADES, len(others)) or 1)):
        if not len(part):
            continue
        x, y, lengths = [], [], []
        for _, along, values in (others[i] for i in part.tolist()):
            x += [along, [np.nan]]
            y += [values, [np.nan]]
            lengths.append(len(along) + 1)
        place = int(part[0]) / max(len(others), 1)
        names = np.repeat(np.array([others[i][0] for i in part.tolist()]), lengths)
        figure.add_trace(
            Scatter(
                x=_small(np.concatenate(x)), y=_small(np.concatenate(y)), text=names,
                mode="lines", line={"color": soft(colours.faint, 0.75 - 0.5 * place), "width": 1},
                hovertemplate=_hover("%{text}"), showlegend=False, name="others",
            ),
            **where,
        )  # fmt: skip


def _tell_thinning(figure: Figure, shown: int, all_others: int, where: dict[str, int]) -> None:
    """That not all others are drawn stands in the panel's upper right corner."""
    figure.add_annotation(
        x=1, y=1, xref="x domain", yref="y domain", xanchor="right", yanchor="bottom",
        text=f"{shown:,} of {all_others:,} others drawn, evenly spread by rank", showarrow=False,
        **where,
    )  # fmt: skip


def _draw_leader(
    figure: Figure,
    panel: _Panel,
    i: int,
    name: str,
    thin: tuple[Floats, Floats],
    line: dict[str, Any],
    where: dict[str, int],
) -> None:
    from plotly.graph_objects import Scatter

    x, y = panel.curve(i)
    seen, colour = int(panel.seen[i]), line["color"]
    quiet: dict[str, Any] = {"showlegend": False, "hoverinfo": "skip", "mode": "lines"}
    finite = np.isfinite(y[:seen])
    if len(thin[0]) < len(x) and finite.all():
        noisy_x, noisy_y = extremes(x[:seen], y[:seen], 600)
        pale = {"color": soft(colour, 0.22), "width": 1}
        figure.add_trace(Scatter(x=_small(noisy_x), y=_small(noisy_y), line=pale, **quiet), **where)
    last = x[seen - 1] if seen else -np.inf
    inside = thin[0] <= last
    place = int(panel.places[i])
    title = f"{place}. {name}" if place else name
    after_x, after_y = thin[0][~inside], thin[1][~inside]
    figure.add_trace(
        Scatter(
            x=_small(thin[0][inside]), y=_small(thin[1][inside]), mode="lines", name=title,
            line={**line, "width": 2.4}, hovertemplate=_hover(title), legendgroup=name,
        ),
        **where,
    )  # fmt: skip
    if len(after_x):
        # From where the prefix ends, so that the two parts meet.
        join_x, join_y = thin[0][inside][-1:], thin[1][inside][-1:]
        figure.add_trace(
            Scatter(
                x=_small(np.append(join_x, after_x)), y=_small(np.append(join_y, after_y)),
                mode="lines", line={"color": colour, "width": 1.1, "dash": line["dash"]},
                hovertemplate=_hover(title), showlegend=False, legendgroup=name,
            ),
            **where,
        )  # fmt: skip


def _draw_forecast(
    figure: Figure,
    made: Forecast,
    colour: str,
    band: str | None,
    floor: float,
    where: dict[str, int],
) -> None:
    """The fit within what was seen, and the forecast with its interval after it."""
    from plotly.graph_objects import Scatter

    quiet: dict[str, Any] = {"showlegend": False, "hoverinfo": "skip", "mode": "lines"}
    if len(made.ahead) and band is not None:
        around = np.append(made.ahead, made.ahead[::-1])
        edge = np.maximum(np.append(made.low, made.high[::-1]), floor)
        figure.add_trace(
            Scatter(x=_small(around), y=_small(edge), fill="toself", fillcolor=soft(band, 0.14),
                    line={"width": 0, "color": soft(band, 0)}, **quiet),
            **where,
        )  # fmt: skip
    dashed = {"color": colour, "width": 1.6, "dash": "5px,4px"}
    figure.add_trace(
        Scatter(x=_small(np.append(made.x, made.ahead)), y=_small(np.append(made.y, made.middle)),
                line=dashed, opacity=0.85, **quiet),
        **where,
    )  # fmt: skip


def _draw_ends(
    figure: Figure, panel: _Panel, named: list[str], colours: Palette, where: dict[str, int]
) -> None:
    """A cross at the last finite loss of each run that diverged."""
    from plotly.graph_objects import Scatter

    x, y, text = [], [], []
    for i in np.flatnonzero(~panel.prefixes.loss.all_finite()).tolist():
        along, values = panel.curve(i)
        bad = int(np.argmin(np.isfinite(values)))
        x.append(float(along[max(bad - 1, 0)]))
        y.append(float(values[bad - 1]) if bad else None)
        text.append(named[i])
    if x:
        figure.add_trace(
            Scatter(
                x=x, y=y, text=text, mode="markers", name="diverged", cliponaxis=False,
                marker={"symbol": "x", "size": 8, "color": colours.red},
                hovertemplate="<b>%{text}</b><br>diverged after %{x:,.6~g}<extra></extra>",
            ),
            **where,
        )  # fmt: skip


def _draw_limit(figure: Figure, panel: _Panel, colours: Palette, where: dict[str, int]) -> None:
    """Where the prefixes end, if they end before the curves."""
    ends = [panel.prefixes.x[i][n - 1] for i, n in enumerate(panel.seen.tolist()) if n]
    if panel.limited and ends:
        figure.add_vline(
            x=float(np.median(ends)), line={"color": colours.muted, "width": 1, "dash": "dot"},
            annotation={"text": "seen up to here", "font": {"color": colours.muted, "size": 12}},
            annotation_position="top right", **where,
        )  # fmt: skip


def _grid(groups: list[str], columns: int) -> Figure:
    from plotly.subplots import make_subplots

    rows = -(-len(groups) // columns)
    titles = [shown(g, 40) for g in groups] if len(groups) > 1 else None
    return make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, horizontal_spacing=0.07,
        vertical_spacing=0.22 / rows,
    )  # fmt: skip


def _unit(axis: Axis) -> str:
    return {"seconds": "seconds of training", "observation": "observation"}.get(axis, axis)


def _hover(name: str) -> str:
    name = name if name == "%{text}" else name.replace("%", "&#37;")
    return f"<b>{name}</b><br>%{{xaxis.title.text}} %{{x:,.6~g}}<br>%{{y:.4~g}}<extra></extra>"


def _small(values: Any) -> NDArray[np.float32]:
    """Seven digits are more than a screen shows, and half the size of a page."""
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float32)
