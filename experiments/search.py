"""Write docs/search.md: how well the chance of a better trial is told, and what ending by it costs.

    python experiments/search.py taskset/ deepobs/ algoperf/ nas_bench_nlp/ > docs/search.md

The sets are curve sets with outcomes; a group is a pool of trials. Searches are random orders of a
pool, and TPE where runs have settings: what it proposes is the nearest run not tried yet.
"""

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
import polars as pl

import earlycall as ec
from earlycall.ranking import improvement
from earlycall.ranking.improvement import SearchLimit, chance_of_improvement

TRIALS, AHEAD = 100, 10
RANDOM, TPE = 50, 4  # searches of each pool
AT = (10, 20, 40, 80)  # trials after which the chance is asked
MARGINS = (0.0, 0.02, 0.1)  # as a part of the spread between a pool's best and its median
MIN_POOL = 120
GUIDED = (1.0, 1.5, 2.0, 3.0)
EVERY = 10  # trials between two looks of Optuna's own terminators, which are slow


def pools(paths: list[str]) -> Iterator[tuple[str, np.ndarray, pl.DataFrame]]:
    """The set, the outcomes (smaller is better; infinite where diverged), the settings."""
    for path in paths:
        curves = ec.read(path)
        for group in curves.runs.partition_by("group", maintain_order=True):
            outcome = group["final"].cast(pl.Float64).fill_null(np.inf).to_numpy().copy()
            if group["higher_is_better"][0]:
                outcome = -outcome
            outcome[~np.isfinite(outcome)] = np.inf
            settings = group.select(
                name for name in group.columns
                if name.startswith("hp.") and group[name].n_unique() > 1
                and not group[name].null_count()
            )  # fmt: skip
            if np.isfinite(outcome).sum() >= 80 and len(outcome) >= MIN_POOL:
                yield curves.name, outcome, settings


def by_tpe(outcome: np.ndarray, settings: pl.DataFrame, seed: int) -> tuple[list[int], Any]:
    """The runs that TPE would have tried, and its study."""
    space: dict[str, Any] = {}
    columns = []
    for name in settings.columns:
        values = settings[name]
        if values.dtype == pl.String:
            choices = sorted(values.unique())
            space[name] = optuna.distributions.CategoricalDistribution(choices)
            columns.append(values.to_numpy()[:, None] == np.array(choices)[None])
        else:
            x = values.cast(pl.Float64).to_numpy()
            log = x.min() > 0 and x.max() / x.min() > 30
            space[name] = optuna.distributions.FloatDistribution(x.min(), x.max(), log=log)
            columns.append(_unit(x, space[name])[:, None])
    places = np.concatenate(columns, axis=1).astype(float)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True))
    untried = np.ones(len(outcome), dtype=bool)
    tried = []
    worst = 2 * np.abs(outcome[np.isfinite(outcome)]).max() + 1
    for _ in range(TRIALS):
        asked = study.ask(space)
        wanted = np.concatenate([
            np.array(space[name].choices) == asked.params[name]
            if hasattr(space[name], "choices")
            else np.array([_unit(asked.params[name], space[name])])
            for name in space
        ])  # fmt: skip
        away = np.where(untried, ((places - wanted) ** 2).sum(axis=1), np.inf)
        run = int(np.argmin(away))
        untried[run] = False
        tried.append(run)
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
        value = outcome[run] if np.isfinite(outcome[run]) else worst
        params = {name: settings[name][run] for name in space}
        study.add_trial(optuna.create_trial(params=params, distributions=space, value=value))
    return tried, study


def _unit(x: Any, distribution: Any) -> Any:
    low, high = distribution.low, distribution.high
    if distribution.log:
        return np.log(x / low) / np.log(high / low)
    return (x - low) / (high - low)


def cases(values: np.ndarray, spread: float) -> Iterator[tuple[int, float, np.ndarray, bool]]:
    """Of a search: the trials, the margin, the outcomes so far, whether the next ones beat it."""
    for n in AT:
        best, later = values[:n].min(), values[n : n + AHEAD].min()
        if np.isfinite(values[:n]).sum() >= improvement.MIN_OUTCOMES:
            for part in MARGINS:
                yield n, part, values[:n], bool(later < best - part * spread)


