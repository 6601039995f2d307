"""The curves of a set: the leaders with their fits and forecasts, before all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earlycall.curves import Axis, CurveSet, Prefixes, Ragged
from earlycall.errors import InputError
from earlycall.formatting import labels, shown
from earlycall.plots.downsampling import corners, extremes, means, points_for
from earlycall.plots.forecast import Forecast, forecast, misses
from earlycall.plots.theme import (
    ABOVE,
    LEGEND_BELOW,
    Figure,
    Palette,
    Theme,
    palette,
    panels,
    soft,
    styled,
)
from earlycall.readers.as_curve_set import as_curve_set

if TYPE_CHECKING:
    from earlycall.ranking.rank import Ranking

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_COLOURED = 6  # curves that are all drawn in colour
LEADERS = 4  # of more curves, those that are
MAX_BANDS = 1  # leaders whose forecast has its interval drawn: several would hide the curves
LEADER_POINTS = 120  # of a leader, whose noise is drawn pale behind it
NOISE_POINTS = 2000  # two for each column of a panel's pixels
MAX_OTHERS = 150  # that the eye can tell apart
MAX_CROSSES, MAX_LARGE_CROSSES = 500, 50
PANEL_HEIGHT = 340  # pixels
TOLERANCE = 1.0 / PANEL_HEIGHT  # of the height: another curve's line may move by its width
SHADES = 6  # of grey for the others, the better ones darker
MAX_PANELS = 12
MAX_COLUMNS = 3  # of panels
LOG_SPREAD = 30.0  # times the lowest loss that the highest is, from which the axis is logarithmic
QUIET: dict[str, Any] = {"showlegend": False, "hoverinfo": "skip"}
LAST = 2000  # in the legend
MISSES = "fit that misses: no forecast"


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
    first leader's with its 90 % interval), and what was logged after the prefix as a thin line. A
    fit that visibly misses the curve in the scale that is drawn is dotted, without a forecast.
    The other curves are means of neighbouring losses in shades of grey, the better ones darker; at
    most 150 of them are drawn, evenly spread by rank, by the points without which a line would move
    by more than its width. A cross marks where a run diverged; at most 500 of them are drawn.

    Args:
        curves: whatever `earlycall.rank` takes.
        metric: the metric to draw; by default the ranking's, else the training loss.
        budget: the part of the horizon that the fits see; by default the ranking's, else all.
        ranking: who leads; by default the runs with the best last value within the budget.
        group: draw only the runs of this group.
        axis: what stands along the bottom.
        leaders: how many curves are drawn in colour; by default all up to 6, else 4.
        forecasts: whether to draw fits and forecasts.
        log: whether the loss has a logarithmic axis; by default where it spans 30 times or more,
            and less of it is better.
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
    curve_set = as_curve_set(curves)
    if group is not None:
        curve_set = curve_set.select(group=group)
    if ranking is not None:
        curve_set = curve_set.directed(ranking.metric, ranking.direction)
        metric = metric or ranking.metric
    metric = curve_set.metric(metric)
    groups = list(_groups(curve_set, metric, axis, budget, ranking))[:MAX_PANELS]
    if not groups:
        raise InputError("there is no curve to draw: the set is empty")
    columns = min(len(groups), MAX_COLUMNS)
    rows = -(-len(groups) // columns)
    figure = panels(
        rows, columns, [found.prefixes.group for found in groups], horizontal_spacing=0.07,
        vertical_spacing=0.22 / rows,
    )  # fmt: skip
    for i, found in enumerate(groups):
        cell = {"row": i // columns + 1, "col": i % columns + 1}
        along = "seconds of training" if axis == "seconds" else axis
        _Panel(figure, cell, colours, found, along, len(groups) == 1).draw(leaders, forecasts, log)
        if cell["col"] == 1:
            figure.update_yaxes(title=shown(metric), **cell)
    legend = LEGEND_BELOW | {"y": LEGEND_BELOW["y"] / rows, "traceorder": "normal"}
    above = 30 if not figure.layout.annotations else ABOVE
    height = 90 + above + PANEL_HEIGHT * rows
    return styled(
        figure, colours, height=height, legend=legend, margin={"t": above},
        showlegend=len(groups) == 1 or any(trace.name == MISSES for trace in figure.data),
    )  # fmt: skip


@dataclass(frozen=True)
class _Group:
    """The runs of a group, and how much of each was seen.

    Attributes:
        n_seen: shape (m,), how many of each run's losses were seen.
        finite: shape (m,), whether all of a run's losses are.
        order: the row numbers of the runs, the best first.
        ends: shape (m,), where training would end, on the axis.
        ranks: shape (m,), of each run; 0 if it has none.
    """

    prefixes: Prefixes
    n_seen: Ints
    finite: NDArray[np.bool_]
    order: Ints
    ends: Floats
    ranks: Ints

    def curve(self, i: int) -> tuple[Floats, Floats]:
        """A run's axis and its values as they were logged."""
        return self.prefixes.x[i], self.prefixes.values[i]

    def mean_curve(self, i: int, points: int) -> tuple[Floats, Floats]:
        """A curve without its noise, up to where it ceases to be finite."""
        x, y = self.curve(i)
        bad = np.flatnonzero(~np.isfinite(y))
        end = int(bad[0]) if len(bad) else len(y)
        return means(x[:end], y[:end], points)


