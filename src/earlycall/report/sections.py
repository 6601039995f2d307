"""The figures of a report, each with what it says in a sentence; those that can be drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from earlycall import plots
from earlycall.curves import CurveSet
from earlycall.curves.columns import validation_loss
from earlycall.curves.prefixes import costs_of
from earlycall.elasticity import THRESHOLD
from earlycall.errors import InputError
from earlycall.evaluation.evaluate import evaluate
from earlycall.formatting import common_ending, plain
from earlycall.ranking.rank import Ranking
from earlycall.stopping.replay import replay

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

RULES = (
    *(f"gain:{t:g}" for t in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)),
    *(f"patience:{p}" for p in (1, 2, 3, 5, 10)),
)
BUDGETS = (0.05, 0.1, 0.2, 0.5)
MOST_RUNS = 40  # in the figure of the ranking; the table has them all
REPLAYED = 400_000  # observations that stop rules are replayed on in a few seconds
JUDGED = 2_000_000  # observations that scores are evaluated on
LONG = 12  # validation losses that an elasticity is worth drawing for


@dataclass(frozen=True)
class Section:
    """A figure with its words.

    Attributes:
        key: for links.
        title: a few words.
        words: what the figure shows, in a sentence or two.
        figure: light.
    """

    key: str
    title: str
    words: str
    figure: Figure


def sections(
    curves: CurveSet, ranking: Ranking | None, metric: str, done: Callable[[str], None]
) -> list[Section]:
    """The figures that these curves allow, in the order in which they are read.

    Args:
        curves: the runs, whole.
        ranking: of their prefixes, if there is one.
        metric: the loss.
        done: told what is worked on.
    """
    makers: list[tuple[str, Callable[[], Section | None]]] = [
        ("curves", lambda: _curves(curves, ranking, metric)),
        ("ranking", lambda: None if ranking is None else _ranking(ranking)),
        ("elasticity", lambda: _elasticity(curves, ranking, metric)),
        ("stop rules", lambda: _rules(curves)),
        ("agreement", lambda: _agreement(curves, metric)),
        ("outcomes", lambda: _outcomes(curves, ranking, metric)),
        ("energy", lambda: _energy(curves, metric)),
    ]
    made = []
    for name, make in makers:
        done(name)
        try:
            section = make()
        except InputError:
            continue  # these curves do not hold what the figure needs
        if section is not None:
            made.append(section)
    return made


def worth_watching(seen: CurveSet, metric: str) -> str:
    """The validation loss, where it was logged often enough to tell its slope; else the metric."""
    watched = validation_loss(seen.metrics)[0]
    if watched is None:
        return metric
    lengths = [length for p in seen.prefixes(metric=watched) for length in p.loss.lengths]
    return watched if np.median(lengths) >= LONG else metric


def _curves(curves: CurveSet, ranking: Ranking | None, metric: str) -> Section:
    words = (
        "The leaders in colour, each with its fitted curve (dashed) and forecast; the band is the "
        "90 % interval of the first one's. All others are grey, the better ones darker."
    )
    return Section("curves", "Curves", words, plots.curves(curves, metric=metric, ranking=ranking))


def _ranking(ranking: Ranking) -> Section:
    words = "The best run stands on top. Runs in blue cannot be told from the leader, in green."
    if not ranking.verdicts:
        words = "The best run stands on top. This score does not say how sure it is."
    largest = max(len(p) for p in ranking.prefixes)
    if largest > MOST_RUNS:
        words += f" The first {MOST_RUNS} are shown; the table below has all."
    return Section("ranking", "Ranking", words, plots.ranking(ranking, top=MOST_RUNS))


def _elasticity(curves: CurveSet, ranking: Ranking | None, metric: str) -> Section | None:
    """Of the leader, within what was seen."""
    run = curves.runs["run"][0] if ranking is None else ranking.best()
    if run is None:
        return None
    seen, group = curves, None
    if ranking is not None:
        group = ranking.table.filter(pl.col("rank") == 1)["group"][0]
        if ranking.budget is not None:
            ends = ranking.horizons.get(str(group))
            seen = curves.prefix(budget=ranking.budget, horizon=ends, metric=metric)
    one = seen.select(runs=[run], group=group)
    watched = worth_watching(one, metric)
    prefixes = one.prefixes(metric=watched)[0]
    if prefixes.loss.lengths[0] < LONG:
        return None
    cost = costs_of(prefixes, "step")[0]
    name = str(run).removesuffix(common_ending(curves.runs["run"].to_list()))
    figure = plots.elasticity_along(
        cost, prefixes.values[0], name=watched, unit="step", direction=prefixes.direction
    )
    words = (
        f"How many percent more gain 1 % more training brought to {plain(name)}. Above 1 it pays "
        f"better than in proportion; below {THRESHOLD:g} more training is hardly worth its cost."
    )
    return Section("elasticity", "Elasticity of the leader", words, figure)


def _rules(curves: CurveSet) -> Section:
    part, note = _fewer(curves, REPLAYED)
    replayed = replay(part, RULES, choose=2.0)
    words = "What stop rules would have cost and lost on what was logged; lower left is best."
    choice = replayed.choice
    if choice is not None:
        words += (
            f" {choice['rule']} would have spent {choice['cost_pct']:.0f} % of the cost at "
            f"{choice['regret_pct']:.1f} % regret: the cheapest gain rule below 2 %."
        )
    return Section("rules", "Stop rules", words + note, plots.cost_against_regret(replayed))


def _agreement(curves: CurveSet, metric: str) -> Section | None:
    if "final" not in curves.runs.columns:
        return None
    part, note = _fewer(curves, JUDGED)
    found = evaluate(part, budgets=BUDGETS, metric=metric, resamples=0)
    if not found.table["spearman"].count():
        return None
    words = (
        "How well each score, at each part of training, agrees with how the runs ended "
        "(Spearman correlation: 1 is perfect, 0 is none)."
    )
    return Section("agreement", "Agreement with the outcomes", words + note, found.plot())


def _outcomes(curves: CurveSet, ranking: Ranking | None, metric: str) -> Section | None:
    if "final" not in curves.runs.columns or ranking is None:
        return None
    budget = min(ranking.budget or 0.1, 0.9)
    figure = plots.agreement_scatter(curves, score=ranking.score, budget=budget, metric=metric)
    words = f"Each run's rank after {100 * budget:.3g} % of training, against how it ended."
    return Section("outcomes", "Early rank against outcome", words, figure)


def _energy(curves: CurveSet, metric: str) -> Section | None:
    if "joules" not in curves.observations.columns:
        return None
    words = "The loss along the energy that each run used, and its mean power in the hover text."
    return Section("energy", "Energy", words, plots.energy(curves, metric=metric))


def _fewer(curves: CurveSet, most: int) -> tuple[CurveSet, str]:
    """Evenly spread runs, where all would take too long; and a note that says so."""
    if curves.observations.height <= most:
        return curves, ""
    count = max(int(len(curves) * most / curves.observations.height), 10)
    chosen = np.zeros(len(curves), dtype=bool)
    chosen[np.linspace(0, len(curves) - 1, min(count, len(curves))).astype(int)] = True
    part = curves.filter(pl.Series(chosen))
    return part, f" Computed on {len(part)} evenly spread runs of {len(curves)}."
