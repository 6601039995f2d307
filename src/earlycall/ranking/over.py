"""Settings ranked by the mean over their runs, such as over seeds, with the interval between them.

The score of a setting is the mean over its n runs. With s the deviation of runs around the mean of
their setting, pooled over all settings of the group (so that two seeds each will do), its interval
is mean ± t·s/√n at 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.curves import CurveSet
from earlycall.curves.columns import SETTINGS_PREFIXES
from earlycall.errors import InputError, first_of
from earlycall.formatting import listed, plain
from earlycall.results import Result

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from earlycall.ranking.rank import Ranking

SURE = 0.95
TIED = "cannot be told from the first by its interval"
_SCHEMA = pl.Schema({
    "group": pl.String, "run": pl.String, "rank": pl.Int64, "score": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "se": pl.Float64, "n": pl.Int64,
    "status": pl.String, "reason": pl.String,
})  # fmt: skip


@dataclass(frozen=True)
class SettingRanking(Result):
    """Settings ranked within their groups by the mean over their runs.

    Attributes:
        table: a row per setting: ``group``, ``run`` (what sets it apart), ``rank``, ``score`` (the
            mean over its runs) with its 95 % interval ``low``, ``high`` and ``se``, ``n`` runs,
            ``status`` (``ok``; ``diverged`` where all its runs did; ``unscored``), ``reason``.
        over: the settings in which the runs of one setting differ.
        ranking: of the single runs.
    """

    table: pl.DataFrame
    over: tuple[str, ...]
    ranking: Ranking = field(repr=False)

    _figure = "ranking"

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the ranking of the runs."""
        return self.ranking.notes

    def sentence(self, group: str) -> str:
        """Which setting leads a group, and which cannot be told from it."""
        rows = self.table.filter(pl.col("group") == group)
        first = rows.row(0, named=True)
        over = ", ".join(self.over)
        if first["rank"] is None:
            return f"None of the {rows.height} settings can be ranked: {first['reason']}."
        leads = f"{plain(first['run'])} leads {rows.height} settings by the mean over {over}"
        tied = rows.filter(pl.col("reason").str.starts_with(TIED))["run"].to_list()
        if not tied:
            return f"{leads}, and can be told from all others by the interval between their runs."
        return f"{leads}, but {listed(tied)} cannot be told from it by the interval between runs."

    def summary(self) -> str:
        """Which setting leads each group."""
        groups = self.table["group"].unique(maintain_order=True)
        return "\n".join((f"{g}: " if len(groups) > 1 else "") + self.sentence(g) for g in groups)

    def to_dict(self) -> dict[str, Any]:
        """``runs``: the rows of the table; and what they were ranked by."""
        r = self.ranking
        return {
            "score": r.score, "metric": r.metric, "budget": r.budget, "over": list(self.over),
            "runs": self.table.to_dicts(),
        }  # fmt: skip

    def plot(self, **options: Any) -> Figure:
        """A figure of the single runs; options of `earlycall.plots.ranking`.

        Raises:
            InputError: if plotly is not installed.
        """
        return self.ranking.plot(**options)


def by_setting(ranking: Ranking, curves: CurveSet, over: str | Sequence[str]) -> SettingRanking:
    """Rank settings by the mean over their runs.

    A run that diverged counts as the worst of its group; one without a score is left out.

    Args:
        ranking: of the runs.
        curves: the runs with their settings, ``hp.*`` and ``arch.*``.
        over: the settings in which the runs of one setting may differ, such as "hp.seed"; several
            in a sequence or separated by commas.

    Raises:
        InputError: if there is no such setting, or no two runs differ in it alone.
    """
    what = curves.name or "the curve set"
    settings = [c for c in curves.runs.columns if c.startswith(SETTINGS_PREFIXES)]
    given = [w.strip() for w in over.split(",")] if isinstance(over, str) else list(over)
    names = tuple(n if n in settings else f"hp.{n}" for n in given if n)
    for name, asked in zip(names, given, strict=True):
        if name not in settings:
            found = first_of(settings) or "none"
            raise InputError(f"{what} has no setting {asked!r} of its runs; found: {found}")
    others = [c for c in settings if c not in names and curves.runs[c].n_unique() > 1]
    runs = curves.runs.select("group", "run", pl.struct(["group", *others]).alias("setting"))
    if runs["setting"].n_unique() == runs.height:
        raise InputError(_alone(what, names, others, curves.runs))
    table = ranking.table.join(runs, on=("group", "run"), how="left", maintain_order="left")
    rows = []
    for (_,), group in table.group_by("group", maintain_order=True):
        rows += _group(group, others)
    return SettingRanking(pl.DataFrame(rows, schema=_SCHEMA), names, ranking)


