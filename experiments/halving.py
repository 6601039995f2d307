"""Studies with several pruners, and successive halving by several scores, on finished runs.

    python experiments/halving.py SET… > docs/halving.md

The sets are folders in the project's file format; their data is not part of the project.
"""

import math
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import optuna
import polars as pl
from optuna.trial import TrialState

import earlycall as ec
from earlycall.curves import CurveSet
from earlycall.integrations.optuna import EarlyCallPruner
from earlycall.ranking.halving import Halving, until

SCORES = ["outlook", "last_loss", "tse", "lcga_d1"]
REDUCTION, TRIALS = 3, 27
SEEDS = 40
PAST, STUDY_SEEDS, TPE_SEEDS = 50, 2, 1
POOL = 100  # settings from which studies are drawn, at least
PRUNERS = {
    "no pruning": lambda steps, past: optuna.pruners.NopPruner(),
    "`MedianPruner()`": lambda steps, past: optuna.pruners.MedianPruner(),
    "`HyperbandPruner()`": lambda steps, past: optuna.pruners.HyperbandPruner(),
    "`HyperbandPruner(max_resource=…)`": lambda steps, past: optuna.pruners.HyperbandPruner(
        max_resource=steps
    ),
    "`SuccessiveHalvingPruner()`": lambda steps, past: optuna.pruners.SuccessiveHalvingPruner(),
    "`EarlyCallPruner()`": lambda steps, past: EarlyCallPruner(),
    "`EarlyCallPruner(past=…)`": lambda steps, past: EarlyCallPruner(past=past),
}

