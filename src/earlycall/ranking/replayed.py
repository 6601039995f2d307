"""Successive halving replayed on finished runs: what it would have found, and for which cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.curves import Direction
from earlycall.errors import InputError
from earlycall.ranking.halving import Halving
from earlycall.ranking.rank import DEFAULT_SCORE
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.stopping.replay import MAX_WINNER_REGRET, SCHEMA, JudgedGroup, Replay, judged_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

ORDERS = 10  # in which the runs of a group come, of fewer than 200
RUNS = 2000  # that come in all orders together, where there are more


def replay_halving(
    sets: Any,
    scores: Sequence[str] = (DEFAULT_SCORE, "last_loss"),
    *,
    metric: str | None = None,
    direction: Direction | None = None,
    cost: str = "step",
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Apply asynchronous successive halving to finished runs, as a tuner would have.

    The runs of a group come one after the other, in ten random orders (fewer where a group has more
    than 200 runs), and report each loss; rungs lie at 1, 4, 16 … losses. The default score learns
    from those that were trained to their end before, with their settings (`Halving`).

    Args:
        sets: a curve set, or several.
        scores: names of scores.
        metric: the loss that is reported and judged; by default as in `earlycall.replay`.
        direction: whether less ("min") or more ("max") of the metric is better.
        cost: step, epoch, seconds, joules or usd.
        progress: called with how many runs are done, and of how many.

    Returns:
        A row per set, group and score, means over the orders: ``cost_pct`` = what all runs have
        cost / their full cost; ``regret_pct`` = (best loss of the runs trained to their end − best
        loss of all) / (first − best loss of the best run), in percent; ``winner_kept``: that is at
        most 1 % in most orders.

    Raises:
        InputError: if a score, metric or cost is unknown, or no run can be judged.

    Examples:
        >>> from earlycall import CurveSet
        >>> fall = [1.0, 0.5, 0.4, 0.3, 0.2]
        >>> curves = CurveSet.from_losses({f"r{i}": [a + 0.1 * i for a in fall] for i in range(8)})
        >>> replay_halving(curves, ["last_loss"]).table.select("rule", "regret_pct").row(0)
        ('halving:last_loss', 0.0)
    """
    several = list(sets) if isinstance(sets, list | tuple) else [sets]
    groups: list[JudgedGroup] = []
    for curves in map(as_curve_set, several):
        watched = curves.watched(metric)
        groups += judged_groups(curves.directed(watched, direction), watched, cost, 1)
    if not groups:
        raise InputError(
            "no run can be judged: each has fewer than two losses, or a best loss less than 2 % "
            "below its first"
        )
    halvings = [Halving(score) for score in scores]
    orders = [max(1, min(ORDERS, RUNS // len(group.runs))) for group in groups]
    total = len(scores) * sum(n * len(g.runs) for n, g in zip(orders, groups, strict=True))
    done, rows = 0, []
    for group, n in zip(groups, orders, strict=True):
        for halving in halvings:
            found = np.empty((n, 2))
            for i in range(n):
                order = np.random.default_rng(i).permutation(len(group.runs))
                found[i] = _searched(group, halving, order)
                done += len(order)
                if progress is not None:
                    progress(done, total)
            rows.append(
                group.facts(f"halving:{halving.score}")
                | dict(zip(("cost_pct", "regret_pct"), found.mean(axis=0).tolist(), strict=True))
                | {"winner_kept": bool(np.median(found[:, 1]) <= MAX_WINNER_REGRET)}
            )
    return Replay(pl.DataFrame(rows, schema=SCHEMA))


def _searched(
    group: JudgedGroup, halving: Halving, order: NDArray[np.int64]
) -> tuple[float, float]:
    """The cost and the regret of a search through runs in an order, in percent."""
    prefixes = group.prefixes
    whole = dict(zip(prefixes.runs, prefixes.loss.lengths.tolist(), strict=True))
    table = prefixes.settings.select(pl.col("^(hp|arch)\\..*$"))
    rows = table.rename(lambda name: name.removeprefix("hp.")).to_dicts()
    settings = dict(zip(prefixes.runs, rows, strict=False))  # no rows where none is known
    losses: dict[str, dict[float, float]] = {}
    outcomes: dict[str, float] = {}
    spent, best = 0.0, math.inf
    for i in order.tolist():
        run, values = group.runs[i], group.losses[i].tolist()
        diverged = len(values) < whole[run]
        losses[run] = mine = {}
        rung = 1.0
        for at, loss in enumerate(values, 1):
            mine[float(at)] = loss
            if at < rung:
                continue
            rung *= halving.reduction_factor
            if not halving.goes_on(run, losses, outcomes=outcomes, settings=settings):
                break
        else:
            if diverged:
                mine[float(len(values) + 1)] = math.inf
            else:
                outcomes[run] = min(values)
                best = min(best, outcomes[run])
        spent += float(group.costs[i][at - 1])
    lowest = [float(loss.min()) for loss in group.losses]
    winner = int(np.argmin(lowest))
    gain = float(group.losses[winner][0]) - lowest[winner]
    full = sum(float(cost[-1]) for cost in group.costs)
    regret = (best - lowest[winner]) / gain if math.isfinite(best) else 1.0
    return 100 * spent / full, 100 * regret
