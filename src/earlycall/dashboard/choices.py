"""What can be chosen on the page: groups, scores, metrics, settings."""

from __future__ import annotations

from typing import Any

import polars as pl

from earlycall.curves import AXES, CurveSet
from earlycall.curves.columns import direction
from earlycall.curves.prefixes import COST_AXES
from earlycall.dashboard.tabs import metric_of
from earlycall.dashboard.view import View
from earlycall.errors import InputError
from earlycall.formatting import number
from earlycall.report.run_table import setting_text, settings_of
from earlycall.scores import names

MAX_CHECKBOXES = 12  # values of a numeric setting that are offered one by one
MAX_VALUES = 100  # of any setting
MAX_SETTINGS = 40
BUDGETS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90)  # percent
MANTISSAS = (1, 1.5, 2, 3, 5, 7)  # of the horizons offered by the slider
MAX_HORIZON = 8  # times that of the logs


def choices(curves: CurveSet, view: View) -> dict[str, Any]:
    """What can be chosen among these runs, as the form's template takes it."""
    groups = curves.groups
    group = view.group if view.group in groups else groups[0]
    mine = curves.select(group=group) if len(groups) > 1 else curves
    observed = {c.name for c in mine.observations.iter_columns() if c.count()}
    try:
        metric = metric_of(mine, view)
    except InputError:
        metric = next(iter(mine.metrics), "")
    end = mine.end(group, metric or None)
    known = f"by {end.source}, " if end.source else "unknown, logged are "
    budgets = [[f"{percent}", f"first {percent} %"] for percent in BUDGETS]
    steps = [[f"{step:g}", f"{number(step, 6)} steps"] for step in horizons(end.step)]
    return {
        "selects": [
            ("group", "Group", groups if len(groups) > 1 else [], group),
            ("score", "Score", names(), view.score),
            ("metric", "Metric", [m for m in mine.metrics if m in observed], metric),
            ("axis", "Fit along",
             [a for a in AXES if a in ("observation", "step") or a in observed], view.axis),
            ("cost", "Cost", [c for c in COST_AXES if c == "step" or c in observed]
             if view.tab in ("elasticity", "rules") else [], view.cost),
        ],
        "directed": not metric or direction(metric) is not None,
        "sliders": [
            ("budget", "Budget", [*budgets, ["", "all that was logged"]],
             100 * view.budget if view.budget else None),
            ("horizon", "Horizon", [["", f"{known}{number(end.step, 6)} steps"], *steps],
             view.horizon),
        ],
        "settings": [_setting(mine.runs, name) for name in settings_of(mine)[:MAX_SETTINGS]],
        "hidden_tabs": [tab for tab, known in (
            ("agreement", "final" in mine.runs.columns and mine.runs["final"].count() > 2),
            ("energy", "joules" in observed),
        ) if not known],
    }  # fmt: skip


def nearest(steps: list[list[str]], value: float | None) -> int:
    """The place of a slider: of the step nearest to a value, or of the one that stands for none.

    Examples:
        >>> nearest([["", "all"], ["10", "ten"], ["20", "twenty"]], 17.0)
        2
    """

    def distance(i: int) -> float:
        step = steps[i][0]
        if value is None:
            return 1.0 if step else 0.0
        return max(float(step) / value, value / float(step)) if step else float("inf")

    return min(range(len(steps)), key=distance)


def horizons(logged: float) -> list[float]:
    """Round steps around the horizon of the logs, rising.

    Examples:
        >>> horizons(100)[:3], horizons(100)[-1]
        ([50.0, 70.0, 100.0], 700.0)
    """
    steps = (m * 10.0**k for k in range(-3, 13) for m in MANTISSAS)
    return [step for step in steps if logged > 0 and logged / 2 <= step <= MAX_HORIZON * logged]


def _setting(runs: pl.DataFrame, name: str) -> dict[str, Any]:
    column, title = runs[name], name.removeprefix("hp.")
    numeric = column.dtype.is_numeric()
    if numeric and column.n_unique() > MAX_CHECKBOXES:
        known = column.drop_nulls().to_numpy()
        low, high = float(known.min()), float(known.max())
        return {"name": name, "title": title, "low": number(low, 3), "high": number(high, 3)}
    counts = column.value_counts(sort=True).rows()
    if numeric:
        counts.sort(key=lambda row: (row[0] is None, row[0] or 0))
    values = [(setting_text(value), n) for value, n in counts[:MAX_VALUES]]
    return {"name": name, "title": title, "values": values}
