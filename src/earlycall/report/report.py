"""A report: computed from curves, written as a page or as Markdown."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import earlycall
from earlycall.atomic import write_whole
from earlycall.curves import Axis, CurveSet, Direction
from earlycall.curves.budget import Budget, as_part
from earlycall.curves.horizon import UNKNOWN_END
from earlycall.elasticity import elasticity
from earlycall.errors import CurveWarning, InputError
from earlycall.extras import needed_for
from earlycall.ranking.finished import finished_runs, with_own_outcomes
from earlycall.ranking.rank import DEFAULT_SCORE, Ranking, rank
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.report.markdown import markdown
from earlycall.report.model import ReportContents
from earlycall.report.notebook import report_html
from earlycall.report.page import page
from earlycall.report.run_table import run_table
from earlycall.report.sections import sections, worth_watching
from earlycall.report.verdict import verdicts

PAGES, TEXTS = (".html", ".htm"), (".md", ".markdown")


class Report(ReportContents):
    """A report as a page, as Markdown, or in a notebook; `report` makes it."""

    def html(self) -> str:
        """The report as one page that opens offline.

        Raises:
            InputError: if Jinja2 is not installed.
        """
        return page(self)

    def markdown(self) -> str:
        """The report's words and table as Markdown, without the figures."""
        return markdown(self)

    def write(self, path: str | Path) -> Path:
        """Write the report, whole or not at all: a page (.html) or Markdown (.md).

        Raises:
            InputError: if the ending is another, or the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix in PAGES:
            return write_whole(path, self.html())
        if suffix in TEXTS:
            return write_whole(path, self.markdown())
        raise InputError(f"{path}: a report is written as .html or .md; choose one of these")

    def _repr_html_(self) -> str | None:
        """The verdict and the ranking, for notebooks."""
        return report_html(self)


def report(
    curves: Any,
    *,
    score: str = DEFAULT_SCORE,
    metric: str | None = None,
    direction: Direction | None = None,
    budget: Budget | None = None,
    horizon: float | None = None,
    group: str | None = None,
    axis: Axis = "observation",
    finished: Any = None,
    outcome: str | None = None,
    title: str | None = None,
    burn_in: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """A report on runs: who leads, how sure that is, who should stop, and what that saves.

    What the curves do not hold is left out: one run is not ranked, runs without an outcome are
    not compared with it, and so on.

    Args:
        curves: whatever `earlycall.rank` takes.
        score: the score to rank by.
        metric: the metric to score; by default the training loss.
        direction: whether less ("min") or more ("max") of the metric is better; by default its name
            tells.
        budget: the part of the horizon that is looked at, in (0, 1]; by default all of it.
        horizon: the step at which training would end; by default as in `earlycall.rank`.
        group: report only on the runs of this group.
        axis: the axis along which curves are fitted.
        finished: finished runs with outcomes to learn from, in any form that ``curves`` may have.
        outcome: the last or best value of a metric as the outcome, as `earlycall.rank` takes it.
        title: by default the name of the set.
        burn_in: the epochs that an LCGA score ignores; by default 2, as published.
        progress: called with the name of each part of the work.

    Raises:
        InputError: if the curves or an argument cannot be used, or plotly is not installed.

    Examples:
        >>> import numpy as np
        >>> x = np.arange(1, 101)
        >>> made = report({"a": 1 + 3 / x, "b": 2 + 2 / x, "c": 2 + 3 / x}, budget=0.2)
        >>> made.verdicts[0].best, [s.key for s in made.sections]
        ('a', ['curves', 'ranking', 'elasticity', 'rules'])
    """
    progress = progress or (lambda _: None)
    with needed_for("the report", "plots"):  # before anything is computed
        import jinja2  # noqa: F401
        import plotly  # noqa: F401
    curves = as_curve_set(curves)
    if group is not None:
        curves = curves.select(group=group)
    if not len(curves):
        raise InputError("there is no run to report on")
    metric = curves.metric(metric)
    curves = curves.directed(metric, direction)
    past = None if finished is None else finished_runs(as_curve_set(finished), outcome)
    curves = with_own_outcomes(curves, outcome, metric, horizon=horizon, past=past is not None)
    part = None if budget is None else as_part(budget)
    progress("ranking")
    ranking, problem = None, None
    try:
        ranking = rank(
            curves, score=score, metric=metric, budget=part, horizon=horizon, axis=axis,
            finished=past, burn_in=burn_in,
        )  # fmt: skip
    except InputError as error:
        if len(curves.groups) < len(curves):
            raise
        problem = str(error)
    seen = curves.prefix(budget=part, horizon=horizon, metric=metric)
    elasticities = elasticity(seen, metric=worth_watching(seen, metric)).table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CurveWarning)
        drawn = tuple(sections(curves, ranking, metric, progress))
    return Report(
        title=title or curves.name or "runs",
        verdicts=() if ranking is None else tuple(verdicts(ranking, curves)),
        problem=problem,
        warnings=() if ranking is None else ranking.warnings,
        sections=drawn,
        runs=run_table(ranking, curves, elasticities),
        how=_how(curves, ranking, metric, part),
        version=earlycall.__version__,
        made=datetime.now(UTC),
        ranking=ranking,
    )


def _learned(ranking: Ranking) -> str:
    counts = sorted(set(ranking.learned_from.values()))
    range_ = " to ".join(map(str, counts[:1] + counts[1:][-1:]))
    return f"{range_} finished run{'' if counts == [1] else 's'}" + " per group" * (
        len(ranking.learned_from) > 1
    )


def _how(
    curves: CurveSet, ranking: Ranking | None, metric: str, budget: float | None
) -> tuple[tuple[str, str], ...]:
    """What anyone needs to compute the report again."""
    groups = len(curves.groups)
    counted = f"{len(curves):,} in {groups:,} group{'' if groups == 1 else 's'}"
    facts = [
        ("Runs", f"{counted}, {curves.observations.height:,} observations"),
        ("Loss", metric),
        ("Seen", "all that was logged" if budget is None else f"the first {100 * budget:.3g} %"),
    ]
    if ranking is not None:
        known = {g: end for g, end in ranking.horizons.items() if ranking.horizon_from.get(g)}
        ends = sorted(set(known.values()))
        steps = " to ".join(f"{end:,.6g}" for end in ends[:1] + ends[1:][-1:])
        told = " and ".join(sorted({str(ranking.horizon_from[g]) for g in known}))
        ending = [f"step {steps} ({told})"] if known else []
        ending += [UNKNOWN_END] if len(known) < len(ranking.horizons) else []
        facts += [
            ("Horizon", "; ".join(ending)),
            ("Score", f"{ranking.score}, larger is better"),
            *([("Learned from", _learned(ranking))] if any(ranking.learned_from.values()) else []),
            ("Intervals", "90 %; of the elasticity 95 %"),
        ]
    return tuple(facts)
