"""Stop rules replayed on finished runs: what each would have saved and lost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

import numpy as np
import polars as pl

from earlycall.curves import CurveSet, Direction, Prefixes
from earlycall.curves.prefixes import costs_of
from earlycall.errors import InputError
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.results import Result
from earlycall.stopping.gain import GainRule
from earlycall.stopping.monitor import Monitor
from earlycall.stopping.parse import as_rule
from earlycall.stopping.rule import Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Every = int | Literal["auto"]

DEFAULT_RULES = (
    "gain:0.02", "gain:0.05", "gain:0.1", "gain:0.2",
    "patience:1", "patience:3", "patience:5", "patience:10",
)  # fmt: skip

MIN_GAIN = 0.02  # runs that gain less than 2 % of their first loss have no gain to judge by
MAX_WINNER_REGRET = 1.0  # percent of its gain that the winner may be stopped short
MAX_EPOCHS = 600  # a longer log is one of steps rather than of epochs
THRESHOLDS = tuple(float(f"{t:.3g}") for t in np.geomspace(0.001, 1.25, 40))
SCHEMA: dict[str, Any] = {
    "set": pl.String, "group": pl.String, "rule": pl.String, "n": pl.Int64,
    "cost_pct": pl.Float64, "regret_pct": pl.Float64, "winner_kept": pl.Boolean,
    "n_no_gain": pl.Int64, "n_too_short": pl.Int64, "metric": pl.String, "cost": pl.String,
    "every": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Replay(Result):
    """What stop rules would have done to finished runs.

    Attributes:
        table: a row per set, group and rule: ``n`` runs judged; ``cost_pct`` = cost at the stop /
            full cost; ``regret_pct`` = (best loss until the stop − best loss of the full run) /
            (first − best loss of the full run), both means over runs, in percent; ``winner_kept``:
            the group's best run was not stopped more than 1 % of its gain short; ``n_no_gain`` runs
            whose best loss is less than 2 % below their first, left out; ``n_too_short`` runs with
            fewer than two losses, left out; the ``metric``, the ``cost`` and how many losses were
            averaged (``every``).
        choose: the mean regret, in percent, below which the cheapest gain rule was looked for.
        choice: that rule's means over the groups, then sets; None where it was not looked for, or
            no gain rule has so little regret.
    """

    table: pl.DataFrame
    choose: float | None = None
    choice: dict[str, Any] | None = None

    _figure = "cost_against_regret"

    def means(self) -> pl.DataFrame:
        """The mean over the groups of each set: a row per set and rule."""
        return self.table.group_by("set", "rule", maintain_order=True).agg(
            pl.len().alias("groups"),
            pl.col("n").sum(),
            pl.col("cost_pct", "regret_pct").mean(),
            pl.col("winner_kept").cast(pl.Float64).mean(),
            pl.col("n_no_gain").sum(),
        )

    def summary(self) -> str:
        """What the rule that was looked for, or else the cheapest harmless one, costs and loses."""
        if self.choose is not None:
            if self.choice is None:
                return f"No gain rule has a mean regret below {self.choose:g} % on these runs."
            return (
                f"{self.choice['rule']} would have spent {self.choice['cost_pct']:.0f} % of the "
                f"cost at {self.choice['regret_pct']:.1f} % regret: the cheapest gain rule below "
                f"{self.choose:g} % on these runs; on new ones expect somewhat more."
            )
        by_rule = self.means().group_by("rule", maintain_order=True)
        means = by_rule.agg(pl.col("cost_pct", "regret_pct", "winner_kept").mean())
        harmless = means.filter(pl.col("winner_kept") == 1).sort("cost_pct")
        alone = self.means()["groups"].sum() == by_rule.len().height
        best = "the best run" if alone else "the best run of every group"
        if not harmless.height:
            return f"No rule would have kept {best}."
        first = harmless.row(0, named=True)
        return (
            f"{first['rule']} is the cheapest rule that keeps {best}: "
            f"{first['cost_pct']:.0f} % of the cost at {first['regret_pct']:.1f} % regret."
        )

    @staticmethod
    def winner(row: Mapping[str, Any]) -> str:
        """Whether the best run was kept: yes or no of one group, in how many of several.

        Args:
            row: of ``table`` or of `means`.
        """
        groups = row.get("groups", 1)
        if groups == 1:
            return "yes" if row["winner_kept"] else "no"
        return f"{round(groups * row['winner_kept'])} of {groups}"

    def to_dict(self) -> dict[str, Any]:
        """``rows``: the rows of the table; and the ``choice``, if it was looked for."""
        rows = {"rows": self.table.to_dicts()}
        return rows if self.choose is None else rows | {"choice": self.choice}


def replay(
    sets: Any,
    rules: Sequence[str | Rule] = DEFAULT_RULES,
    *,
    metric: str | None = None,
    direction: Direction | None = None,
    cost: str = "step",
    every: Every | None = None,
    choose: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Apply stop rules to finished runs, as a `Monitor` would have.

    Args:
        sets: a curve set, or several.
        rules: rules as text or as objects; by default some of gain and patience.
        metric: the loss that is watched and judged; by default the validation loss where the set
            has one, else the training loss.
        direction: whether less ("min") or more ("max") of the metric is better; by default its name
            tells.
        cost: step, epoch, seconds, joules or usd.
        every: as in `Monitor`; by default 1, and ``"auto"`` for groups whose log has several
            losses an epoch or more than 600 losses a run.
        choose: find the cheapest gain threshold whose mean regret is below so many percent.
        progress: called with (done, total) after each group.

    Raises:
        InputError: if a rule, metric or cost is unknown, or no run can be judged.

    Examples:
        >>> curves = CurveSet.from_losses({"a": [4.0, 2.0, 2.0, 1.0], "b": [4.0, 3.0, 2.0, 2.0]})
        >>> replay(curves, ["patience:1"]).table.select("cost_pct", "regret_pct").rows()
        [(87.5, 16.666666666666664)]
    """
    texts = [rule if isinstance(rule, str) else str(rule) for rule in rules]
    made = [as_rule(rule) for rule in rules]
    if not made and choose is None:
        raise InputError("no rule was given; name one, for example gain:0.1")
    if choose is not None and not 0 < choose < 100:
        raise InputError(f"a regret of {choose:g} % cannot be chosen by; write for example 2")
    several = [*map(as_curve_set, sets if isinstance(sets, list | tuple) else [sets])]
    total, done = sum(curves.runs["group"].n_unique() for curves in several), 0
    tried = [GainRule(t) for t in THRESHOLDS] if choose is not None else []
    rows, trials = [], []
    for curves in several:
        watched = curves.watched(metric)
        for group in judged_groups(curves.directed(watched, direction), watched, cost, every):
            outcomes = _outcomes(group, [*made, *tried])
            found = [group.row(outcome) for outcome in outcomes]
            rows += [group.facts(text) | row for text, row in zip(texts, found, strict=False)]
            trials += [
                group.facts(str(rule)) | row
                for rule, row in zip(tried, found[len(made) :], strict=True)
            ]
            done += 1
            if progress is not None:
                progress(done, total)
    if not rows and not trials:
        raise InputError(
            "no run can be judged: each has fewer than two losses, or a best loss less than 2 % "
            "below its first"
        )
    table = pl.DataFrame(rows, schema=SCHEMA)
    return Replay(table, choose, None if choose is None else _choice(trials, choose))


