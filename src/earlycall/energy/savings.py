"""What runs used, and what choosing among them early or stopping them early would have saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earlycall.curves import CurveSet, Direction, Prefixes
from earlycall.curves.budget import Budget, as_part
from earlycall.curves.columns import training_loss
from earlycall.curves.horizon import UNKNOWN_END, assumptions
from earlycall.energy.forecasts import forecasts
from earlycall.energy.join import (
    EnergyTable,
    Paths,
    check_not_negative,
    recorded_energy,
    with_energy,
)
from earlycall.errors import InputError
from earlycall.formatting import duration
from earlycall.ranking.rank import DEFAULT_SCORE, rank
from earlycall.readers.power.trace import KWH
from earlycall.results import Result, draw
from earlycall.stopping.monitor import DEFAULT_RULE
from earlycall.stopping.replay import stops

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BUDGET = 0.1  # part of training after which runs are chosen


@dataclass(frozen=True)
class Energy(Result):
    """What runs used and what calling them early would have saved.

    Attributes:
        table: a row per run: ``group``, ``run``, ``seconds``, ``joules``, ``kwh``, ``usd`` (null
            without a price), ``gco2e`` (null without a carbon intensity), ``mean_watts``,
            ``source``, ``covered``, ``estimated`` and ``reason`` as in `EnergyTable.table`.
        savings: a row per group and ``way`` (``choose``: rank the runs of the group at the budget
            and train only the best ``keep`` to their end; ``stop``: apply the rule to each run):
            ``runs``, ``used_kwh``, ``would_kwh``, ``saved_kwh``, ``saved_pct``, ``saved_usd``,
            ``saved_gco2e``, ``regret_pct`` (how much of the group's best run's gain would have
            been missed; for ``stop`` the mean over runs of their own) and ``winner_kept``. Only
            ``used_kwh`` where the end of the group's training is unknown.
        forecasts: a row per run that did not get to the end of its training, where that is known:
            what it would have cost there (see `earlycall.energy.forecasts.forecasts`).
        curves: the runs with known energy, with ``joules`` (and ``usd``).
        metric: the loss by which they are judged.
        score: the score by which runs are chosen.
        budget: the part of training after which they are chosen.
        keep: how many runs of a group are chosen.
        rule: the stop rule.
        price: price per kWh, or None.
        carbon: grams of CO2e per kWh, or None.
        notes: sentences on what was assumed.
    """

    table: pl.DataFrame
    savings: pl.DataFrame
    forecasts: pl.DataFrame
    curves: CurveSet
    metric: str
    score: str
    budget: float
    keep: int
    rule: str
    price: float | None
    carbon: float | None
    notes: tuple[str, ...]

    def summary(self) -> str:
        """What was used, and what each way would have saved, in sentences."""
        joules = self.table["joules"].drop_nulls().to_numpy()
        sentences = [f"{len(joules)} runs used {self.amounts(joules.sum() / KWH)}"]
        best = "the best run of each group" if self.keep == 1 else f"the best {self.keep}"
        ways = {
            "choose": f"choosing {best} by {self.score} at {self.budget:.0%}",
            "stop": f"stopping each run by {self.rule}",
        }
        for way, description in ways.items():
            rows = self.savings.filter(pl.col("way") == way, pl.col("would_kwh").is_not_null())
            if not rows.height:
                continue
            total, mean = (found.row(0, named=True) for found in (rows.sum(), rows.mean()))
            saved, used, kept = total["saved_kwh"], total["used_kwh"], total["winner_kept"]
            if used <= 0:
                sentences.append(f"{description} would have saved nothing")
                continue
            winner = "the best run is kept" if kept else "the best run is lost"
            if rows.height > 1:
                winner = f"the best run is kept in {kept} of {rows.height} groups"
            sentences.append(
                f"{description} would have saved {self.amounts(saved)}, {saved / used:.0%}, at a "
                f"regret of {mean['regret_pct'] or 0:.2g} %; {winner}"
            )
        if self.savings["would_kwh"].null_count():
            sentences.append(UNKNOWN_END)
        if self.forecasts["joules"].count():
            sentences.append(self._forecast())
        return ". ".join(sentence[0].upper() + sentence[1:] for sentence in sentences) + "."

    def _forecast(self) -> str:
        """What the runs that are not at their end would have used there, and all runs with them."""
        known = self.forecasts.drop_nulls("joules")
        total: dict[str, float] = known.select(pl.selectors.float()).sum().row(0, named=True)
        low, expected, high = (total[f"joules{end}"] / KWH for end in ("_low", "", "_high"))
        runs = "1 run" if known.height == 1 else f"{known.height} runs"
        hours = ""
        if "seconds" in known.columns and not known["seconds"].null_count():
            times = [duration(total[f"seconds{end}"]) for end in ("", "_low", "_high")]
            hours = "{} ({} to {}) and ".format(*times)
        sentence = (
            f"{runs} not at the end yet would use {hours}{self.amounts(expected)} until there "
            f"({self.amounts(low)} to {self.amounts(high)})"
        )
        if self.savings["would_kwh"].null_count():
            return sentence
        others = self.table.join(known, on=["group", "run"], how="anti")["kwh"].sum()
        return f"{sentence}, and all runs {self.amounts(float(others) + expected)}"

    def amounts(self, kwh: float) -> str:
        """An energy with its unit, and with its money and CO2e if they are known."""
        size = f"{kwh:.3g} kWh" if kwh >= 0.1 else f"{1000 * kwh:.3g} Wh"
        if 0 < kwh < 1e-4:
            size = f"{kwh * KWH:.3g} J"
        more = []
        if self.price is not None:
            more.append(f"{kwh * self.price:.3g} usd")
        if self.carbon is not None:
            grams = kwh * self.carbon
            more.append(f"{grams / 1000:.3g} kg CO2e" if grams >= 1000 else f"{grams:.3g} g CO2e")
        return f"{size} ({', '.join(more)})" if more else size

    def to_dict(self) -> dict[str, Any]:
        """``runs`` and ``savings``, the rows of the tables, and how they were computed."""
        names = ("metric", "score", "budget", "keep", "rule", "price", "carbon")
        return {name: getattr(self, name) for name in names} | {
            "notes": list(self.notes),
            "summary": self.summary(),
            "runs": self.table.to_dicts(),
            "savings": self.savings.to_dicts(),
            "forecasts": self.forecasts.to_dicts(),
        }

    def plot(self, **options: Any) -> Figure:
        """A figure of the loss along the energy; options of `earlycall.plots.energy`.

        Raises:
            InputError: if plotly is not installed.
        """
        return draw("energy", self.curves, **({"metric": self.metric} | options))


def energy(
    runs: Paths | CurveSet | EnergyTable,
    *,
    power: Paths | None = None,
    price: float | None = None,
    carbon: float | None = None,
    power_offset: float | None = None,
    zone: str | None = None,
    pattern: str | None = None,
    metric: str | None = None,
    direction: Direction | None = None,
    score: str = DEFAULT_SCORE,
    budget: Budget = BUDGET,
    horizon: float | None = None,
    keep: int = 1,
    rule: str = DEFAULT_RULE,
    burn_in: int | None = None,
) -> Energy:
    """What runs used, and what calling them early would have saved.

    Args:
        runs: paths (see `with_energy`), or runs that have their ``joules``.
        power: as in `with_energy`.
        price: price per kWh.
        carbon: grams of CO2e per kWh; by default what CodeCarbon's log says.
        power_offset: as in `with_energy`.
        zone: as in `with_energy`.
        pattern: as in `with_energy`.
        metric: the loss by which runs are judged; by default the validation loss where there is
            one, else the training loss.
        direction: whether less ("min") or more ("max") of the metric is better; by default told
            from its name.
        score: the score by which runs are chosen.
        budget: the part of training after which they are chosen.
        horizon: the step at which training ends; by default as in `earlycall.rank`. Where it is
            unknown, nothing is said of savings.
        keep: how many runs of each group are then trained to completion.
        rule: the rule by which runs are stopped.
        burn_in: the epochs that an LCGA score ignores; by default 2, as published.

    Raises:
        InputError: if no energy is known, with the reason, or an argument cannot be used.

    Examples:
        >>> steps = np.arange(1, 101)
        >>> table = pl.DataFrame({
        ...     "run": ["a"] * 100 + ["b"] * 100, "step": [*steps, *steps],
        ...     "loss": [*(1 / steps), *(1 / steps + 0.2)], "joules": [*steps * 36.0] * 2})
        >>> used = energy(CurveSet.from_frame(table), carbon=400, horizon=100, score="last_loss")
        >>> used.savings.select("way", "used_kwh", "saved_pct", "winner_kept").rows()[0]
        ('choose', 0.002, 44.9..., True)
        >>> print(used.summary())
        2 runs used 2 Wh (0.8 g CO2e). Choosing the best run of each group by last_loss at 10% ...
    """
    check_not_negative(price, "price of a kWh")
    check_not_negative(carbon, "carbon intensity")
    part = as_part(budget)
    if keep < 1:
        raise InputError(f"{keep} runs cannot be kept; keep at least 1")
    if isinstance(runs, CurveSet):
        runs = recorded_energy(runs)
    elif not isinstance(runs, EnergyTable):
        runs = with_energy(runs, power=power, power_offset=power_offset, zone=zone, pattern=pattern)
    measured = runs.priced(price).measured
    metric = measured.watched(metric)
    measured = measured.directed(metric, direction).prefix(horizon=horizon, metric=metric)
    carbon = runs.carbon if carbon is None else carbon
    savings = [
        *_by_choosing(measured, metric, score, part, keep, burn_in),
        *_by_stopping(measured, metric, rule),
    ]
    return Energy(
        table=_used(runs.table, measured, price, carbon),
        savings=_savings(savings, price, carbon),
        forecasts=forecasts(measured),
        curves=measured, metric=metric, score=score, budget=part, keep=keep, rule=rule,
        price=price, carbon=carbon,
        notes=(*runs.notes, *assumptions(measured.horizons, counted=False)),
    )  # fmt: skip


def _used(
    table: pl.DataFrame, measured: CurveSet, price: float | None, carbon: float | None
) -> pl.DataFrame:
    """What each run used."""
    names = measured.runs.select("group", "run").with_row_index("run_id")
    used = measured.observations.group_by("run_id").agg(pl.col("joules").drop_nulls().last())
    used = names.join(used, on="run_id", how="left").drop("run_id")
    kwh = pl.col("joules") / KWH
    watts = pl.when(pl.col("seconds") > 0).then(pl.col("joules") / pl.col("seconds"))
    return table.join(used, on=["group", "run"], how="left", maintain_order="left").select(
        "group", "run", "seconds", "joules", kwh.alias("kwh"),
        (kwh * pl.lit(price, pl.Float64)).alias("usd"),
        (kwh * pl.lit(carbon, pl.Float64)).alias("gco2e"), watts.alias("mean_watts"),
        "source", "covered", "estimated", "reason",
    )  # fmt: skip


def _joules(prefixes: Prefixes) -> NDArray[np.float64]:
    """The joules of each run, shape (m,)."""
    return np.array([np.nanmax(spent, initial=0.0) for spent in prefixes.ragged("joules")])


def _best(prefixes: Prefixes) -> NDArray[np.float64]:
    """The lowest finite loss of each run, infinity if there is none, shape (m,)."""
    return np.array([np.min(loss[np.isfinite(loss)], initial=np.inf) for loss in prefixes.loss])


def _end_unknown(prefixes: Prefixes, way: str) -> dict[str, Any]:
    """What is known of a group whose training may not have ended."""
    used = _joules(prefixes).sum()
    return {"group": prefixes.group, "way": way, "runs": len(prefixes), "used": used}


def _by_choosing(
    curves: CurveSet, metric: str, score: str, budget: float, keep: int, burn_in: int | None
) -> Iterator[dict[str, Any]]:
    """What ranking at the budget would have saved in each group of several runs."""
    early_metric = training_loss(curves.metrics)[0] or metric
    for prefixes in curves.prefixes(metric=metric):
        if len(prefixes) <= keep:
            continue
        if prefixes.horizon_from is None:
            yield _end_unknown(prefixes, "choose")
            continue
        group = curves.select(group=prefixes.group)
        ranking = rank(group, score=score, budget=budget, metric=early_metric, burn_in=burn_in)
        ranked = ranking.table.filter(pl.col("rank").is_not_null())["run"].to_list()
        chosen = np.isin(prefixes.runs, ranked[:keep] or prefixes.runs)
        early = group.prefix(budget=budget, metric=ranking.metric).prefixes(metric=metric)[0]
        used, best = _joules(prefixes), _best(prefixes)
        winner = int(np.argmin(best))
        gain = prefixes.loss.first()[winner] - best[winner]
        missed = best[chosen].min() - best[winner]
        yield {
            "group": prefixes.group, "way": "choose", "runs": len(prefixes),
            "used": used.sum(), "would": np.where(chosen, used, _joules(early)).sum(),
            "regret_pct": 100 * missed / gain if gain > 0 and np.isfinite(missed) else None,
            "winner_kept": bool((best[chosen] == best[winner]).any()),
        }  # fmt: skip


def _by_stopping(curves: CurveSet, metric: str, rule: str) -> Iterator[dict[str, Any]]:
    """What the stop rule would have saved in each group."""
    table = stops(curves, rule, metric=metric, cost="joules")
    for prefixes in curves.prefixes(metric=metric):
        rows = table.filter(pl.col("group") == prefixes.group)
        if not rows.height:
            continue
        if prefixes.horizon_from is None:
            yield _end_unknown(prefixes, "stop")
            continue
        used = _joules(prefixes).sum()
        winner = prefixes.runs[int(np.argmin(_best(prefixes)))]
        regret = rows.filter(pl.col("run") == winner)["regret_pct"]
        yield {
            "group": prefixes.group, "way": "stop", "runs": len(prefixes),
            "used": used, "would": used - (rows["full"] - rows["at"]).sum(),
            "regret_pct": rows["regret_pct"].mean(), "winner_kept": not (regret > 1).any(),
        }  # fmt: skip


def _savings(rows: list[dict[str, Any]], price: float | None, carbon: float | None) -> pl.DataFrame:
    schema: dict[str, Any] = {
        "group": pl.String, "way": pl.String, "runs": pl.Int64, "used": pl.Float64,
        "would": pl.Float64, "regret_pct": pl.Float64, "winner_kept": pl.Boolean,
    }  # fmt: skip
    saved = (pl.col("used") - pl.col("would")) / KWH
    return pl.DataFrame(rows, schema=schema).select(
        "group", "way", "runs", (pl.col("used") / KWH).alias("used_kwh"),
        (pl.col("would") / KWH).alias("would_kwh"), saved.alias("saved_kwh"),
        (100 * (1 - pl.col("would") / pl.col("used"))).fill_nan(None).alias("saved_pct"),
        (saved * pl.lit(price, pl.Float64)).alias("saved_usd"),
        (saved * pl.lit(carbon, pl.Float64)).alias("saved_gco2e"), "regret_pct", "winner_kept",
    )  # fmt: skip
