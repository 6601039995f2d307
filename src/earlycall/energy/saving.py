"""What runs used, and what choosing among them early or stopping them early would have saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.curves import CurveSet, Direction, Prefixes
from earlycall.curves.columns import training_loss
from earlycall.energy.clocked import seconds_of
from earlycall.energy.joining import KWH, Joined, Paths, with_energy
from earlycall.errors import InputError
from earlycall.ranking import DEFAULT_SCORE, rank
from earlycall.stopping.replay import stops

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BUDGET = 0.1  # part of training after which is chosen
RULE = "gain:0.1"  # the rule of a `Monitor` that is given none


@dataclass(frozen=True)
class Energy:
    """What runs used and what calling them early would have saved.

    Attributes:
        table: a row per run: ``group``, ``run``, ``seconds``, ``joules``, ``kwh``, ``usd`` (null
            without a price), ``gco2e`` (null without a carbon intensity), ``mean_watts``,
            ``source``, ``covered``, ``estimated`` and ``reason`` as in `Joined.facts`.
        savings: a row per group and ``way`` (``choose``: rank the runs of the group at the budget
            and train only the best ``keep`` to their end; ``stop``: apply the rule to each run):
            ``runs``, ``used_kwh``, ``would_kwh``, ``saved_kwh``, ``saved_pct``, ``saved_usd``,
            ``saved_gco2e``, ``regret_pct`` (how much of the group's best run's gain would have
            been missed; for ``stop`` the mean over runs of their own) and ``winner_kept``.
        curves: the runs whose energy is known, with ``joules`` (and ``usd``).
        metric: the loss by which they are judged.
        score: by which is chosen.
        budget: the part of training after which is chosen.
        keep: how many runs of a group are chosen.
        rule: by which is stopped.
        price: of a kWh, or None.
        carbon: grams of CO2e per kWh, or None.
        notes: sentences on what was assumed.
    """

    table: pl.DataFrame
    savings: pl.DataFrame
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
        used = float(self.table["joules"].sum() or 0.0) / KWH
        known = self.table["joules"].count()
        said = [f"{known} runs used {self.amounts(used)}"]
        ways = {
            "choose": f"choosing {self._kept()} by {self.score} at {self.budget:.0%}",
            "stop": f"stopping each run by {self.rule}",
        }
        for way, words in ways.items():
            rows = self.savings.filter(pl.col("way") == way)
            if not rows.height:
                continue
            saved, whole = float(rows["saved_kwh"].sum()), float(rows["used_kwh"].sum())
            kept, groups = int(rows["winner_kept"].sum()), rows.height
            winner = "the best run is kept" if kept else "the best run is lost"
            if groups > 1:
                winner = f"the best run is kept in {kept} of {groups} groups"
            said.append(
                f"{words} would have saved {self.amounts(saved)}, {saved / whole:.0%}, at a regret "
                f"of {float(rows['regret_pct'].mean()):.2g} %; {winner}"  # type: ignore[arg-type]
                if whole > 0
                else f"{words} would have saved nothing"
            )
        return ". ".join(sentence[0].upper() + sentence[1:] for sentence in said) + "."

    def amounts(self, kwh: float) -> str:
        """An energy in words, with its money and CO2e where they are known."""
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

    def plot(self, **options: Any) -> Figure:
        """A figure of the loss along the energy; options of `earlycall.plots.energy`.

        Raises:
            InputError: if plotly is not installed.
        """
        from earlycall.plots import energy

        return energy(self.curves, **({"metric": self.metric} | options))

    def _kept(self) -> str:
        return "the best run of each group" if self.keep == 1 else f"the best {self.keep}"


def energy_used(
    runs: Paths | CurveSet | Joined,
    *,
    power: Paths | None = None,
    price: float | None = None,
    carbon: float | None = None,
    offset: float | None = None,
    zone: str | None = None,
    pattern: str | None = None,
    metric: str | None = None,
    direction: Direction | None = None,
    score: str = DEFAULT_SCORE,
    budget: float = BUDGET,
    keep: int = 1,
    rule: str = RULE,
) -> Energy:
    """What runs used, and what calling them early would have saved.

    Args:
        runs: paths (see `with_energy`), or runs that have their ``joules``.
        power: as in `with_energy`.
        price: of a kWh.
        carbon: grams of CO2e per kWh; by default what CodeCarbon's log says.
        offset: as in `with_energy`.
        zone: as in `with_energy`.
        pattern: as in `with_energy`.
        metric: the loss by which runs are judged; by default the validation loss where there is
            one, else the training loss.
        direction: whether less ("min") or more ("max") of the metric is better; by default its name
            tells.
        score: by which runs are chosen.
        budget: the part of training after which they are chosen.
        keep: how many of each group are then trained to their end.
        rule: by which runs are stopped.

    Raises:
        InputError: if the energy of no run is known, with the reason, or an argument cannot be
            used.

    Examples:
        >>> steps = np.arange(1, 101)
        >>> table = pl.DataFrame({
        ...     "run": ["a"] * 100 + ["b"] * 100, "step": [*steps, *steps],
        ...     "loss": [*(1 / steps), *(1 / steps + 0.2)], "joules": [*steps * 36.0] * 2})
        >>> used = energy_used(CurveSet.from_frame(table), carbon=400, score="last_loss")
        >>> used.savings.select("way", "used_kwh", "saved_pct", "winner_kept").rows()[0]
        ('choose', 0.002, 44.9..., True)
        >>> print(used.summary())
        2 runs used 2 Wh (0.8 g CO2e). Choosing the best run of each group by last_loss at 10% ...
    """
    for number, what in ((price, "price of a kWh"), (carbon, "carbon intensity")):
        if number is not None and not 0 <= number < np.inf:
            raise InputError(f"a {what} of {number:g} cannot be used; give a number of at least 0")
    if not 0 < budget <= 1:
        raise InputError(f"budget {budget:g} is outside (0, 1]; write 0.1 or 10%")
    if keep < 1:
        raise InputError(f"{keep} runs cannot be kept; keep at least 1")
    joined = _joined(runs, power, price, offset, zone, pattern)
    known = _priced(joined.measured, price)
    found = known.watched(metric)
    known = known.directed(found, direction)
    intensity = joined.carbon if carbon is None else carbon
    savings = [*_chosen(known, found, score, budget, keep), *_stopped(known, found, rule)]
    return Energy(
        table=_table(joined, known, price, intensity),
        savings=_savings(savings, price, intensity),
        curves=known, metric=found, score=score, budget=budget, keep=keep, rule=rule,
        price=price, carbon=intensity, notes=joined.notes,
    )  # fmt: skip


def _joined(
    runs: Paths | CurveSet | Joined, power: Paths | None, price: float | None,
    offset: float | None, zone: str | None, pattern: str | None,
) -> Joined:  # fmt: skip
    if isinstance(runs, Joined):
        return runs
    if not isinstance(runs, CurveSet):
        return with_energy(
            runs, power=power, price=price, offset=offset, zone=zone, pattern=pattern
        )
    has = "joules" in runs.observations.columns
    by_run = runs.observations.group_by("run_id", maintain_order=True)
    counts = by_run.agg(pl.col("joules").count() if has else pl.lit(0).alias("joules"))
    source = pl.when(pl.col("joules") > 0).then(pl.lit("recorded"))
    facts = runs.runs.select("group", "run").with_row_index("run_id")
    facts = facts.join(counts, on="run_id", how="left", maintain_order="left")
    return Joined(
        runs,
        facts.select(
            "group", "run", source.alias("source"),
            pl.lit(None, pl.Float64).alias("covered"), pl.lit(None, pl.Boolean).alias("estimated"),
            pl.Series("seconds", _seconds(runs), dtype=pl.Float64),
            pl.when(source.is_null()).then(pl.lit("it logged no joules")).alias("reason"),
        ),
    )  # fmt: skip


def _seconds(curves: CurveSet) -> list[float | None]:
    out: list[float | None] = [None] * len(curves)
    for (run_id,), rows in curves.observations.group_by("run_id", maintain_order=True):
        found = seconds_of(rows)
        out[int(str(run_id))] = None if found is None else float(found[-1])
    return out


def _priced(curves: CurveSet, price: float | None) -> CurveSet:
    if price is None:
        return curves
    rows = curves.observations.with_columns(usd=pl.col("joules") * (price / KWH))
    return replace(curves, observations=rows)


def _table(
    joined: Joined, known: CurveSet, price: float | None, carbon: float | None
) -> pl.DataFrame:
    """What each run used."""
    names = known.runs.select("group", "run").with_row_index("run_id")
    used = known.observations.group_by("run_id").agg(pl.col("joules").drop_nulls().last())
    used = names.join(used, on="run_id", how="left").drop("run_id")
    table = joined.facts.join(used, on=["group", "run"], how="left", maintain_order="left")
    kwh = pl.col("joules") / KWH
    watts = pl.when(pl.col("seconds") > 0).then(pl.col("joules") / pl.col("seconds"))
    return table.select(
        "group", "run", "seconds", "joules", kwh.alias("kwh"),
        (kwh * pl.lit(price, pl.Float64)).alias("usd"),
        (kwh * pl.lit(carbon, pl.Float64)).alias("gco2e"), watts.alias("mean_watts"),
        "source", "covered", "estimated", "reason",
    )  # fmt: skip


def _full(prefixes: Prefixes) -> dict[str, float]:
    """The joules of each run's whole training."""
    joules = prefixes.ragged("joules")
    return {
        run: float(np.nanmax(spent, initial=0.0))
        for run, spent in zip(prefixes.runs, joules, strict=True)
    }