def stops(
    curves: CurveSet, rule: str | Rule, *, metric: str | None = None, cost: str = "step"
) -> pl.DataFrame:
    """Where a stop rule would have stopped each finished run that can be judged.

    Args:
        curves: finished runs.
        rule: as text or object.
        metric: as in `replay`.
        cost: step, epoch, seconds, joules or usd.

    Returns:
        A row per run: ``group``, ``run``, the cost ``at`` the stop and of the ``full`` run, and
        ``regret_pct`` (see `Replay`).

    Raises:
        InputError: if the rule, metric or cost is unknown.

    Examples:
        >>> curves = CurveSet.from_losses({"a": [4.0, 2.0, 2.0, 1.0]})
        >>> stops(curves, "patience:1").row(0)
        ('all', 'a', 3.0, 4.0, 33.33333333333333)
    """
    made = as_rule(rule)
    rows = []
    for group in judged_groups(curves, metric, cost, None):
        (outcome,) = _outcomes(group, [made])
        for run, costs, (part, regret) in zip(group.runs, group.costs, outcome, strict=True):
            full = float(costs[-1])
            rows.append((group.prefixes.group, run, float(part) * full, full, 100 * float(regret)))
    kinds = {"group": pl.String, "run": pl.String, "at": pl.Float64, "full": pl.Float64,
             "regret_pct": pl.Float64}  # fmt: skip
    return pl.DataFrame(rows, schema=kinds, orient="row")


@dataclass(frozen=True)
class JudgedGroup:
    """The runs of a group that can be judged: each until it ends or diverges."""

    set: str
    prefixes: Prefixes
    runs: list[str]
    losses: list[Floats]
    costs: list[Floats]
    n_no_gain: int
    n_too_short: int
    cost: str
    every: Every

    def facts(self, rule: str) -> dict[str, Any]:
        """What a row of `Replay.table` says beside the outcome."""
        return {
            "set": self.set, "group": self.prefixes.group, "rule": rule, "n": len(self.losses),
            "n_no_gain": self.n_no_gain, "n_too_short": self.n_too_short,
            "metric": self.prefixes.metric, "cost": self.cost, "every": str(self.every),
        }  # fmt: skip

    def row(self, outcome: Floats) -> dict[str, Any]:
        """Means over runs of (cost, regret), and whether the winner was kept."""
        winner = int(np.argmin([loss.min() for loss in self.losses]))
        cost, regret = (100 * outcome.mean(axis=0)).tolist()
        return {
            "cost_pct": cost,
            "regret_pct": regret,
            "winner_kept": bool(100 * outcome[winner, 1] <= MAX_WINNER_REGRET),
        }


