"""Ours beside its peers, by set, budget and number of finished runs: Spearman with the outcomes.

python experiments/peers.py SET…    # writes the table of docs/finished_measured.md

Written from their papers, for this comparison only, on training losses:

- *svr*: Baker, Gupta, Raskar, Naik, *Accelerating Neural Architecture Search using Performance
  Prediction*, 2017: a ν-SVR with RBF kernel from the partial curve, its first and second
  differences and the settings to the outcome, trained on the finished runs; C, ν and γ by random
  search (20 candidates, 3-fold). All in normal scores, which helps it where losses diverge.
- *curves*: after Domhan, Springenberg, Hutter, *Speeding up Automatic Hyperparameter Optimization
  of Deep Neural Networks by Extrapolation of Learning Curves*, IJCAI 2015: parametric curves fitted
  by least squares (a grid over what is not linear) and extrapolated to the horizon (by no more than
  the range of the losses seen), averaged with
  weights by their likelihood (BIC). A fast version: no MCMC. Finished runs do not change it.

Of each group at most 200 runs. A draw per group of the K runs that are finished; all are judged on
the others.
"""

import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import loguniform, uniform
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import NuSVR

import earlycall as ec
from earlycall.curves import Prefixes
from earlycall.curves.outcomes import outcomes
from earlycall.evaluation.evaluate import _judged
from earlycall.ranking.finished import Finished, _settings, learn
from earlycall.scores import get
from earlycall.scores.outlook import Standing
from earlycall.scores.ranks import normal_scores, rank_correlation

BUDGETS, FINISHED, MIN_LEFT = (0.05, 0.1, 0.2), (0, 5, 10, 20, 50), 15
MAX_RUNS = 200  # of a group, drawn once
PAGE = Path(__file__).parent.parent / "docs" / "finished_measured.md"
BEGIN, END = "<!-- by experiments/peers.py -->", "<!-- end -->"
SIMPLE = ("last_loss", "tse", "tse_e", "tse_ema")
POINTS = 20  # of a partial curve, at most
RATES = np.geomspace(0.02, 3, 12)
SHAPES = (0.5, 1.0, 2.0)


def features(prefixes: Prefixes) -> np.ndarray:
    """Partial curve, first and second differences, settings: shape (m, features)."""
    standing = Standing(prefixes.loss, prefixes.step)
    n = int(np.clip(np.median(prefixes.loss.lengths), 3, POINTS))
    y = np.column_stack([standing.at_part(part) for part in np.arange(1, n + 1) / n])
    parts = [y, np.diff(y), np.diff(y, 2), *_settings(prefixes.settings)]
    return np.apply_along_axis(normal_scores, 0, np.hstack(parts))


