"""How often what the default score says of its certainty comes true, on public curve sets.

python experiments/calibration.py SET… > docs/calibration.md
"""

import sys
from collections.abc import Iterator

import numpy as np
import polars as pl

import earlycall as ec
from earlycall.curves.outcomes import outcomes
from earlycall.evaluation.evaluate import _judged
from earlycall.ranking.certainty import (
    chance_of_best,
    near_the_top,
    smallest_set,
    tied_with_first,
)
from earlycall.ranking.finished import Finished, learn
from earlycall.scores import get
from earlycall.scores.outlook import centred_rank
from earlycall.scores.ranks import normal_scores, rank_correlation

BUDGETS = (0.05, 0.1, 0.2)
LEVELS = {0.5: 0.6745, 0.8: 1.2816, 0.9: 1.6449}
TOP = 0.1
FINISHED, DRAWS, MIN_LEFT = (0, 5, 10, 20, 50), 3, 15
MISSES = (0.06, 0.1)

PAGE = """# Is the certainty of the default score right?

`outlook` gives each run an expected standing at the horizon, a rank in [−1, 1], with a standard
error, and from these the chance to end among the best and the set of runs that cannot be told from
the first. Here is how often that came true on public sets, written by
`experiments/calibration.py`. How ρ depends on what is left of the loss, and the third power among
the best, were found with these sets in view: expect less on new ones.

- **held**: the share of runs whose final standing lies in the interval of 50, 80, 90 %.
- **told apart**: of the runs said to be worse than the first (90 % sure), the share that ended
  worse; in parentheses, how many of all runs were said to be.
- **chance**: of the runs given a chance of 30 to 70 % (and above 70 %) to end in the best tenth,
  the share that did.
- **best kept**: the share of groups whose eventual best run was in the smallest set that should
  hold it with a probability of 95 %, and the size of that set, as a share of the group.

**What it says.** The 80 and 90 % intervals hold about what they promise on the four large sets, the
50 % ones less on algoperf; runs that are told apart mostly do end apart, except on
algoperf at 20 %, where runs of many optimisers are judged by a test metric that training losses
foretell badly. Chances in the
middle are right or too modest on taskset and nas_bench_nlp and too bold on algoperf and deepobs.
The set to keep holds the best nearly everywhere, at the price of being large where training losses
say little of the outcome: three quarters and more of the runs on algoperf and the small sets of
CIFAR training logs (10 to 17 runs a group, schedules with large drops of the learning rate: what
happens after the drop is not in the prefix), half on deepobs, a tenth to a third on taskset and
nas_bench_nlp. With [finished runs](finished.md) it shrinks.

With finished runs, leaders are promised more than comes (second table): many rankings of large
groups agree in the middle and not at the very top. Pressing the places of the best runs together
makes that promise true on average, but chances to end first become worse: by their logarithm,
against equal chances and with each set weighing alike, 1.65 falls to 1.59 at best of 45 forms
tried. The third power is therefore kept.
"""
HEADER = """
| set | seen | held 50 / 80 / 90 % | told apart | chance 30–70 % | above 70 % | best kept, with |
|---|---|---|---|---|---|---|"""
LEARNED = """
## With finished runs

The same of the rankings of {rankings} draws in which K runs of a group have finished and {least} or
more have not: how often the set to keep held the best of the others, how large it was, and how
often the leader ended among the best three, as promised and as it came.

*At best* is the size that sets could have if an oracle told how well each ranking will agree with
the outcomes (Spearman), the sizes were any falling function of that, chosen with all outcomes in
hand, and 6 or 10 % of the sets were allowed to miss: no estimate of a group's own uncertainty can
make them smaller without ranking better.

| finished | held | with | leader among 3: promised, came | at best, 6 % missed | 10 % |
|---|---|---|---|---|---|"""