def _best(prefixes: Prefixes) -> dict[str, float]:
    """The lowest finite loss of each run, infinity of one that has none."""
    return {
        run: float(np.min(loss[np.isfinite(loss)], initial=np.inf))
        for run, loss in zip(prefixes.runs, prefixes.loss, strict=True)
    }


def _chosen(
    curves: CurveSet, metric: str, score: str, budget: float, keep: int
) -> Iterator[dict[str, Any]]:
    """What ranking at the budget would have saved in each group of several runs."""
    for whole in curves.prefixes(metric=metric):
        if len(whole) <= keep:
            continue
        group = curves.select(group=whole.group)
        ranking = rank(group, score=score, budget=budget, metric=_early(group, metric))
        order = ranking.table.filter(pl.col("rank").is_not_null())["run"].to_list()
        chosen = set(order[:keep]) or set(whole.runs)
        seen = group.prefix(budget=budget, metric=ranking.metric).prefixes(metric=metric)[0]
        full, early, best = _full(whole), _full(seen), _best(whole)
        would = sum(full[run] if run in chosen else early[run] for run in whole.runs)
        winner = min(best, key=best.__getitem__)
        gain = _first(whole, winner) - best[winner]
        missed = min(best[run] for run in chosen) - best[winner]
        yield {
            "group": whole.group, "way": "choose", "runs": len(whole),
            "used": sum(full.values()), "would": would,
            "regret_pct": 100 * missed / gain if gain > 0 and np.isfinite(missed) else None,
            "winner_kept": best[winner] in {best[run] for run in chosen},
        }  # fmt: skip


def _early(curves: CurveSet, judged: str) -> str:
    """The metric to choose by: the training loss, else the one that runs are judged by."""
    return training_loss(curves.metrics)[0] or judged


def _first(prefixes: Prefixes, run: str) -> float:
    loss = prefixes.loss[prefixes.runs.index(run)]
    return float(loss[0]) if len(loss) else np.nan


def _stopped(curves: CurveSet, metric: str, rule: str) -> Iterator[dict[str, Any]]:
    """What the stop rule would have saved in each group."""
    table = stops(curves, rule, metric=metric, cost="joules")
    for whole in curves.prefixes(metric=metric):
        rows = table.filter(pl.col("group") == whole.group)
        if not rows.height:
            continue
        full, best = _full(whole), _best(whole)
        saved = {run: cost - at for run, at, cost in rows.select("run", "at", "full").iter_rows()}
        winner = min(best, key=best.__getitem__)
        regret = dict(rows.select("run", "regret_pct").iter_rows())
        yield {
            "group": whole.group, "way": "stop", "runs": len(whole),
            "used": sum(full.values()), "would": sum(full.values()) - sum(saved.values()),
            "regret_pct": float(np.mean(list(regret.values()))),
            "winner_kept": regret.get(winner, 0.0) <= 1,
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
