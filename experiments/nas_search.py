"""What to train next: searches compared on pools of architectures whose outcomes are all known.

    python experiments/nas_search.py POOL… [--seeds 20]

A pool is a curve set. Prints a table of regrets in Markdown. What was measured so far is kept in
.benchmarks/nas_search.json, so that the work can be interrupted.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import polars as pl

from earlycall.curves.outcomes import outcomes
from earlycall.nas.features import Graph
from earlycall.nas.labels import standings
from earlycall.nas.predictor import Predictor

ROOT = Path(__file__).parent.parent
AFTER = (15, 30, 60, 100)
BATCHES = (10, 5, 5, 10, 15, 15, 20, 20)  # the first at random
POPULATION, SAMPLE = 20, 5
CANDIDATES, CHILDREN, PARENTS = 200, 10, 10
RESAMPLES, KAPPA = 3, 1.0
MODELS = {True: "boosting", False: "gaussian process"}  # of graphs, of tables: as chosen for each
MEASURES = ("arch.params", "arch.flops", "arch.macs")  # what follows from the choices


class Pool:
    """Architectures of known outcomes, with the number of choices in which any two differ."""

    def __init__(self, path):
        runs = pl.read_parquet(Path(path) / "runs.parquet").filter(pl.col("final").is_not_null())
        self.name = Path(path).name
        self.table = runs.select(pl.col("^arch\\..*$"))
        self.outcome = outcomes(runs)
        self.choices = _choices(self.table)
        self.model = MODELS["arch.graph" in self.table.columns]

    def __len__(self):
        return len(self.outcome)

    def regret(self, order):
        """How far the best that was trained lies behind the best of the pool, by trainings."""
        found = np.maximum.accumulate(self.outcome[order])
        return self.outcome.max() - found

    def child(self, parent, left, draw, distance=1):
        """One that is left, as few edits from its parent as there are, but at least so many."""
        rows = np.flatnonzero(left)
        edits = (self.choices[rows] != self.choices[parent]).sum(1)
        enough = edits[edits >= distance]
        edits_made = enough.min() if len(enough) else edits.max()
        return int(draw.choice(rows[edits == edits_made]))


def _choices(table):
    """A row of numbers per architecture: the operation of each node, or each column."""
    if "arch.graph" in table.columns:
        graphs = [Graph.of(graph).op for graph in table["arch.graph"]]
        names = sorted({name for graph in graphs for name in graph})
        texts = np.array([[graph.get(name, "") for name in names] for graph in graphs])
    else:
        texts = table.drop(MEASURES, strict=False).cast(pl.String).to_numpy().astype(str)
    return np.stack([np.unique(column, return_inverse=True)[1] for column in texts.T], axis=1)


class Search:
    """One search with one seed: what was trained, in order."""

    def __init__(self, pool, seed):
        self.pool, self.draw = pool, np.random.default_rng(seed)
        self.seed = seed
        self.order = []

    @property
    def left(self):
        mask = np.ones(len(self.pool), bool)
        mask[self.order] = False
        return mask

    def run(self, choose):
        """Train in batches; the first at random, the same for every search of this seed."""
        for number, batch in enumerate(BATCHES):
            size = min(batch, int(self.left.sum()))
            self.order += (choose if number else Search.at_random)(self, size)
        return self.order

    def at_random(self, size):
        return self.draw.permutation(np.flatnonzero(self.left))[:size].tolist()

    def parent(self):
        """The best of a few of the youngest, as in regularised evolution."""
        living = self.order[-POPULATION:]
        drawn = self.draw.choice(living, min(SAMPLE, len(living)), replace=False)
        return max(drawn, key=lambda row: self.pool.outcome[row])

    def evolution(self, size):
        """Real et al. 2019, with mutations that always lead to something new."""
        left, chosen = self.left, []
        for _ in range(size):
            chosen.append(self.pool.child(self.parent(), left, self.draw))
            left[chosen[-1]] = False
        return chosen

    def filtered_evolution(self, size):
        """The same, of ten times as many children those that the predictor likes best."""
        left, children = self.left, []
        while len(children) < size * CHILDREN and left.any():
            children.append(self.pool.child(self.parent(), left, self.draw))
            left[children[-1]] = False
        return self._best(children, self._predicted(children, 0)[0], size)

    def candidates(self):
        """Half at random, half few edits from the best that were trained."""
        left = self.left
        rows = self.at_random(CANDIDATES // 2)
        left[rows] = False
        best = sorted(self.order, key=lambda row: -self.pool.outcome[row])[:PARENTS]
        while len(rows) < CANDIDATES and left.any():
            distance = self.draw.geometric(0.5)
            rows.append(self.pool.child(self.draw.choice(best), left, self.draw, distance))
            left[rows[-1]] = False
        return rows

    def greedy(self, size):
        """The highest predictions."""
        rows = self.candidates()
        return self._best(rows, self._predicted(rows, 0)[0], size)

    def upper_bound(self, size):
        """The highest upper confidence bounds, from predictors of resampled trainings."""
        rows = self.candidates()
        predicted = self._predicted(rows, RESAMPLES)
        return self._best(rows, predicted.mean(0) + KAPPA * predicted.std(0), size)

    def thompson(self, size):
        """The favourites in turn of predictors of resampled trainings (Eckles & Kaptein 2014)."""
        rows = self.candidates()
        predicted, chosen = self._predicted(rows, RESAMPLES), []
        for turn in range(size):
            order = np.argsort(-predicted[turn % RESAMPLES])
            chosen.append(next(rows[i] for i in order if rows[i] not in chosen))
        return chosen

    def _best(self, rows, score, size):
        return [rows[i] for i in np.argsort(-score, kind="stable")[:size]]

    def _predicted(self, rows, resamples):
        """Predictions by one predictor of all that was trained, or of each resample of it."""
        trained = np.array(self.order)
        known = [trained] if not resamples else [
            self.draw.choice(trained, len(trained)) for _ in range(resamples)
        ]  # fmt: skip
        predicted = []
        for sample in known:
            y = standings(self.pool.outcome[sample], ["pool"] * len(sample))
            fitted = Predictor(self.pool.model, self.seed, assess=False).fit(
                self.pool.table[sample], y
            )
            predicted.append(fitted.predict(self.pool.table[rows]))
        return np.array(predicted)


SEARCHES = {
    "random": Search.at_random,
    "evolution, true mutations": Search.evolution,
    "evolution, filtered by the predictor": Search.filtered_evolution,
    "highest prediction": Search.greedy,
    "upper confidence bound": Search.upper_bound,
    "Thompson sampling": Search.thompson,
}


def table(pools, found):
    """The mean regrets and their standard errors, in Markdown."""
    lines = []
    for pool in pools:
        lines += [
            f"| {pool.name}, {len(pool)} architectures | seeds | "
            + " | ".join(f"after {n}" for n in AFTER) + " |",
            "|---|---|" + "---|" * len(AFTER),
        ]  # fmt: skip
        for name in SEARCHES:
            rows = np.array(list(found.get(f"{pool.name}/{name}", {}).values()))
            if len(rows):
                mean, error = rows.mean(0), rows.std(0, ddof=1) / np.sqrt(len(rows))
                cells = (f"{m:.3g} ± {e:.2g}" for m, e in zip(mean, error, strict=True))
                lines.append(f"| {name} | {len(rows)} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pools", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--keep", type=Path, default=ROOT / ".benchmarks" / "nas_search.json")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    pools = [Pool(path) for path in given.pools]
    found = json.loads(given.keep.read_text()) if given.keep.exists() else {}
    for seed in range(given.seeds):
        for pool in pools:
            for name, choose in SEARCHES.items():
                rows = found.setdefault(f"{pool.name}/{name}", {})
                if str(seed) in rows:
                    continue
                regret = pool.regret(Search(pool, seed).run(choose))
                rows[str(seed)] = [float(regret[min(n, len(regret)) - 1]) for n in AFTER]
                given.keep.parent.mkdir(exist_ok=True)
                given.keep.write_text(json.dumps(found))
    print(table(pools, found))


if __name__ == "__main__":
    main()
