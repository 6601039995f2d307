"""Successive halving by several scores, simulated on the curves of finished runs.

    python experiments/halving.py SET… > docs/halving.md

The sets are folders in the project's file format; their data is not part of the project.
"""

import math
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import polars as pl

import earlycall as ec
from earlycall.ranking.halving import Halving, until

SCORES = ["outlook", "last_loss", "tse", "lcga_d1"]
REDUCTION, TRIALS = 3, 27
SEEDS, SEEDS_ASYNC = 40, 10

INTRODUCTION = """# Successive halving by score

What a tuner gains from a better ranking: successive halving (η = 3, 27 runs drawn from a group, \
rungs at 1/27, 1/9 and 1/3 of the horizon: 27 → 9 → 3 → 1 are left) on the curves of real \
finished runs, by `experiments/halving.py`. Each run reports one loss, as to Optuna or \
Ray: the validation loss where there is one, else the training loss. **Regret**: how much worse \
the outcome of the run chosen is than the best of the 27, as a part of the spread between best and \
median (0: the best was found; 1: no better than the median run); mean over draws, then groups, ± \
its standard error over draws.

{verdict} On `algoperf`, comparing at 1/27 of training is worse than training three runs drawn \
by chance, whatever the score.

## Waiting for each other (synchronous): equal cost

Every score spends the same: 3 full trainings instead of 27. *Random*: the best of 3 runs trained \
to the end, which costs the same.
"""
ASYNCHRONOUS = """
## One after the other (asynchronous), as in Optuna and Ray

`EarlyCallPruner` and `EarlyCallScheduler` decide by `earlycall.ranking.halving.Halving.goes_on`, \
which is what runs here; the run chosen is the best of those trained to the end. Regret, and in \
parentheses the cost in full trainings, which differs a little between scores.
"""


def prepared(path):
    """Each group's runs: losses by step, outcome (smaller is better), and the horizon."""
    curves = ec.read(path)
    metric = "val_loss" if "val_loss" in curves.metrics else "train_loss"
    groups = {}
    for p in curves.prefixes(metric=metric):
        known = curves.runs.filter(pl.col("group") == p.group).select(
            "run", "final", "higher_is_better"
        )
        outcome = {
            run: -final if up else final
            for run, final, up in known.rows()
            if final is not None and math.isfinite(final)
        }
        losses = {
            run: dict(zip(step.tolist(), loss.tolist(), strict=True))
            for run, step, loss in zip(p.runs, p.step, p.loss, strict=True)
            if run in outcome and len(loss) >= TRIALS / 3 and step[-1] >= p.horizon / 2
        }
        if len(losses) >= 9:
            groups[p.group] = (losses, {run: outcome[run] for run in losses}, p.horizon)
    return groups


def regret(chosen, outcomes):
    values = np.array(list(outcomes.values()))
    spread = np.median(values) - values.min()
    return (outcomes[chosen] - values.min()) / spread if spread > 0 else 0.0


def synchronous(losses, horizon, score):
    halving = Halving(score, reduction_factor=REDUCTION, max_resource=horizon)
    alive = list(losses)
    for rung in (horizon / 27, horizon / 9, horizon / 3):
        n = max(1, len(alive) // REDUCTION)
        cut = {run: until(losses[run], rung) for run in alive}
        best = sorted(halving.best(cut, n)) or alive[:1]
        alive = best[:n]
    return alive[0]


def asynchronous(losses, outcomes, horizon, score):
    halving = Halving(score, horizon / 27, REDUCTION, horizon)
    reported, finished, cost = {}, [], 0.0
    for run, whole in losses.items():
        done = {}
        reported[run] = done
        for step, loss in whole.items():
            done[step] = loss
            if halving.reached(done) is not None and not halving.goes_on(run, reported):
                break
        else:
            finished.append(run)
        cost += min(1.0, max(done) / horizon)
    return min(finished, key=outcomes.get) if finished else next(iter(losses)), cost


def drawn(losses, seed):
    names = sorted(losses)
    rng = np.random.default_rng(seed)
    return [names[i] for i in rng.permutation(len(names))[:TRIALS]], rng


def simulated(task):
    name, group, (losses, outcomes, horizon) = task
    rows = []
    for seed in range(SEEDS):
        runs, rng = drawn(losses, seed)
        some = {run: losses[run] for run in runs}
        out = {run: outcomes[run] for run in runs}
        lucky = min(rng.permutation(runs)[: max(1, len(runs) // 9)], key=out.get)
        rows.append((name, group, "synchronous", "random", seed, regret(lucky, out), 3.0))
        for score in SCORES:
            chosen = synchronous(some, horizon, score)
            rows.append((name, group, "synchronous", score, seed, regret(chosen, out), 3.0))
            if seed < SEEDS_ASYNC:
                chosen, cost = asynchronous(some, out, horizon, score)
                rows.append((name, group, "asynchronous", score, seed, regret(chosen, out), cost))
    return rows


def table(rows, kind):
    mine = rows.filter(pl.col("kind") == kind)
    by_draw = mine.group_by("set", "score", "seed").agg(pl.col("regret", "cost").mean())
    by_set = by_draw.group_by("set", "score").agg(
        pl.col("regret").mean(),
        (pl.col("regret").std() / pl.len().sqrt()).alias("se"),
        pl.col("cost").mean(),
    )
    overall = by_set.group_by("score").agg(pl.col("regret", "se", "cost").mean())
    sets = sorted(by_set["set"].unique())
    print(f"\n| score | {' | '.join(sets)} | mean |\n|---|{'---|' * (len(sets) + 1)}")
    for score in [*SCORES, "random"]:
        cells = [by_set.filter(pl.col("set") == s, pl.col("score") == score) for s in sets]
        cells.append(overall.filter(pl.col("score") == score))
        if not cells[-1].height:
            continue
        shown = []
        for i, cell in enumerate(cells):
            row = cell.row(0, named=True)
            spread = "" if i == len(cells) - 1 else f" ± {row['se']:.2f}"
            cost = f" ({row['cost']:.1f})" if kind == "asynchronous" else ""
            shown.append(f"{row['regret']:.2f}{spread}{cost}")
        print(f"| `{score}` | {' | '.join(shown)} |")


def verdict(rows):
    """The mean regrets of both tables in one sentence."""
    said = []
    for kind in ("synchronous", "asynchronous"):
        by_set = (
            rows.filter(pl.col("kind") == kind)
            .group_by("set", "score")
            .agg(pl.col("regret").mean())
        )
        mean = by_set.group_by("score").agg(pl.col("regret").mean()).sort("regret").rows()
        said.append(f"{kind}: " + ", ".join(f"`{score}` {regret:.2f}" for score, regret in mean))
    return "**What it says.** Mean regret over sets, " + "; ".join(said) + "."


def main() -> None:
    tasks = []
    for path in sys.argv[1:]:
        groups = prepared(path)
        tasks += [(ec.read(path).name, group, data) for group, data in groups.items()]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:  # polars does not survive a fork
        rows = [row for part in pool.map(simulated, tasks) for row in part]
    names = ["set", "group", "kind", "score", "seed", "regret", "cost"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    print(INTRODUCTION.format(verdict=verdict(frame)))
    print(f"{len(tasks)} groups, {SEEDS} draws each.")
    table(frame, "synchronous")
    print(ASYNCHRONOUS)
    print(f"{SEEDS_ASYNC} draws each.")
    table(frame, "asynchronous")


if __name__ == "__main__":
    main()