def svr(x: np.ndarray, outcome: np.ndarray, new: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), NuSVR(max_iter=20_000))
    space = {"nusvr__C": loguniform(1e-2, 1e2), "nusvr__nu": uniform(0.1, 0.9),
             "nusvr__gamma": loguniform(1e-4, 1)}  # fmt: skip
    search = RandomizedSearchCV(
        model, space, n_iter=20, cv=3, random_state=0, scoring="neg_mean_squared_error"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(search.fit(x, normal_scores(outcome)).predict(new))


def bases(x: np.ndarray) -> Iterator[np.ndarray]:
    """For each family φ of y = a + b·φ(x; θ): its values at x over a grid of θ, (θ, x)."""
    rates, x = RATES[:, None], x[None]
    yield x**-rates  # pow3
    yield 1 / np.log(x + 1)  # ilog2
    yield np.log(x)  # log
    yield np.concatenate([np.exp(-rates * x**d) for d in SHAPES])  # exp4, Janoschek, Weibull
    yield np.concatenate([1 / (1 + (rates * x) ** d) for d in SHAPES])  # MMF, log-power
    yield np.exp(rates / x) * x**-0.5  # vapor pressure


def extrapolated(prefixes: Prefixes) -> np.ndarray:
    """The loss at the horizon by the ensemble of curves, shape (m,)."""
    ends = []
    for y, step in zip(prefixes.loss, prefixes.step, strict=True):
        n = len(y)
        if n < 3:
            ends.append(float(y[-1]))
            continue
        unit = max(float(np.median(np.diff(step))), 1e-12)
        x = (step - step[0]) / unit + 1
        end = max((prefixes.horizon - step[0]) / unit + 1, x[-1])
        spread = max(float(np.var(y)) * n, 1e-24)
        found = []
        for values in bases(np.append(x, end)):
            phi, last = values[:, :-1], values[:, -1]
            centred = phi - phi.mean(axis=1, keepdims=True)
            norm = np.maximum((centred**2).sum(axis=1), 1e-24)
            slope = centred @ (y - y.mean()) / norm
            error = spread - slope**2 * norm
            best = int(np.argmin(error))
            at_end = y.mean() + slope[best] * (last[best] - phi[best].mean())
            at_end = np.clip(at_end, y.min() - np.ptp(y), y.max())
            free = 3 if len(phi) > 1 else 2
            likelihood = -n / 2 * np.log(max(error[best], 1e-6 * spread) / n)
            found.append((likelihood - free / 2 * np.log(n), at_end))
        weight, value = np.array(found).T
        weight = np.exp(weight - weight.max())
        ends.append(float(weight @ value / weight.sum()))
    return np.array(ends)


def rows(path: str) -> Iterator[tuple[object, ...]]:
    curves = ec.read(path)
    default = get("outlook")
    for budget in BUDGETS:
        for judged in _judged(curves, outcomes(curves.runs), budget, None, "observation"):
            prefixes, truth = judged.prefixes, judged.outcome
            if len(truth) < MIN_LEFT:
                continue
            drawn = np.sort(np.random.default_rng(0).permutation(len(truth))[:MAX_RUNS])
            prefixes, truth = prefixes.take(drawn), truth[drawn]
            others = [c for c in prefixes.columns if c not in (prefixes.metric, "epoch")]
            prefixes = replace(prefixes, frame=prefixes.frame.drop(others, strict=False))
            x, ends = features(prefixes), extrapolated(prefixes)
            for k in FINISHED:
                if len(truth) < k + MIN_LEFT:
                    continue
                mixed = np.random.default_rng(k).permutation(len(truth))
                done, left = np.sort(mixed[:k]), np.sort(mixed[k:])
                running = prefixes.take(left)
                said = {name: get(name)(running).score for name in SIMPLE}
                said["outlook"] = default(running).score
                said["curves"] = -ends[left]
                if k:
                    past = Finished(prefixes.take(done), truth[done])
                    said["learned (ours)"] = learn(running, [past], [], default).place
                    said["svr"] = svr(x[done], truth[done], x[left])
                for name, value in said.items():
                    rho = rank_correlation(value, truth[left])
                    yield (curves.name, budget, k, name, rho)


def main() -> None:
    found = [row for path in sys.argv[1:] for row in rows(path)]
    table = pl.DataFrame(found, ["set", "budget", "k", "score", "rho"], orient="row")
    mean = table.group_by("set", "budget", "k", "score").agg(pl.col("rho").mean())
    cells = {tuple(r[:4]): r[4] for r in mean.iter_rows()}
    out = [f"| set | seen | score | {' | '.join(f'{k} finished' for k in FINISHED)} |"]
    out.append("|---|---|---|" + "---|" * len(FINISHED))
    for name in table["set"].unique(maintain_order=True):
        for budget in BUDGETS:
            best = {k: max((cells[name, budget, k, s] for s in SIMPLE), default=np.nan)
                    for k in FINISHED if (name, budget, k, "tse") in cells}  # fmt: skip
            lines = {"best simple": best}
            for score in ("outlook", "learned (ours)", "svr", "curves"):
                lines[score] = {k: cells[name, budget, k, score] for k in FINISHED
                                if (name, budget, k, score) in cells}  # fmt: skip
            top = {k: max(line.get(k, -1) for line in lines.values()) for k in FINISHED}
            for score, line in lines.items():
                texts = [f"{line[k]:+.3f}" if k in line else "–" for k in FINISHED]
                marked = [f"**{t}**" if line.get(k) == top[k] else t
                          for k, t in zip(FINISHED, texts, strict=True)]  # fmt: skip
                out.append(f"| {name} | {budget:.0%} | {score} | {' | '.join(marked)} |")
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text("\n".join([before + BEGIN, "", *out, "", END + rest.split(END)[1]]))


if __name__ == "__main__":
    main()
