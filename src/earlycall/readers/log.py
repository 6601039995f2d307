"""What a reader gives: the observations of one log, and what is known of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Log:
    """What one log holds.

    Attributes:
        observations: ``step`` and/or ``epoch``, metrics under the log's own names, cumulative costs
            (``seconds``, ``joules``), and ``run`` (and ``group``) where the log holds several runs.
            A null was not logged; NaN and infinities are what was recorded.
        runs: a row per run: ``run`` where the log holds several, ``hp.*``, ``final`` …; when it
            ``started`` (seconds since 1970, UTC: where ``seconds`` is 0) and, where the log says
            so, ``ended``; ``restarted``, JSON of [seconds, seconds since 1970] of each restart.
    """

    observations: pl.DataFrame
    runs: pl.DataFrame | None = None


def settings(values: Mapping[str, Any], prefix: str = "hp.") -> dict[str, Any]:
    """Hyper-parameters as columns: nested ones joined by a dot, lists as text, none private.

    Examples:
        >>> settings({"lr": 0.1, "model": {"depth": 4}, "_wandb": {}, "sizes": [1, 2]})
        {'hp.lr': 0.1, 'hp.model.depth': 4, 'hp.sizes': '[1, 2]'}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if str(key).startswith("_"):
            continue
        if isinstance(value, Mapping):
            found |= settings(value, f"{prefix}{key}.")
        elif isinstance(value, bool | int | float | str) or value is None:
            found[f"{prefix}{key}"] = value
        else:
            found[f"{prefix}{key}"] = str(value)[:200]
    return found


def number_or_text(text: str) -> float | str:
    """A setting that a log keeps as text, as a number where it is one.

    Examples:
        >>> number_or_text("0.1"), number_or_text("sgd")
        (0.1, 'sgd')
    """
    try:
        return float(text)
    except ValueError:
        return text


def table_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A table from settings of several runs; a column of mixed types becomes text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        kinds = {type(v) for v in values if v is not None}
        if kinds <= {int, float}:
            columns.append(pl.Series(name, values, dtype=pl.Float64, strict=False))
        elif kinds == {bool}:
            columns.append(pl.Series(name, values, dtype=pl.Boolean))
        else:
            text = [None if v is None else str(v) for v in values]
            columns.append(pl.Series(name, text, dtype=pl.String))
    return pl.DataFrame(columns)


def by_step(long: pl.DataFrame) -> pl.DataFrame:
    """A column per metric from a row per value.

    Args:
        long: ``run`` (optional), ``step``, ``name``, ``value``; of a value logged twice at a step
            the last one wins; ``seconds`` (optional), of which the largest of a step is kept.
    """
    index = [key for key in ("run", "step") if key in long.columns]
    wide = long.pivot("name", index=index, values="value", aggregate_function="last")
    if "seconds" in long.columns:
        when = long.group_by(index).agg(pl.col("seconds").max().alias("seconds"))
        wide = wide.drop("seconds", strict=False).join(when, on=index, how="left")
    return wide.sort(index)