def _group(table: pl.DataFrame, others: Sequence[str]) -> list[dict[str, Any]]:
    """The settings of a group, the best first."""
    from scipy.special import stdtrit

    worst = table["score"].min()
    diverged = pl.col("status") == "diverged"
    table = table.with_columns(value=pl.when(diverged).then(worst).otherwise("score"))
    scored = table.drop_nulls("value").select(
        within=pl.col("value") - pl.col("value").mean().over("setting"), setting="setting"
    )
    freedom = scored.height - scored["setting"].n_unique()
    deviation, t = np.nan, np.nan
    if freedom > 0:
        deviation = float(np.sqrt((scored["within"].to_numpy() ** 2).sum() / freedom))
        t = float(stdtrit(freedom, (1 + SURE) / 2))
    rows = []
    for (setting,), runs in table.group_by("setting", maintain_order=True):
        known = runs.drop_nulls("value")
        mean = known["value"].mean()
        se = deviation / np.sqrt(known.height) if known.height else np.nan
        all_diverged = bool((runs["status"] == "diverged").all())
        score = None if mean is None or all_diverged else float(str(mean))
        rows.append({
            "group": runs["group"][0], "run": _text(setting, others), "score": score,
            "se": _finite(se), "n": known.height,
            "low": None if score is None else _finite(score - t * se),
            "high": None if score is None else _finite(score + t * se),
            "status": "diverged" if all_diverged else "unscored" if score is None else "ok",
            "reason": _reason(runs),
        })  # fmt: skip
    rows.sort(key=lambda row: (row["score"] is None, -(row["score"] or 0.0), row["run"]))
    for row in rows:
        better = sum(1 for r in rows if r["score"] is not None and r["score"] > (row["score"] or 0))
        row["rank"] = None if row["score"] is None else better + 1
        first = rows[0]
        if row is first or row["score"] is None:
            continue
        apart = t * np.hypot(row["se"] or np.nan, first["se"] or np.nan)
        if not first["score"] - row["score"] > (0.0 if deviation == 0 else apart):
            row["reason"] = TIED + (f"; {row['reason']}" if row["reason"] else "")
    return rows


def _reason(runs: pl.DataFrame) -> str | None:
    """What became of runs of a setting that were not scored."""
    said = []
    for status, count in runs["status"].value_counts(sort=True).rows():
        if status == "diverged":
            said.append(f"{count} of {runs.height} runs diverged, counted as the worst")
        elif status in ("missing", "short", "unscored"):
            reason = runs.filter(pl.col("status") == status)["reason"][0]
            said.append(f"{count} of {runs.height} runs left out: {reason}")
    return "; ".join(said) or None


def _text(setting: Any, others: Sequence[str]) -> str:
    """What sets a setting apart: ``lr=0.1 width=64``."""
    values = {name.removeprefix("hp."): setting[name] for name in others}
    return (
        " ".join(
            f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in values.items()
        )
        or "all runs"
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _alone(what: str, names: Sequence[str], others: Sequence[str], runs: pl.DataFrame) -> str:
    over = ",".join(names)
    most = sorted(others, key=lambda c: -runs[c].n_unique())[:3]
    if not most:
        return f"{what}: no two runs differ in {over}; rank the runs themselves, without --over"
    return (
        f"{what}: no two runs differ in {over} alone; they also differ in {', '.join(most)}: name "
        f"what is to be averaged over, too, as --over {over},{most[0]}"
    )
