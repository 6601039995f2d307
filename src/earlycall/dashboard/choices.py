"""What can be chosen on the page: groups, scores, metrics, settings."""

from __future__ import annotations

from typing import Any

import polars as pl

from earlycall.curves import AXES, CurveSet
from earlycall.curves.columns import direction
from earlycall.dashboard.answers import settings_of
from earlycall.dashboard.figures import metric_of
from earlycall.dashboard.view import View, setting_text
from earlycall.elasticity import COST_AXES
from earlycall.errors import InputError
from earlycall.scores import names

FEW = 12  # values of a setting that are offered one by one
SETTINGS = 40  # settings offered at most
MANTISSAS = (1, 1.5, 2, 3, 5, 7)  # of the horizons offered by the slider
FARTHEST = 8  # times the horizon of the logs that the slider goes


def choices(curves: CurveSet, view: View) -> dict[str, Any]:
    """What can be chosen among these runs, as the page's form takes it."""
    groups = curves.groups
    group = view.group if view.group in groups else groups[0]
    mine = curves.select(group=group) if len(groups) > 1 else curves
    observed = {c.name for c in mine.observations.iter_columns() if c.count()}
    try:
        metric = metric_of(mine, view)
    except InputError:
        metric = next(iter(mine.metrics), "")
    horizon = mine.horizon(group, metric or None)
    return {
        "groups": groups if len(groups) > 1 else [],
        "scores": names(),
        "metrics": [m for m in mine.metrics if m in observed],
        "metric": metric,
        "directed": not metric or direction(metric) is not None,
        "axes": [a for a in AXES if a in ("observation", "step") or a in observed],
        "costs": [c for c in COST_AXES if c == "step" or c in observed],
        "horizon": {"logged": horizon, "offered": horizons(horizon)},
        "settings": [_setting(mine.runs, name) for name in settings_of(mine)[:SETTINGS]],
        "runs": len(mine),
        "energy": "joules" in observed,
        "outcomes": "final" in mine.runs.columns and mine.runs["final"].count() > 2,
    }


def horizons(logged: float) -> list[float]:
    """Round steps around the horizon of the logs, rising.

    Examples:
        >>> horizons(100)[:3], horizons(100)[-1]
        ([50.0, 70.0, 100.0], 700.0)
    """
    if logged <= 0:
        return []
    powers = [10.0**k for k in range(-3, 13)]
    round_steps = [m * p for p in powers for m in MANTISSAS]
    return [s for s in round_steps if logged / 2 <= s <= FARTHEST * logged]


def _setting(runs: pl.DataFrame, name: str) -> dict[str, Any]:
    column = runs[name]
    number = column.dtype.is_numeric()
    if number and column.n_unique() > FEW:
        low, high = column.drop_nulls().min(), column.drop_nulls().max()
        return {"name": name, "kind": "range", "low": low, "high": high}
    counts = column.value_counts(sort=True).rows()
    if number:
        counts.sort(key=lambda row: (row[0] is None, row[0] or 0))
    values = [{"value": setting_text(value), "runs": n} for value, n in counts[:100]]
    return {"name": name, "kind": "values", "values": values}
