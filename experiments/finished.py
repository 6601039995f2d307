"""What K finished runs are worth: the margin over the best simple score, in Spearman.

python experiments/finished.py SET… > table.md

Of each group K runs are finished; the others are ranked from the first 5, 10, 20 % of training.
Several draws; groups with fewer than 15 runs left are passed over.
"""

import sys

import numpy as np

import earlycall as ec
from earlycall.curves.outcomes import outcomes
from earlycall.evaluation.evaluate import _judged
from earlycall.ranking.finished import Finished, learn
from earlycall.scores import get
from earlycall.scores.ranks import rank_correlation

SIMPLE = ("last_loss", "tse", "tse_e", "tse_ema")
BUDGETS, FINISHED, DRAWS, MIN_LEFT = (0.05, 0.1, 0.2), (0, 5, 10, 20, 50), 3, 15


def margins(curves: ec.CurveSet, budget: float) -> dict[int, float]:
    """The mean over draws and groups for each number of finished runs."""
    default = get("outlook")
    found: dict[int, list[float]] = {k: [] for k in FINISHED}
    for judged in _judged(curves, outcomes(curves.runs), budget, None, "observation"):
        prefixes, truth = judged.prefixes, judged.outcome
        for k in FINISHED:
            for draw in range(DRAWS if len(truth) >= k + MIN_LEFT else 0):
                mixed = np.random.default_rng(draw).permutation(len(truth))
                done, left = np.sort(mixed[:k]), np.sort(mixed[k:])
                running = prefixes.take(left)
                if k:
                    past = Finished(prefixes.take(done), truth[done])
                    value = learn(running, [past], [], default).place
                else:
                    value = default(running).score
                simple = [
                    rank_correlation(get(name)(running).score, truth[left]) for name in SIMPLE
                ]
                found[k].append(rank_correlation(value, truth[left]) - max(simple))
    return {k: float(np.mean(v)) if v else float("nan") for k, v in found.items()}


print("| set | seen |", " | ".join(f"{k} finished" for k in FINISHED), "|")
print("|---|---|" + "---|" * len(FINISHED))
for path in sys.argv[1:]:
    curves = ec.read(path)
    for budget in BUDGETS:
        cells = " | ".join(f"{m:+.3f}" for m in margins(curves, budget).values())
        print(f"| {curves.name} | {budget:.0%} | {cells} |", flush=True)