def learned() -> Iterator[str]:
    default = get("outlook")
    found: dict[int, list[tuple[float, ...]]] = {k: [] for k in FINISHED}
    for path in sys.argv[1:]:
        curves = ec.read(path)
        for budget in BUDGETS:
            for judged in _judged(curves, outcomes(curves.runs), budget, None, "observation"):
                n = len(judged.outcome)
                for k in FINISHED:
                    for draw in range(DRAWS if k else 1):
                        if n < (k + MIN_LEFT if k else 10):
                            continue
                        mixed = np.random.default_rng(1000 * draw + k).permutation(n)
                        done, left = np.sort(mixed[:k]), np.sort(mixed[k:])
                        running, truth = judged.prefixes.take(left), judged.outcome[left]
                        if k:
                            past = Finished(judged.prefixes.take(done), judged.outcome[done])
                            said = learn(running, [past], [], default)
                            place, sd = said.place, said.sd
                        else:
                            scored = default(running)
                            rho = np.sqrt(1 - 3 * scored.se**2)
                            place = np.median(rho) * normal_scores(np.round(scored.score, 12))
                            sd = np.sqrt(1 - rho**2)
                        top = near_the_top(place, sd)
                        keep = smallest_set(chance_of_best(*top))
                        best, lead = truth >= truth.max(), int(np.argmax(place))
                        third = np.sort(truth)[-3]
                        found[k].append((
                            best[keep].any(), len(keep) / len(left),
                            chance_of_best(*top, 3)[lead], truth[lead] >= third,
                            float(np.mean(place >= place[best].max())),
                            rank_correlation(place, truth),
                        ))  # fmt: skip
    draws = sum(map(len, found.values()))
    yield LEARNED.format(rankings=draws, least=MIN_LEFT)
    for k, values in found.items():
        table = np.array(values, dtype=float)
        held, size, promised, came = table[:, :4].mean(axis=0)
        sizes = [smallest_size(table[:, 4], table[:, 5], int(m * len(table))) for m in MISSES]
        cells = [k, f"{held:.0%}", f"{size:.0%}", f"{promised:.0%}, {came:.0%}"]
        cells += [f"{s:.0%}" for s in sizes]
        yield f"| {' | '.join(map(str, cells))} |"


def smallest_size(needed: np.ndarray, agreement: np.ndarray, misses: int) -> float:
    """The least mean size of sets that falls with the agreement and misses so few.

    Args:
        needed: the size from which a set holds the best, by ranking.
        agreement: what the size may depend on.
        misses: how many sets may be smaller than needed.
    """
    sizes = np.linspace(1, 0, 101)
    cost = np.zeros((len(sizes), misses + 1))  # by last size and misses left to use
    for x in needed[np.argsort(agreement)]:
        so_far = np.minimum.accumulate(cost, axis=0)
        cost = np.full_like(cost, np.inf)
        holds = sizes >= x - 1e-9
        cost[holds] = so_far[holds]
        cost[~holds, 1:] = so_far[~holds, :-1]
        cost += sizes[:, None]
    return float(cost[:, misses].min()) / len(needed)


def rows() -> Iterator[dict[str, object]]:
    score = get("outlook")
    for path in sys.argv[1:]:
        curves = ec.read(path)
        for budget in BUDGETS:
            for judged in _judged(curves, outcomes(curves.runs), budget, None, "observation"):
                n = len(judged.outcome)
                if n < 10:
                    continue
                scored = score(judged.prefixes)
                truth = centred_rank(judged.outcome)
                order = np.argsort(-scored.score, kind="stable")
                tied = tied_with_first(scored.score[order], scored.se[order])
                away = np.abs(truth - scored.score)
                below = truth[order[tied:]] < truth[order[0]]
                rho = np.sqrt(1 - 3 * scored.se**2)
                place = np.median(rho) * normal_scores(np.round(scored.score, 12))
                place, sd = near_the_top(place, np.sqrt(1 - rho**2))
                chance = chance_of_best(place, sd, max(1, round(TOP * n)))
                keep = smallest_set(chance_of_best(place, sd))
                best = np.argsort(np.argsort(-judged.outcome, kind="stable")) < max(
                    1, round(TOP * n)
                )
                some, likely = (chance > 0.3) & (chance <= 0.7), chance > 0.7
                yield {
                    "set": curves.name, "budget": budget, "n": n,
                    **{f"held {level:.0%}": float(np.mean(away < z * scored.se))
                       for level, z in LEVELS.items()},
                    "right": float(below.sum()), "apart": float(n - tied),
                    "some": float(best[some].sum()), "n_some": float(some.sum()),
                    "likely": float(best[likely].sum()), "n_likely": float(likely.sum()),
                    "kept": float(np.argmax(judged.outcome) in keep), "keep": len(keep) / n,
                }  # fmt: skip


def share(part: float, whole: float) -> str:
    return f"{part / whole:.0%} of {whole:.0f}" if whole else "none"


def main() -> None:
    table = pl.DataFrame(list(rows()))
    print(PAGE + HEADER)
    sums = ("n", "right", "apart", "some", "n_some", "likely", "n_likely")
    grouped = table.group_by("set", "budget", maintain_order=True).agg(
        pl.col(*(f"held {level:.0%}" for level in LEVELS), "kept", "keep").mean(),
        pl.col(*sums).sum(),
    )
    for r in grouped.to_dicts():
        held = " / ".join(f"{r[f'held {level:.0%}']:.0%}" for level in LEVELS)
        apart = f"{share(r['right'], r['apart'])} ({r['apart'] / r['n']:.0%} of runs)"
        chances = f"{share(r['some'], r['n_some'])} | {share(r['likely'], r['n_likely'])}"
        cells = [r["set"], f"{r['budget']:.0%}", held, apart, chances]
        cells.append(f"{r['kept']:.0%} with {r['keep']:.0%}")
        print(f"| {' | '.join(cells)} |")
    print("\n".join(learned()))


if __name__ == "__main__":
    main()
