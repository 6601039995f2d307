"""What runs that still train will have cost when they end."""

from __future__ import annotations

from typing import Any

import polars as pl

from earlycall.curves import CurveSet
from earlycall.stopping.forecast import COSTS, Costs, Forecast


def forecasts(curves: CurveSet) -> pl.DataFrame:
    """The cost of each run at the end of its training, forecast from what it took so far.

    Of runs that did not get there, where the end is known; each step is taken to cost what those
    so far did (see `earlycall.stopping.forecast.Costs`).

    Args:
        curves: runs with ``joules``, ``seconds`` or ``usd`` along their steps.

    Returns:
        A row per run: ``group``, ``run``, ``done`` (the part of its steps), and of each cost what
        is expected and the ends of its 90 % interval (``joules``, ``joules_low``, ``joules_high``).

    Examples:
        >>> table = pl.DataFrame({"run": ["a"] * 4, "step": [1, 2, 3, 4], "loss": [4, 3, 2, 1],
        ...                       "joules": [10.0, 20.0, 31.0, 40.0]})
        >>> running = CurveSet.from_frame(table).prefix(horizon=10)
        >>> forecasts(running).row(0, named=True)["joules"]
        100.0
    """
    names = [cost for cost in COSTS if cost in curves.observations.columns]
    ends = {group: curves.end(group) for group in curves.groups}
    runs = curves.runs.select("group", "run").rows()
    rows: list[dict[str, Any]] = []
    for (run_id, *_), observed in curves.observations.group_by("run_id", maintain_order=True):
        group, run = runs[int(run_id)]
        end = ends[group]
        if end.source is None:
            continue
        found = {name: _forecast(observed.select("step", name), end.step) for name in names}
        known = {name: forecast for name, forecast in found.items() if forecast is not None}
        if known:
            rows.append(
                {"group": group, "run": run, "done": observed["step"][-1] / end.step}
                | {name: f.expected for name, f in known.items()}
                | {f"{name}_low": f.low for name, f in known.items()}
                | {f"{name}_high": f.high for name, f in known.items()}
            )
    kinds: dict[str, Any] = {"group": pl.String, "run": pl.String, "done": pl.Float64}
    kinds |= {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}
    return pl.DataFrame(rows, schema=kinds)


def _forecast(observed: pl.DataFrame, end: float) -> Forecast | None:
    """The cost at the end; None for a run that got there, or of which too little is known."""
    rows = observed.drop_nulls()
    if not rows.height or not 0 < (last := float(rows["step"][-1])) < end:
        return None
    observations = rows.height * end / last
    if observations < rows.height + 1:  # the next one would lie beyond the end
        return None
    costs = Costs()
    for cost in rows.to_series(1):
        costs.add(cost)
    return costs.forecast(observations)