INTRODUCTION = """# Successive halving by score

What a tuner gains from a better ranking, on the curves of real finished runs, by \
`experiments/halving.py`. Each run reports one loss: the validation loss where there is one, else \
the training loss. **Regret**: how much worse the outcome of the run chosen is than the best, as a \
part of the spread between best and median (0: the best was found; 1: no better than the median \
run).

## Studies in Optuna, at equal cost

A study asks for settings, takes the recorded run of the group that is nearest to them and has not \
been taken, and reports its losses; it ends when it has spent as many steps as 20 full trainings \
(10 in groups of fewer than 400 runs). The past is {past} runs drawn from the group, which the \
study does not meet. Mean regret of `study.best_trial` over groups, ± its standard error between \
groups; of the better one of that and the best of the past; and the mean number of settings tried. \
{seeds} seeds a group with random settings, {tpe} with TPE.
"""
READING = """
With a past, what is worse than the best tenth of it was at a rung is not trained on. That finds \
nothing new where nothing else is left in a group (two of these, of about 100 runs, with one seed: \
a regret of 1), but loses nothing either, as the past already holds better runs: judge it by the \
second and fifth column. The differences between `EarlyCallPruner()` with and without a past are \
within their errors.
"""
SYNCHRONOUS = """
## Waiting for each other (synchronous): equal cost

Successive halving with η = 3 on 27 runs drawn from a group, with rungs at 1/27, 1/9 and 1/3 of \
the horizon: 27 → 9 → 3 → 1 are left. Every score spends the same: 3 full trainings instead of \
27. *Random*: the best of 3 runs trained to the end, which costs the same. Mean regret over \
draws, then groups, ± its standard error over draws. On `algoperf`, comparing at 1/27 of training \
is worse than training three runs drawn by chance, whatever the score.
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
        rows.append((name, group, "random", seed, regret(lucky, out)))
        for score in SCORES:
            chosen = synchronous(some, horizon, score)
            rows.append((name, group, score, seed, regret(chosen, out)))
    return rows


def searchable(path):
    """The groups in which studies can choose: losses (runs, steps), and settings, by run."""
    curves = ec.read(path)
    metric = "val_loss" if "val_loss" in curves.metrics else "train_loss"
    for p in curves.prefixes(metric=metric):
        whole = np.flatnonzero(p.loss.lengths == p.loss.lengths.max())
        settings = p.settings[whole].select(pl.col("^(hp|arch)\\..*$"))
        able = [
            c.name for c in settings.iter_columns()
            if c.n_unique() > 1 and (c.dtype.is_numeric() or c.n_unique() <= 20)
        ]  # fmt: skip
        if len(whole) >= POOL and able:
            first = int(p.step[whole[0]][0] == 0)  # before training, all are alike
            values = np.array([p.loss[i][first:] for i in whole])
            yield p.group, values, settings.select(able).to_dicts()


def distributions(settings):
    found = {}
    for name in settings[0]:
        values = [row[name] for row in settings]
        if isinstance(values[0], str):
            found[name] = optuna.distributions.CategoricalDistribution(sorted(set(values)))
        else:
            low, high = float(min(values)), float(max(values))
            log = low > 0 and high / low > 100
            found[name] = optuna.distributions.FloatDistribution(low, high, log=log)
    return found


def place(values, space):
    """A setting on [0, 1]."""
    if isinstance(space, optuna.distributions.CategoricalDistribution):
        return np.array([space.choices.index(v) for v in values], dtype=float)
    values = np.asarray(values, dtype=float)
    low, high = space.low, space.high
    if space.log:
        values, low, high = np.log(values), math.log(low), math.log(high)
    return (values - low) / (high - low)


def study(values, settings, free, pruner, sampler):
    """The regret of a study over the free runs, and how many it tried."""
    runs, steps = values.shape
    spaces, left = distributions(settings), np.array(free)
    kinds = [isinstance(s, optuna.distributions.CategoricalDistribution) for s in spaces.values()]
    at = np.column_stack([place([row[n] for row in settings], s) for n, s in spaces.items()])
    budget = steps * (20 if runs > 400 else 10)
    made, taken = optuna.create_study(sampler=sampler, pruner=pruner), []
    while budget > 0 and len(left):
        trial = made.ask(spaces)
        wanted = np.array([place([trial.params[n]], s)[0] for n, s in spaces.items()])
        apart = np.abs(at[left] - wanted)
        nearest = int(np.argmin(np.where(kinds, apart > 0, apart).sum(axis=1)))
        near, left = left[nearest], np.delete(left, nearest)
        taken.append(near)
        state = TrialState.FAIL
        for step, loss in enumerate(values[near].tolist(), 1):
            budget -= 1
            trial.report(loss, step)
            if trial.should_prune():
                state = TrialState.PRUNED
                break
            if budget <= 0:
                break
        if step == steps and math.isfinite(loss):
            made.tell(trial, loss)
        else:
            made.tell(trial, state=state)
    done = [t.number for t in made.get_trials(states=[TrialState.COMPLETE])]
    return behind(values, np.array(taken)[done]), len(made.trials)


def behind(values, rows):
    """The regret of the best of some runs that were trained to their end, 1 of none."""
    ends = np.where(np.isfinite(values[:, -1]), values[:, -1], np.inf)
    spread = np.median(ends[np.isfinite(ends)]) - ends.min()
    return min((ends[rows].min(initial=math.inf) - ends.min()) / spread, 1.0)


def past_of(values, settings, rows):
    """Finished runs as a curve set."""
    rows = [i for i in rows if np.isfinite(values[i]).all()]
    steps = values.shape[1]
    losses = pl.DataFrame({
        "run": np.repeat([str(i) for i in rows], steps),
        "step": np.tile(np.arange(1, steps + 1), len(rows)),
        "loss": values[rows].ravel(),
    })  # fmt: skip
    known = [
        {"run": str(i), "final": values[i, -1], "final_metric": "loss"} | settings[i] for i in rows
    ]
    return CurveSet.from_frame(losses, pl.DataFrame(known))


def studied(task):
    name, group, values, settings = task
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    for sampler, seeds in (("random", STUDY_SEEDS), ("TPE", TPE_SEEDS)):
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(values))
            for pruner, make in PRUNERS.items():
                past = past_of(values, settings, order[:PAST]) if "past" in pruner else None
                kind = (
                    optuna.samplers.RandomSampler
                    if sampler == "random"
                    else optuna.samplers.TPESampler
                )
                found, tried = study(
                    values, settings, order[PAST:], make(values.shape[1], past), kind(seed=seed)
                )
                known = min(found, behind(values, order[:PAST]))
                rows.append((f"{name}/{group}", sampler, pruner, seed, found, known, tried))
                print(*rows[-1], file=sys.stderr, flush=True)
    return rows


def study_table(rows):
    frame = pl.DataFrame(
        rows,
        schema=["group", "sampler", "pruner", "seed", "regret", "or past", "tried"],
        orient="row",
    )
    by_group = frame.group_by("group", "sampler", "pruner").agg(
        pl.col("regret", "or past", "tried").mean()
    )
    groups = by_group["group"].n_unique()
    print(f"{groups} groups of at least {POOL} runs.\n")
    print(
        "| pruner | random | or past | tried | TPE | or past | tried |\n"
        "|---|---|---|---|---|---|---|"
    )
    for pruner in PRUNERS:
        cells = []
        for sampler in ("random", "TPE"):
            mine = by_group.filter(pl.col("pruner") == pruner, pl.col("sampler") == sampler)
            cells += [
                f"{of.mean():.3f} ± {of.std() / math.sqrt(len(of)):.3f}"
                for of in (mine["regret"], mine["or past"])
            ]
            cells.append(f"{mine['tried'].mean():.0f}")
        print(f"| {pruner} | {' | '.join(cells)} |")


def table(rows):
    by_draw = rows.group_by("set", "score", "seed").agg(pl.col("regret").mean())
    by_set = by_draw.group_by("set", "score").agg(
        pl.col("regret").mean(), (pl.col("regret").std() / pl.len().sqrt()).alias("se")
    )
    overall = by_set.group_by("score").agg(pl.col("regret").mean())
    sets = sorted(by_set["set"].unique())
    print(f"\n| score | {' | '.join(sets)} | mean |\n|---|{'---|' * (len(sets) + 1)}")
    for score in [*SCORES, "random"]:
        shown = []
        for name in sets:
            row = by_set.filter(pl.col("set") == name, pl.col("score") == score).row(0, named=True)
            shown.append(f"{row['regret']:.2f} ± {row['se']:.2f}")
        mean = overall.filter(pl.col("score") == score)["regret"][0]
        print(f"| `{score}` | {' | '.join(shown)} | {mean:.2f} |")


def main() -> None:
    pools = [(ec.read(path).name, *pool) for path in sys.argv[1:] for pool in searchable(path)]
    tasks = []
    for path in sys.argv[1:]:
        groups = prepared(path)
        tasks += [(ec.read(path).name, group, data) for group, data in groups.items()]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:  # polars does not survive a fork
        studies = [row for part in pool.map(studied, pools) for row in part]
        print(INTRODUCTION.format(past=PAST, seeds=STUDY_SEEDS, tpe=TPE_SEEDS))
        study_table(studies)
        print(READING)
        rows = [row for part in pool.map(simulated, tasks) for row in part]
    print(SYNCHRONOUS)
    print(f"{len(tasks)} groups, {SEEDS} draws each.")
    table(pl.DataFrame(rows, schema=["set", "group", "score", "seed", "regret"], orient="row"))


if __name__ == "__main__":
    main()
