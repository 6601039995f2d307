"""What each tab shows: its figures, its words, its table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall import plots
from earlycall.curves import CurveSet
from earlycall.curves.prefixes import costs_of
from earlycall.dashboard.cache import RankedView, ViewCache, problem_of
from earlycall.dashboard.view import View
from earlycall.elasticity import elasticity
from earlycall.errors import InputError
from earlycall.formatting import common_ending, number, plain, shown
from earlycall.plots.curves import NOISE_POINTS
from earlycall.plots.downsampling import extremes, means
from earlycall.plots.theme import LIGHT, soft
from earlycall.report import sections
from earlycall.report.model import Section

if TYPE_CHECKING:
    import polars as pl
    from plotly.graph_objects import Figure

MAX_RANKED = 60  # runs in the figure of the ranking; the table has them all
MAX_POINTS = 400  # of the curve of the run in focus
MAX_ROWS = 500  # of the table of elasticities, the only runs that are measured


@dataclass(frozen=True)
class TabContent:
    """What a tab shows.

    Attributes:
        figures: by name.
        words: a paragraph each.
        elasticities: the texts of a table of runs, row by row.
        problem: why something is missing, in a sentence.
    """

    figures: dict[str, Figure] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    elasticities: tuple[tuple[str, ...], ...] = ()
    problem: str = ""


def tab_content(cache: ViewCache, ranked: RankedView) -> TabContent:
    """What the tab of a view shows; errors are reported in ``problem``."""
    view, curves = ranked.view, ranked.curves
    if curves is None:
        return TabContent()
    try:
        if view.tab == "curves":
            content = _curves(ranked, curves)
        elif view.tab == "elasticity":
            content = _elasticity(cache, ranked, curves)
        elif view.tab == "rules":
            content = _of_sections(sections.stop_rules(curves, view.metric, view.cost))
        elif view.tab == "agreement":
            content = _of_sections(
                sections.agreement(curves, view.metric),
                sections.outcomes(curves, view.score, view.budget, view.metric),
            )
        else:
            content = _of_sections(sections.energy(curves, curves.metric(view.metric)))
    except Exception as error:  # whatever a log holds, the page goes on and says so
        return TabContent(problem=problem_of(error))
    if not content.figures and not content.problem:
        return replace(content, problem="these logs do not hold what this tab shows")
    kept_zoom = str((view.tab, view.group, view.metric, view.axis, view.cost))
    for figure in content.figures.values():
        figure.update_layout(uirevision=kept_zoom, autosize=True, height=None)
    return content


def metric_of(curves: CurveSet, view: View) -> str:
    """The metric of a tab: what was chosen, else what elasticity and rules watch, or is scored.

    Raises:
        InputError: if there is no such metric, or it must be chosen.
    """
    if view.metric is None and view.tab in ("elasticity", "rules"):
        return curves.watched()
    return curves.metric(view.metric)


def _of_sections(*given: Section | None) -> TabContent:
    drawn: Iterable[Section] = [section for section in given if section is not None]
    return TabContent({s.key: s.figure for s in drawn}, tuple(s.words for s in drawn))


def _curves(ranked: RankedView, curves: CurveSet) -> TabContent:
    """The curves of the runs with their forecasts, and the ranking with its uncertainty."""
    view, ranking = ranked.view, ranked.ranking
    axis: Any = "step" if view.axis == "observation" else view.axis
    metric = curves.metric(view.metric)
    figures = {"curves": plots.curves(curves, metric=metric, ranking=ranking, axis=axis)}
    if view.focus is not None:
        _highlight(figures["curves"], curves.select(runs=[view.focus]), view.focus, metric, axis)
    if ranking is not None and ranking.best() is not None:
        figures["ranking"] = plots.ranking(ranking, top=MAX_RANKED)
    return TabContent(figures)


def _highlight(figure: Figure, run: CurveSet, name: str, metric: str, axis: Any) -> None:
    """Draw a run above all others: its course, and its noise pale behind it."""
    if len(run) != 1:
        return
    prefixes = run.prefixes(metric=metric, axis=axis)[0]
    x, y = prefixes.x[0], prefixes.values[0]
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    for (thin_x, thin_y), colour, width in (
        (extremes(x, y, NOISE_POINTS), soft(LIGHT.ink, 0.22), 1),
        (means(x, y, MAX_POINTS), LIGHT.ink, 3),
    ):
        figure.add_scatter(
            x=thin_x, y=thin_y, mode="lines", line={"color": colour, "width": width},
            name=shown(name), showlegend=width > 1, hoverinfo="skip",
        )  # fmt: skip


def _elasticity(cache: ViewCache, ranked: RankedView, curves: CurveSet) -> TabContent:
    """The elasticity along the curve of the run in focus, else of the first; a table of runs."""
    view, names = ranked.view, curves.runs["run"]
    watched = metric_of(curves, view)
    best = names if ranked.ranking is None else ranked.ranking.table["run"]
    runs = best.head(MAX_ROWS).to_list()
    runs += [view.focus] if view.focus in names and view.focus not in runs else []
    key = ("elasticities", view.of_ranking().query(), watched, view.cost, *runs[MAX_ROWS:])
    table = cache.memoize(
        ranked.snapshot, key,
        lambda: elasticity(curves.select(runs=runs), cost=view.cost, metric=watched).table,
    )  # fmt: skip
    run = view.focus if view.focus in table["run"] else None
    run = run or (ranked.ranking and ranked.ranking.best()) or table["run"][0]
    words = [f"{run}: {table.filter(table['run'] == run)['advice'][0]}"]
    if len(curves) > MAX_ROWS:
        words += [f"The table has the best {MAX_ROWS} of {len(curves):,} runs; filter for others."]
    content = TabContent({}, tuple(words), _rows(table))
    try:
        prefixes = curves.select(runs=[run]).prefixes(metric=watched)[0]
        content.figures["elasticity"] = plots.elasticity_along(
            costs_of(prefixes, view.cost)[0], prefixes.values[0], unit=view.cost, name=watched,
            direction=prefixes.direction,
        )  # fmt: skip
    except InputError as error:  # the table has the runs that can be measured
        return replace(content, problem=str(error))
    return content


def _rows(table: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    ending = common_ending(table["run"].to_list())
    return tuple(
        (
            plain(row["run"].removesuffix(ending), 120),
            number(row["gain_elasticity"], 2),
            "–" if row["low"] is None else f"{row['low']:.2g} to {row['high']:.2g}",
            row["regime"] or "–",
            row["shape"],
            row["advice"],
        )
        for row in table.iter_rows(named=True)
    )
