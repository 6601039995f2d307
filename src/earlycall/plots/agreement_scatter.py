"""A score of early losses against how the runs ended."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from earlycall.curves.outcomes import outcomes
from earlycall.errors import InputError
from earlycall.evaluation.agreement import agreement
from earlycall.formatting import shown
from earlycall.plots.theme import (
    LEGEND_BELOW,
    Figure,
    Theme,
    add_points,
    palette,
    panels,
    styled,
)
from earlycall.ranking.rank import DEFAULT_SCORE, rank
from earlycall.readers.as_curve_set import as_curve_set


def agreement_scatter(
    curves: Any,
    *,
    score: str = DEFAULT_SCORE,
    budget: float = 0.1,
    metric: str | None = None,
    group: str | None = None,
    theme: Theme = "light",
) -> Figure:
    """The score of each run's first losses against its outcome, a colour for each group.

    Both stand as ranks within their group, from 0 (the worst) to 1 (the best), so that groups share
    one picture and the straight line is perfect agreement.

    Args:
        curves: a curve set with ``final`` outcomes, or whatever `earlycall.rank` takes.
        score: the name of a score.
        budget: the part of the horizon that the score sees.
        metric: the metric to score; by default the training loss.
        group: only the runs of this group.
        theme: light or dark.

    Raises:
        InputError: if there are no outcomes, or plotly is not installed.
    """
    colours = palette(theme)
    curve_set = as_curve_set(curves)
    outcome = pl.Series("outcome", outcomes(curve_set.runs, curve_set.name))
    whole = curve_set.at_full_length(curve_set.metric(metric))
    ranked = rank(whole, score=score, budget=budget, metric=metric, group=group)
    finals = [name for name in ("final", "final_metric") if name in curve_set.runs.columns]
    ends = curve_set.runs.select("group", "run", *finals).with_columns(outcome)
    table = ranked.table.join(ends, on=["group", "run"], how="left", maintain_order="left")
    table = table.filter(pl.col("score").is_not_null() & pl.col("outcome").is_finite())
    if not table.height:
        raise InputError("no run has both a score and an outcome, so there is nothing to draw")
    figure = panels()
    line = {"color": colours.faint, "width": 1, "dash": "dash"}
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line=line, layer="below")
    groups = table.partition_by("group", maintain_order=True)
    for i, rows in enumerate(groups):
        found = agreement(rows["score"].to_numpy(), rows["outcome"].to_numpy(), resamples=0)
        value = "" if found.spearman is None else f" (Spearman {found.spearman:+.2f})"
        name = "runs" if len(groups) == 1 else shown(str(rows["group"][0]), 30)
        add_points(
            figure, table.height, x=_relative_rank(rows["score"]),
            y=_relative_rank(rows["outcome"]), name=f"{name}{value}", text=_hover(rows),
            marker={"color": colours.line(i)["color"], "opacity": 0.8,
                    "size": 9 if table.height < 200 else 6,
                    "symbol": ("circle", "diamond", "square", "triangle-up")[i // 6 % 4]},
        )  # fmt: skip
    figure.update_xaxes(
        title=f"rank by {shown(score)} of the first {100 * budget:.3g} %, 1 is best",
        range=[-0.04, 1.04],
    )
    figure.update_yaxes(title="rank of the outcome, 1 is best", range=[-0.04, 1.04])
    return styled(figure, colours, height=480, showlegend=True, legend=LEGEND_BELOW)


def _relative_rank(values: pl.Series) -> Any:
    """Ranks from 0 for the smallest to 1 for the largest, shared by ties."""
    ranks = values.rank("average").to_numpy() - 1
    return ranks / (len(ranks) - 1) if len(ranks) > 1 else np.full(len(ranks), 0.5)


def _hover(rows: pl.DataFrame) -> list[str]:
    return [
        f"<b>{shown(row['run'])}</b><br>ranked {row['rank']}<br>"
        f"{shown(str(row.get('final_metric') or 'outcome'))} {row['final']:.4g}"
        for row in rows.iter_rows(named=True)
    ]