def judged_groups(
    curves: CurveSet, metric: str | None, cost: str, every: Every | None
) -> Iterator[JudgedGroup]:
    """The groups of a set with at least one run that can be judged."""
    for prefixes in curves.prefixes(metric=curves.watched(metric)):
        runs, losses, costs, n_no_gain, n_too_short = [], [], [], 0, 0
        for run, loss, spent in zip(
            prefixes.runs, prefixes.loss, costs_of(prefixes, cost), strict=True
        ):
            bad = np.flatnonzero(~np.isfinite(loss))
            end = int(bad[0]) if len(bad) else len(loss)
            with np.errstate(over="ignore"):
                gain = loss[0] - loss[:end].min() if end else 0.0
            if end < 2:
                n_too_short += 1
            elif gain <= 0 or gain < MIN_GAIN * abs(loss[0]):
                n_no_gain += 1
            elif spent[end - 1] <= 0:
                raise InputError(
                    f"run {run!r}: its {cost} stay at {spent[end - 1]:g}; choose another cost"
                )
            else:
                runs.append(run)
                losses.append(loss[:end])
                costs.append(spent[:end])
        if losses:
            level = _level(prefixes) if every is None else every
            yield JudgedGroup(
                curves.name, prefixes, runs, losses, costs, n_no_gain, n_too_short, cost, level
            )


def _level(prefixes: Prefixes) -> Every:
    """Whether a group's log has a loss an epoch (1) or many ("auto")."""
    lengths = prefixes.loss.lengths
    if np.median(lengths) > MAX_EPOCHS:
        return "auto"
    if not prefixes.has("epoch"):
        return 1
    epochs = [len(np.unique(epoch)) for epoch in prefixes.epoch]
    return "auto" if lengths.sum() > 1.5 * max(sum(epochs), 1) else 1


def _outcomes(group: JudgedGroup, rules: Sequence[Rule]) -> list[Floats]:
    """For each rule, an array (runs, 2) of cost and regret as parts of the whole."""
    thresholds = [rule.threshold for rule in rules if _shares(rule)]
    points = np.empty((len(rules), len(group.losses), 2))
    for i, (loss, cost) in enumerate(zip(group.losses, group.costs, strict=True)):
        best = np.minimum.accumulate(loss)
        losses, costs = loss.tolist(), cost.tolist()
        gains = iter(gain_stops(losses, costs, thresholds, group.every))
        stops = [
            next(gains) if _shares(rule) else _stop(losses, costs, rule, group) for rule in rules
        ]
        points[:, i, 0] = cost[stops] / cost[-1]
        with np.errstate(over="ignore", invalid="ignore"):
            points[:, i, 1] = (best[stops] - best[-1]) / (loss[0] - best[-1])
    return list(points)


def _shares(rule: Rule) -> TypeGuard[GainRule]:
    """Whether one pass serves the rule among others that differ by their threshold only."""
    return type(rule) is GainRule


def _stop(losses: list[float], costs: list[float], rule: Rule, group: JudgedGroup) -> int:
    """The observation at which a rule stops; the last one if it does not."""
    rule.reset()
    rule.plan(group.cost, len(losses))
    ask = (
        rule.update if group.every == 1
        else Monitor(rule, cost=group.cost, every=group.every).ask
    )  # fmt: skip
    for i, loss in enumerate(losses):
        rule.observe(i + 1, costs[i])
        if ask(loss, costs[i]):
            return i
    return len(losses) - 1


def gain_stops(
    losses: list[float], costs: list[float], thresholds: Sequence[float], every: Every = 1
) -> list[int]:
    """The observation at which each gain threshold stops, in one pass.

    Args:
        losses: n finite losses.
        costs: n costs so far.
        thresholds: gain elasticities.
        every: as in `Monitor`.

    Examples:
        >>> gain_stops([2.0**-i for i in range(50)], list(range(50)), [0.1, 0.5])
        [9, 5]
    """
    rule = GainRule(sys.float_info.max)  # would always stop: its forecast serves every threshold
    ask = rule.update if every == 1 else Monitor(rule, every=every).ask
    stops = [len(losses) - 1] * len(thresholds)
    left = sorted(range(len(thresholds)), key=thresholds.__getitem__)
    for i, loss in enumerate(losses):
        if ask(loss, costs[i]):
            while left and rule.forecast < thresholds[left[-1]]:
                stops[left.pop()] = i
            if not left:
                break
    return stops


def _choice(trials: list[dict[str, Any]], most: float) -> dict[str, Any] | None:
    """The cheapest threshold whose regret, the mean over groups, then sets, is below ``most``."""
    means = Replay(pl.DataFrame(trials, schema=SCHEMA)).means()
    means = means.group_by("rule", maintain_order=True).agg(
        pl.col("cost_pct", "regret_pct", "winner_kept").mean()
    )
    good = means.filter(pl.col("regret_pct") < most).sort("cost_pct")
    return good.row(0, named=True) if good.height else None
