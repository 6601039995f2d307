"""The figures of each tab, with what is said beside them."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall import plots
from earlycall.curves import CurveSet
from earlycall.curves.prefixes import costs_of
from earlycall.dashboard.cache import Answer, Answers
from earlycall.dashboard.view import View
from earlycall.elasticity import elasticity as elasticities
from earlycall.errors import InputError
from earlycall.formatting import shown
from earlycall.plots.downsampling import means
from earlycall.plots.theme import palette

if TYPE_CHECKING:
    import polars as pl
    from plotly.graph_objects import Figure

RULES = [
    *(f"gain:{t:g}" for t in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)),
    *(f"patience:{p}" for p in (1, 2, 3, 5, 10)),
]
NARROW = 16  # letters of a run's name on a phone
MOST_RUNS = 60  # in the ranking; the table has them all
BUDGETS = (0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Shown:
    """Figures, None where there is none; a table; and a sentence where something is amiss."""

    figures: tuple[Figure | None, ...]
    words: str = ""
    table: pl.DataFrame | None = None


def curves_and_ranking(answer: Answer) -> Shown:
    """The curves of the runs with their forecasts, and the ranking with its uncertainty."""
    view, curves, ranking = answer.view, answer.curves, answer.ranking
    if curves is None:
        return Shown((None, None))
    try:
        axis = "step" if view.axis == "observation" else view.axis
        metric = curves.metric(view.metric)
        drawn = plots.curves(curves, metric=metric, ranking=ranking, axis=axis, theme=view.theme)
    except InputError as error:
        return Shown((None, None), str(error))
    if view.focus is not None:
        _highlight(drawn, curves, view, metric, axis)
    ranked = None
    if ranking is not None and ranking.best() is not None:
        ranked = plots.ranking(ranking, top=MOST_RUNS, theme=view.theme)
    return Shown((drawn, ranked))


def narrowed(figure: Figure) -> None:
    """Make a figure fit a phone: small words, and no more of them than there is room for."""
    figure.update_layout(margin={"l": 8, "r": 12, "t": 30}, font={"size": 11})
    if (
        "yaxis2" in figure.layout and figure.layout.yaxis2.ticktext
    ):  # names between two panels need room
        figure.update_xaxes(domain=[0, 0.4], col=1).update_xaxes(domain=[0.72, 1], col=2)
    for axis in [*figure.select_xaxes(), *figure.select_yaxes()]:
        title = axis.title.text
        axis.update(tickfont={"size": 10}, title={"font": {"size": 11}})
        if title:
            axis.title.text = title.split(" (")[0]
        if axis.ticktext:
            axis.ticktext = tuple(_shortened(str(text)) for text in axis.ticktext)


def _shortened(text: str) -> str:
    """The label of a run in fewer letters; its markup stays whole."""
    name, mark, rest = text.partition("  <")
    return shown(html.unescape(name), NARROW) + mark + rest


def _highlight(figure: Figure, curves: CurveSet, view: View, metric: str, axis: Any) -> None:
    """Draw the run that is looked at closely above all others."""
    from plotly.graph_objects import Scatter

    mine = curves.select(runs=[view.focus or ""])
    if len(mine) != 1:
        return
    prefixes = mine.prefixes(metric=metric, axis=axis)[0]
    x, y = prefixes.x[0], prefixes.values[0]
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = means(x[finite], y[finite], 400)
    name = shown(view.focus or "")
    line = {"color": palette(view.theme).ink, "width": 3}
    figure.add_trace(Scatter(x=x, y=y, mode="lines", line=line, name=name, hoverinfo="skip"))


def metric_of(curves: CurveSet, view: View) -> str:
    """The metric of a tab: what was chosen, else what elasticity and rules watch, or is scored.

    Raises:
        InputError: if it cannot be told.
    """
    if view.metric is None and view.tab in ("elasticity", "rules"):
        return curves.watched()
    return curves.metric(view.metric)


def elasticity(answers: Answers, answer: Answer) -> Shown:
    """The elasticity along the curve of the run in focus, else of the first; a table of all."""
    view, curves = answer.view, answer.curves
    if curves is None:
        return Shown((None,), "There is no run to measure.")
    try:
        watched = metric_of(curves, view)
        key = ("elasticities", view.group, view.find, tuple(view.settings.items()), watched,
               view.cost)  # fmt: skip
        table = answers.once(
            answer.snapshot, key, lambda: elasticities(curves, cost=view.cost, metric=watched).table
        )
        run = view.focus if view.focus in table["run"] else None
        run = run or (answer.ranking.best() if answer.ranking is not None else None)
        run = run or table["run"][0]
        prefixes = curves.select(runs=[run]).prefixes(metric=watched)[0]
        cost = costs_of(prefixes, view.cost)[0]
        drawn = plots.elasticity_along(
            cost,
            prefixes.values[0],
            unit=view.cost,
            name=watched,
            theme=view.theme,
            direction=prefixes.direction,
        )
    except InputError as error:
        return Shown((None,), str(error))
    advice = table.filter(table["run"] == run)["advice"][0]
    return Shown((drawn,), f"{run}: {advice}", table)


def rules(answers: Answers, answer: Answer) -> Shown:
    """What stop rules would have cost and lost."""
    from earlycall.stopping.replay import replay

    view, curves = answer.view, answer.curves
    if curves is None:
        return Shown((None,), "There is no run to replay rules on.")
    try:
        key = ("rules", view.group, view.find, tuple(view.settings.items()), view.metric, view.cost)
        replayed = answers.once(
            answer.snapshot, key,
            lambda: replay(curves, RULES, metric=view.metric, cost=view.cost, choose=2.0),
        )  # fmt: skip
        drawn = plots.cost_against_regret(replayed, theme=view.theme)
    except InputError as error:
        return Shown((None,), str(error))
    choice = replayed.choice
    if choice is None:
        return Shown((drawn,), "No gain threshold keeps the mean regret below 2 % on these runs.")
    return Shown(
        (drawn,),
        f"{choice['rule']} would have spent {choice['cost_pct']:.0f} % of the cost at "
        f"{choice['regret_pct']:.1f} % regret: the cheapest gain rule below 2 %. Judged on what "
        "was logged so far.",
    )


def agreement(answers: Answers, answer: Answer) -> Shown:
    """How well scores agree with the outcomes."""
    from earlycall.evaluation.evaluate import evaluate

    view, curves = answer.view, answer.curves
    if curves is None:
        return Shown((None, None), "There is no run with an outcome.")
    try:
        key = ("agreement", view.group, view.find, tuple(view.settings.items()), view.metric)
        found = answers.once(
            answer.snapshot, key, lambda: evaluate(curves, budgets=BUDGETS, metric=view.metric)
        )
        mapped = plots.agreement_map(found, theme=view.theme)
        budget = min(view.budget or 0.1, 0.9)
        scattered = plots.agreement_scatter(
            curves, score=view.score, budget=budget, metric=view.metric, theme=view.theme
        )
    except InputError as error:
        return Shown((None, None), str(error))
    return Shown(
        (mapped, scattered),
        f"How early scores agree with how the runs ended; below, {view.score} of the first "
        f"{100 * budget:g} % of training, run by run.",
    )


def energy(answers: Answers, answer: Answer) -> Shown:
    """The loss along the energy used."""
    if answer.curves is None:
        return Shown((None,), "There is no run.")
    try:
        metric = answer.curves.metric(answer.view.metric)
        return Shown((plots.energy(answer.curves, metric=metric, theme=answer.view.theme),))
    except InputError as error:
        return Shown((None,), str(error))