def _groups(
    curve_set: CurveSet, metric: str, axis: Axis, budget: float | None, ranking: Ranking | None
) -> Iterator[_Group]:
    scored = {} if ranking is None else {p.group: p for p in ranking.prefixes}
    if ranking is None and budget is not None:
        limited = curve_set.prefix(budget=budget, metric=metric)
        scored = {p.group: p for p in limited.prefixes(metric=metric)}
    for prefixes in curve_set.prefixes(metric=metric, axis=axis):
        limited_to = scored.get(prefixes.group)
        if ranking is not None and limited_to is None:
            continue
        n_seen = _n_seen(prefixes, limited_to)
        horizon = prefixes.horizon if limited_to is None else limited_to.horizon
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = prefixes.x.last() * np.maximum(horizon / prefixes.step.last(), 1.0)
        ranks = _ranks(prefixes, ranking)
        last = [loss[n - 1] if n else np.inf for loss, n in zip(prefixes.loss, n_seen, strict=True)]
        key = np.array(last) if ranking is None else np.where(ranks > 0, ranks, 1e9)
        finite = prefixes.loss.all_finite()
        key = np.where(finite & (prefixes.loss.lengths > 0), key, np.inf)
        yield _Group(prefixes, n_seen, finite, np.argsort(key, kind="stable"), ends, ranks)


def _n_seen(prefixes: Prefixes, limited_to: Prefixes | None) -> Ints:
    """How many of each run's losses a prefix holds."""
    if limited_to is None:
        return prefixes.loss.lengths
    last = dict(zip(limited_to.runs, limited_to.step.last(), strict=True))
    return np.array([
        np.searchsorted(step, last.get(run, -np.inf), side="right")
        for run, step in zip(prefixes.runs, prefixes.step, strict=True)
    ], dtype=np.int64)  # fmt: skip


def _ranks(prefixes: Prefixes, ranking: Ranking | None) -> Ints:
    if ranking is None:
        return np.zeros(len(prefixes), dtype=np.int64)
    rows = ranking.table.filter(pl.col("group") == prefixes.group)
    ranks = dict(rows.select("run", pl.col("rank").fill_null(0)).rows())
    return np.array([ranks.get(run, 0) for run in prefixes.runs], dtype=np.int64)