def log_loss(chances: Any, came: Any) -> float:
    p = np.clip(np.array(chances), 1e-3, 1 - 1e-3)
    return float(-np.mean(np.where(came, np.log(p), np.log(1 - p))))


def patience(values: np.ndarray, trials: int) -> int:
    waited, best = 0, np.inf
    for n, value in enumerate(values, start=1):
        waited = 0 if value < best else waited + 1
        best = min(best, value)
        if waited >= trials:
            return n
    return len(values)


def ended(values: np.ndarray, limit: SearchLimit, guided: bool) -> int:
    for n in range(1, len(values) + 1):
        if limit.reached(values[:n].tolist(), guided=guided):
            return n
    return len(values)


def by_optuna(study: Any, margin: float) -> dict[str, int]:
    """Where Optuna's terminators would have ended a study."""
    from optuna import terminator as t

    trials = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    kinds = {
        "Optuna: regret bound below the margin": (t.RegretBoundEvaluator(),
                                                  t.StaticErrorEvaluator(margin)),
    }  # fmt: skip
    emmr = t.EMMREvaluator()
    kinds["Optuna: EMMR, median error"] = (emmr, t.MedianErrorEvaluator(emmr))
    found = {}
    for name, (improves, error) in kinds.items():
        found[name] = len(trials)
        for n in range(20, len(trials) + 1, EVERY):
            direction = optuna.study.StudyDirection.MINIMIZE
            if improves.evaluate(trials[:n], direction) < error.evaluate(trials[:n], direction):
                found[name] = n
                break
    return found


def main() -> None:
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    searches: dict[tuple[str, str], list[tuple[int, np.ndarray, float, Any]]] = {}
    for number, (name, outcome, settings) in enumerate(pools(sys.argv[1:])):
        finite = outcome[np.isfinite(outcome)]
        spread = float(np.median(finite) - finite.min())
        rng = np.random.default_rng(0)
        for _ in range(RANDOM):
            order = rng.permutation(len(outcome))[:TRIALS]
            searches.setdefault((name, "random"), []).append((number, outcome[order], spread, None))
        numeric = settings.select(pl.selectors.numeric()).width
        if settings.width > 1 and numeric:
            for seed in range(TPE):
                tried, study = by_tpe(outcome, settings, seed)
                searches.setdefault((name, "TPE"), []).append(
                    (number, outcome[tried], spread, study)
                )
        print(name, number, file=sys.stderr, flush=True)
    write(searches)


def rows_of(found: list[Any], kind: str, guided: float) -> list[Any]:
    """Of each case of some searches: trials, margin, the chance that was told, what came."""
    improvement.GUIDED = guided
    return [
        (n, part, chance_of_improvement(v, part * spread, trials=AHEAD, guided=kind == "TPE"), came)
        for _, values, spread, _ in found
        for n, part, v, came in cases(values, spread)
    ]


def write(searches: dict[tuple[str, str], list[tuple[int, np.ndarray, float, Any]]]) -> None:
    print(HEAD)
    ours = improvement.GUIDED
    losses: dict[Any, float] = {}
    for (name, kind), found in searches.items():
        for guided in GUIDED if kind == "TPE" else (1.0,):
            rows = rows_of(found, kind, guided)
            losses[name, kind, guided] = log_loss(*list(zip(*rows, strict=True))[2:])

    def best(keys: list[tuple[str, str]]) -> float:
        """The factor of TPE with the least mean log loss."""
        tpe = [key for key in keys if key[1] == "TPE"]
        return min(GUIDED, key=lambda g: np.mean([losses[*key, g] for key in tpe]))

    print("## Calibration\n")
    print("Chance as told / as it came, by trials so far; margins as parts of the spread between a")
    print("pool's best and its median. The factor of TPE is the one chosen on the other sets; on")
    print(f"all sets it is {best(list(searches))}, and that of the package is {ours}.\n")
    print("| set | search | margin | " + " | ".join(f"after {n}" for n in AT) + " | factor |")
    print("|---|---|---|" + "---|" * len(AT) + "---|")
    chosen = {}
    for (name, kind), found in searches.items():
        guided = best([key for key in searches if key[0] != name]) if kind == "TPE" else 1.0
        chosen[name, kind] = guided
        rows = rows_of(found, kind, guided)
        for part in MARGINS:
            cells = []
            for n in AT:
                told = [row[2:] for row in rows if row[:2] == (n, part)]
                cells.append("{:.2f} / {:.2f}".format(*np.mean(told, axis=0)) if told else "–")
            print(f"| {name} | {kind} | {part:.0%} | {' | '.join(cells)} | {guided} |")
    table(searches, chosen)


