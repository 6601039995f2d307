"""``earlycall report``: who leads, how sure that is, who should stop; one page to send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earlycall.cli import options, output


def command(
    paths: options.Paths,
    to: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="What to write: .html or .md."),
    ] = Path("report.html"),
    score: options.ScoreName = None,
    burn_in: options.BurnIn = None,
    metric: options.Metric = None,
    maximize: options.Maximize = None,
    budget: options.Budget = None,
    horizon: options.Horizon = None,
    group: options.Group = None,
    axis: options.Axis = options.AxisName.observation,
    finished: options.Finished = None,
    outcome: options.Outcome = None,
    title: Annotated[str | None, typer.Option(help="The heading of the report.")] = None,
    pattern: options.Pattern = None,
) -> None:
    """Write a report: the verdict, figures, a table of the runs.

    The verdict in plain words; the page is one file that opens offline, to be sent or printed.

    Examples:
      earlycall report runs/ -o report.html

      earlycall report runs/ --budget 10% -o report.md

      earlycall report runs/ --finished last-sweep/
    """
    from earlycall.ranking.rank import DEFAULT_SCORE
    from earlycall.report import report

    past = output.read_finished(finished, outcome)
    curves = output.read(paths, pattern)
    with output.progressing("report") as progress:
        made = report(
            curves,
            score=score or DEFAULT_SCORE,
            metric=output.chosen_metric(curves, metric),
            direction=options.direction(maximize),
            budget=budget,
            horizon=horizon,
            group=group,
            axis=axis.value,
            finished=past,
            outcome=outcome,
            title=title,
            burn_in=burn_in,
            progress=progress,
        )
        progress("writing")
        made.write(to)
    for warning in made.warnings:
        output.note(warning)
    for verdict in made.verdicts:
        where = f"{verdict.group}: " if len(made.verdicts) > 1 else ""
        output.errors().print(f"{where}{verdict.sentences[0]}", markup=False, soft_wrap=True)
    print(to)
