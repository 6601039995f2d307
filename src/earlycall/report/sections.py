"""The figures of a report, each with its words; the live page shows some of them, too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from earlycall import plots
from earlycall.curves import CurveSet
from earlycall.curves.columns import validation_loss
from earlycall.curves.prefixes import costs_of
from earlycall.errors import InputError
from earlycall.evaluation.evaluate import BUDGETS, evaluate
from earlycall.formatting import common_ending, plain
from earlycall.ranking.rank import Ranking
from earlycall.report.model import Section
from earlycall.stopping.gain import THRESHOLD
from earlycall.stopping.replay import replay

MAX_REGRET = 2.0  # percent, of the gain rule that is recommended
MAX_RANKED = 40  # runs in the figure of the ranking; the table has them all
MAX_REPLAYED = 400_000  # observations on which stop rules are replayed within seconds
MAX_EVALUATED = 2_000_000  # observations on which scores are evaluated within seconds
MIN_OBSERVATIONS = 12  # of a curve whose elasticity is worth drawing


def sections(
    curves: CurveSet, ranking: Ranking | None, metric: str, progress: Callable[[str], None]
) -> list[Section]:
    """The figures that these curves allow, in reading order.

    Args:
        curves: the runs, whole.
        ranking: of their prefixes, if there is one.
        metric: the loss.
        progress: called with the name of each figure before it is drawn.
    """
    makers: list[tuple[str, Callable[[], Section | None]]] = [
        ("curves", lambda: _curves(curves, ranking, metric)),
        ("ranking", lambda: None if ranking is None else _ranking(ranking)),
        ("elasticity", lambda: _elasticity(curves, ranking, metric)),
        ("stop rules", lambda: stop_rules(curves)),
        ("agreement", lambda: agreement(curves, metric)),
        ("outcomes", lambda: None if ranking is None
            else outcomes(curves, ranking.score, ranking.budget, metric)),
        ("energy", lambda: energy(curves, metric)),
    ]  # fmt: skip
    drawn = []
    for name, make in makers:
        progress(name)
        try:
            section = make()
        except InputError:
            continue  # these curves do not hold what the figure needs
        if section is not None:
            drawn.append(section)
    return drawn


def worth_watching(curves: CurveSet, metric: str) -> str:
    """The validation loss, where it was logged often enough to tell its slope; else the metric."""
    watched = validation_loss(curves.metrics)[0]
    if watched is None:
        return metric
    lengths = [length for p in curves.prefixes(metric=watched) for length in p.loss.lengths]
    return watched if np.median(lengths) >= MIN_OBSERVATIONS else metric


def stop_rules(curves: CurveSet, metric: str | None = None, cost: str = "step") -> Section:
    """What the default stop rules would have cost and lost.

    Raises:
        InputError: if no run can be judged.
    """
    part, note = _sample(curves, MAX_REPLAYED)
    replayed = replay(part, metric=metric, cost=cost, choose=MAX_REGRET)
    words = "What stop rules would have cost and lost on what was logged; lower left is best. "
    return Section("rules", "Stop rules", words + replayed.summary() + note, replayed.plot())


def agreement(curves: CurveSet, metric: str | None) -> Section | None:
    """How well early scores agree with the outcomes; None where there are too few.

    Raises:
        InputError: if the curves cannot be scored.
    """
    if "final" not in curves.runs.columns:
        return None
    part, note = _sample(curves, MAX_EVALUATED)
    evaluated = evaluate(part, budgets=(*BUDGETS, 0.5), metric=metric, resamples=0)
    if not evaluated.table["spearman"].count():
        return None
    words = (
        "How well each score, at each part of training, agrees with how the runs ended "
        "(Spearman correlation: 1 is perfect, 0 is none)."
    )
    return Section("agreement", "Agreement with the outcomes", words + note, evaluated.plot())


def outcomes(
    curves: CurveSet, score: str, budget: float | None, metric: str | None
) -> Section | None:
    """The early rank of each run against its outcome; None where there are no outcomes.

    Raises:
        InputError: if no run has both.
    """
    if "final" not in curves.runs.columns:
        return None
    budget = min(budget or 0.1, 0.9)
    figure = plots.agreement_scatter(curves, score=score, budget=budget, metric=metric)
    words = f"Each run's rank by {score} after {100 * budget:.3g} % of training, and how it ended."
    return Section("outcomes", "Early rank against outcome", words, figure)


def energy(curves: CurveSet, metric: str) -> Section | None:
    """The loss along the energy used; None where no energy was logged.

    Raises:
        InputError: if it cannot be drawn.
    """
    if "joules" not in curves.observations.columns:
        return None
    words = "The loss along the energy that each run used, and its mean power in the hover text."
    return Section("energy", "Energy", words, plots.energy(curves, metric=metric))


def _curves(curves: CurveSet, ranking: Ranking | None, metric: str) -> Section:
    words = (
        "The leaders in colour, each with its fitted curve (dashed) and forecast; the band is the "
        "90 % interval of the first one's. A fit that misses its curve is dotted, and forecasts "
        "nothing. All others are grey, the better ones darker."
    )
    return Section("curves", "Curves", words, plots.curves(curves, metric=metric, ranking=ranking))


def _ranking(ranking: Ranking) -> Section:
    words = (
        "The best run stands on top. The leader, in green, or a run in blue ends first with 95 %."
    )
    if not ranking.verdicts:
        words = "The best run stands on top. This score does not say how sure it is."
    if max(len(p) for p in ranking.prefixes) > MAX_RANKED:
        words += f" The first {MAX_RANKED} are shown; the table below has all."
    return Section("ranking", "Ranking", words, plots.ranking(ranking, top=MAX_RANKED))


def _elasticity(curves: CurveSet, ranking: Ranking | None, metric: str) -> Section | None:
    """Of the leader, within what was seen."""
    run = curves.runs["run"][0] if ranking is None else ranking.best()
    if run is None:
        return None
    seen, group = curves, None
    if ranking is not None:
        group = ranking.table.filter(pl.col("rank") == 1)["group"][0]
        if ranking.budget is not None:
            horizon = ranking.horizons.get(str(group))
            seen = curves.prefix(budget=ranking.budget, horizon=horizon, metric=metric)
    one = seen.select(runs=[run], group=group)
    watched = worth_watching(one, metric)
    prefixes = one.prefixes(metric=watched)[0]
    if prefixes.loss.lengths[0] < MIN_OBSERVATIONS:
        return None
    figure = plots.elasticity_along(
        costs_of(prefixes, "step")[0], prefixes.values[0], name=watched, unit="step",
        direction=prefixes.direction,
    )  # fmt: skip
    name = str(run).removesuffix(common_ending(curves.runs["run"].to_list()))
    words = (
        f"How many percent more gain 1 % more training brought to {plain(name)}. Above 1 it pays "
        f"better than in proportion; below {THRESHOLD:g} more training is hardly worth its cost."
    )
    return Section("elasticity", "Elasticity of the leader", words, figure)


def _sample(curves: CurveSet, most: int) -> tuple[CurveSet, str]:
    """Evenly spread runs, where all would take too long; and a note that says so."""
    if curves.observations.height <= most:
        return curves, ""
    count = min(max(int(len(curves) * most / curves.observations.height), 10), len(curves))
    mask = np.zeros(len(curves), dtype=bool)
    mask[np.linspace(0, len(curves) - 1, count).astype(int)] = True
    part = curves.filter(pl.Series(mask))
    return part, f" Computed on {len(part)} evenly spread runs of {len(curves)}."