def table(searches: Any, chosen: Any) -> None:
    rows = []
    for (name, kind), found in searches.items():
        improvement.GUIDED = chosen[name, kind]
        for number, values, spread, study in found:
            wanted = 0.02 * spread
            ends = {f"patience of {p} trials": patience(values, p) for p in (10, 15, 20, 30)}
            for chance in (0.3, 0.25, 0.2, 0.15, 0.1):
                limit = SearchLimit(wanted, chance, AHEAD)
                ends[f"`EarlyCallTerminator`, chance {chance}"] = ended(
                    values, limit, kind == "TPE"
                )
            if study is not None:
                ends |= by_optuna(study, wanted)
            best = np.minimum.accumulate(values)
            rows += [
                {"search": kind, "set": name, "pool": number, "way": way, "trials": n,
                 "regret": (best[n - 1] - best[-1]) / spread}
                for way, n in ends.items()
            ]  # fmt: skip
        print(name, kind, "ended", file=sys.stderr, flush=True)
    frame = pl.DataFrame(rows)
    means = frame.group_by("search", "way", "set", "pool", maintain_order=True).agg(
        pl.col("trials", "regret").mean()
    )
    print("\n## What ending a search costs\n")
    print(f"Searches of {TRIALS} trials; means over pools, with the standard error between them.")
    print(
        "The wanted margin is 2 % of the spread; the regret, as a part of the spread, is what the"
    )
    print(f"other trials would have improved. Optuna's terminators are asked every {EVERY} trials.")
    for kind in frame["search"].unique(maintain_order=True):
        print(f"\n**{kind}**\n\n| way | trials | regret |\n|---|---|---|")
        for (way,), of in means.filter(pl.col("search") == kind).group_by(
            "way", maintain_order=True
        ):
            error = of["regret"].std() / np.sqrt(of.height)
            print(
                f"| {way} | {of['trials'].mean():.0f} | {of['regret'].mean():.3f} ± {error:.3f} |"
            )


HEAD = """# Ending a search, as measured

When does a search not pay any more? [`EarlyCallTerminator`](tuners.md#end-the-search) computes the
chance that one of the next trials beats the best by more than a margin
(`earlycall.ranking.improvement.chance_of_improvement` has the formula) and ends the search when it
is too small. Its one chosen constant is how much likelier than by chance TPE finds a better trial.

Written by `experiments/search.py`: recorded pools of trials with their outcomes, in random orders,
and by TPE (which learns from 10 random trials on) where they have settings; what it proposes is
the nearest run of the pool that was not tried yet.

- **Calibrated** in random search without a margin, as it must be, and about so with one (on
  deepobs, whose outcomes lie close above a floor, it hopes too much). TPE's first trials after its
  random ones beat the best more often than it says; later, with a margin, less often.
- **As good as patience of the right length**, no better: at equal numbers of trials its regret is
  within an error of that of waiting for 10 to 30 trials without a better one. What it gains is
  that nobody has to guess that length: a chance, a margin and a cost say what is wanted.
- Optuna's own terminators, asked for the same margin, hardly end a search of 100 trials.
"""

if __name__ == "__main__":
    main()