@dataclass(frozen=True)
class _Panel:
    """Where the curves of a group are drawn.

    Attributes:
        figure: with the panel in it.
        cell: its row and column.
        colours: of the theme.
        group: the curves.
        along: what stands along the bottom.
        alone: whether it is the only panel.
        traces: what has been drawn, added to the figure all at once.
    """

    figure: Figure
    cell: dict[str, int]
    colours: Palette
    group: _Group
    along: str
    alone: bool
    traces: list[dict[str, Any]] = field(default_factory=list)

    def draw(self, leaders: int | None, forecasts: bool, log: bool | None) -> None:
        """The curves, the leaders last, so that they lie on top."""
        group, m = self.group, len(self.group.prefixes)
        count = leaders if leaders is not None else (m if m <= MAX_COLOURED else LEADERS)
        first, others = group.order[:count].tolist(), group.order[count:]
        spread = np.linspace(0, len(others) - 1, min(MAX_OTHERS, len(others)))
        drawn = others[spread.round().astype(np.int64)].tolist()
        points = points_for(count + len(drawn))
        names = labels(group.prefixes.runs)
        curves = {i: group.mean_curve(i, points) for i in drawn}
        curves |= {i: group.mean_curve(i, LEADER_POINTS) for i in first}
        sign = group.prefixes.sign
        low, high = _range(list(curves.values()), sign)
        log = log if log is not None else bool(sign > 0 and low > 0 and high > LOG_SPREAD * low)
        made = forecast(group.prefixes, first, group.n_seen, group.ends) if forecasts else {}
        missed = {i for i in made if misses(*self.seen(i), made[i], _limits(low, high, log), log)}
        ends = [float(m.middle[-1]) for i, m in made.items() if len(m.ahead) and i not in missed]
        low, high = _with_ends(low, high, ends, log)
        limits = _limits(low, high, log)
        floor = 10 ** limits[0] if log else -np.inf
        self.others([(names[i], *curves[i]) for i in drawn], limits, log)
        for place, i in enumerate(first):
            line = self.colours.line(place)
            self.leader(i, names[i], curves[i], line)
            colour = self.colours.ink if len(first) == 1 else line["color"]
            if i in missed:
                self.missed(made[i], colour)
            elif i in made:
                band = line["color"] if place < MAX_BANDS else None
                self.forecast(made[i], colour, band, floor)
        thinned = f"; {len(drawn):,} of {len(others):,} others" if len(drawn) < len(others) else ""
        self.figure.update_xaxes(title=self.along + thinned, **self.cell)
        self.divergences(names)
        self.figure.add_traces(self.traces, rows=self.cell["row"], cols=self.cell["col"])
        self.end_of_prefix()
        if np.isfinite(limits).all() and high > low:
            self.figure.update_yaxes(range=limits, **self.cell)
        if log:
            ticks = {"dtick": 1 if limits[1] - limits[0] > 2 else None, "tickformat": "~g"}
            self.figure.update_yaxes(type="log", **ticks, **self.cell)
        last = group.ends if ends else group.prefixes.x.last()
        end = float(np.max(last[np.isfinite(last)], initial=0.0))
        if end > 0:
            self.figure.update_xaxes(range=[-0.01 * end, 1.02 * end], **self.cell)

    def seen(self, i: int) -> tuple[Floats, Floats]:
        """A run's axis and its values, as far as they were seen."""
        n = int(self.group.n_seen[i])
        x, y = self.group.curve(i)
        return x[:n], y[:n]

    def line(self, x: Floats, y: Floats, colour: str, width: float, **options: Any) -> None:
        style = {"color": colour, "width": width} | options.pop("line", {})
        points = {"x": _single(x), "y": _single(y)}
        self.traces.append({"type": "scatter", "mode": "lines", "line": style} | points | options)

    def others(
        self, curves: list[tuple[str, Floats, Floats]], limits: list[float], log: bool
    ) -> None:
        """Many curves as a few lines with gaps, the better ones darker and above."""
        n = len(curves)
        curves = _without_hidden_points(curves, limits, log)
        for rows in reversed(np.array_split(np.arange(n), min(SHADES, n) or 1)):
            if not len(rows):
                continue
            shade = [curves[i] for i in rows]
            x = np.concatenate([np.append(along, np.nan) for _, along, _ in shade])
            y = np.concatenate([np.append(values, np.nan) for _, _, values in shade])
            names = np.repeat([name for name, _, _ in shade], [len(x) + 1 for _, x, _ in shade])
            self.line(
                x, y, soft(self.colours.faint, 0.75 - 0.5 * int(rows[0]) / n), 1, text=names,
                hovertemplate=_hover("%{text}", self.along), showlegend=False, name="others",
            )  # fmt: skip

    def leader(self, i: int, name: str, curve: tuple[Floats, Floats], line: dict[str, Any]) -> None:
        """A curve in colour: its noise, what was seen of it, and what came after."""
        x, y = self.group.curve(i)
        n, rank = int(self.group.n_seen[i]), int(self.group.ranks[i])
        colour, title = line["color"], f"{rank}. {name}" if rank else name
        mean_x, mean_y = curve
        if len(mean_x) < len(x) and np.isfinite(y[:n]).all():
            self.line(*extremes(x[:n], y[:n], NOISE_POINTS), soft(colour, 0.22), 1, **QUIET)
        joint = int(np.searchsorted(mean_x, x[n - 1] if n else -np.inf, side="right"))
        shared = {"hovertemplate": _hover(title, self.along), "legendgroup": name, "line": line}
        self.line(
            mean_x[:joint], mean_y[:joint], colour, 2.4, name=title, showlegend=self.alone, **shared
        )
        if joint < len(mean_x):  # from where the prefix ends, so that the two parts meet
            start = max(joint - 1, 0)
            self.line(mean_x[start:], mean_y[start:], colour, 1.1, showlegend=False, **shared)

    def forecast(self, made: Forecast, colour: str, band: str | None, floor: float) -> None:
        """The fit within what was seen, and the forecast with its interval after it."""
        if len(made.ahead) and band is not None:
            around = np.append(made.ahead, made.ahead[::-1])
            edge = np.maximum(np.append(made.low, made.high[::-1]), floor)
            fill = {"fill": "toself", "fillcolor": soft(band, 0.14)}
            self.line(around, edge, soft(band, 0), 0, **fill, **QUIET)
        x, y = np.append(made.x, made.ahead), np.append(made.y, made.middle)
        self.line(x, y, colour, 1.6, line={"dash": "5px,4px"}, opacity=0.85, **QUIET)

    def missed(self, made: Forecast, colour: str) -> None:
        """A fit that misses, up to where losses were seen; the legend says so once."""
        dots = {"dash": "1px,4px"}
        self.line(made.x, made.y, colour, 1.6, line=dots, **QUIET)
        said = [*(t.name for t in self.figure.data), *(t.get("name") for t in self.traces)]
        if MISSES not in said:
            nothing = np.array([np.nan])
            self.line(
                nothing, nothing, self.colours.muted, 1.6, line=dots, name=MISSES, legendrank=LAST
            )

    def divergences(self, names: list[str]) -> None:
        """A cross at the last finite loss of each run that diverged, of many evenly spread ones."""
        x, y, text = [], [], []
        diverged = np.flatnonzero(~self.group.finite)
        spread = np.linspace(0, len(diverged) - 1, min(MAX_CROSSES, len(diverged)))
        for i in diverged[spread.round().astype(np.int64)].tolist():
            along, values = self.group.curve(i)
            bad = int(np.argmin(np.isfinite(values)))
            x.append(float(along[max(bad - 1, 0)]))
            y.append(float(values[bad - 1]) if bad else None)
            text.append(names[i])
        if x:
            size = 8 if len(x) <= MAX_LARGE_CROSSES else 5
            of_all = f", {len(x)} of {len(diverged):,}" if len(x) < len(diverged) else ""
            self.traces.append({
                "type": "scatter", "mode": "markers", "x": x, "y": y, "text": text,
                "name": f"diverged{of_all}", "showlegend": self.alone, "cliponaxis": False,
                "marker": {"symbol": "x", "size": size, "color": self.colours.red},
                "hovertemplate": "<b>%{text}</b><br>diverged after %{x:,.6~g}<extra></extra>",
            })  # fmt: skip

    def end_of_prefix(self) -> None:
        """Where the prefixes end, if they end before the curves."""
        prefixes, n_seen = self.group.prefixes, self.group.n_seen
        ends = [prefixes.x[i][n - 1] for i, n in enumerate(n_seen.tolist()) if n]
        if ends and (n_seen < prefixes.loss.lengths).any():
            font = {"color": self.colours.muted, "size": 12}
            end = float(np.median(ends))
            line = {"color": self.colours.muted, "width": 1, "dash": "dot"}
            self.figure.add_vline(x=end, line=line, **self.cell)
            late = end > 0.6 * np.max(self.group.ends[np.isfinite(self.group.ends)], initial=0.0)
            self.figure.add_annotation(
                x=end, y=1, yref="y domain", text="seen up to here", showarrow=False, font=font,
                xanchor="right" if late else "left", yanchor="bottom" if self.alone else "top",
                bgcolor=soft(self.colours.paper, 0.0 if self.alone else 0.8), **self.cell,
            )  # fmt: skip


def _without_hidden_points(
    curves: list[tuple[str, Floats, Floats]], limits: list[float], log: bool
) -> list[tuple[str, Floats, Floats]]:
    """Names, x and y of curves by the points that are to be seen within the limits of the axis."""
    height = limits[1] - limits[0]
    if not curves or not 0 < height < np.inf:
        return curves
    x, y = (Ragged.of([curve[k] for curve in curves]) for k in (1, 2))
    drawn = np.log10(np.maximum(y.values, 10 ** (limits[0] - height))) if log else y.values
    drawn = np.clip(drawn, limits[0] - height, limits[1] + height)
    kept = corners(x, Ragged(drawn, y.offsets), TOLERANCE * height)
    ends = np.searchsorted(kept, y.offsets)
    parts = [kept[start:stop] for start, stop in pairwise(ends.tolist())]
    return [(name, x.values[p], y.values[p]) for (name, *_), p in zip(curves, parts, strict=True)]


def _range(curves: list[tuple[Floats, Floats]], sign: float = 1.0) -> tuple[float, float]:
    """The values worth seeing: to the best one, from where curves start, but no spikes.

    Args:
        curves: x and y of each.
        sign: 1 where less is better, -1 where more is.
    """
    filled = [sign * y for _, y in curves if len(y)]
    if not filled:
        return np.nan, np.nan
    values = np.concatenate(filled)
    start = float(np.median([y[0] for y in filled]))
    low, high = float(values.min()), max(float(np.quantile(values, 0.98)), start)
    high = min(high, start + 2 * (start - low)) if start > low else high
    return (low, high) if sign > 0 else (-high, -low)


def _with_ends(low: float, high: float, ends: list[float], log: bool) -> tuple[float, float]:
    """The range with the ends of forecasts, though no more than twice as high as without."""
    if log:
        return min([low, *(max(end, low * low / high) for end in ends)]), high
    span = high - low
    ends = [float(np.clip(end, low - span, high + span)) for end in ends]
    return min([low, *ends]), max([high, *ends])


def _limits(low: float, high: float, log: bool) -> list[float]:
    """The range of the axis, with a margin; in powers of ten on a logarithmic one."""
    if log:
        low, high = float(np.log10(low)), float(np.log10(high))
    return [low - 0.06 * (high - low), high + 0.06 * (high - low)]


def _hover(name: str, along: str) -> str:
    name = name if name == "%{text}" else name.replace("%", "&#37;")
    return f"<b>{name}</b><br>{along} %{{x:,.6~g}}<br>%{{y:.4~g}}<extra></extra>"


def _single(values: Floats) -> NDArray[np.float32]:
    """Seven digits are more than a screen shows, and half the size of a page."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
