"""Early scores as labels: a few epochs of many runs against the outcomes of a few.

    python experiments/nas_labels.py CURVESET… [--splits 10]

Each budget is a number of full trainings. With outcomes as labels it buys so many runs; with the
scores of the first epochs, more of them. The predictor that learnt from them ranks architectures
that it has not seen; printed is the mean Spearman correlation with their outcomes, and the standard
error of the mean over splits, in Markdown; and how well each label itself ranks.
"""

import argparse
import warnings

import numpy as np
import polars as pl

import earlycall as ec
from earlycall.nas.identity import identity
from earlycall.nas.labels import label, standings
from earlycall.nas.predictor import Predictor
from earlycall.scores.ranks import rank_correlation

TARGETS = ("outlook", "tse", "lcga_d1")
EPOCHS = {"outlook": (1, 2, 5), "tse": (2, 5), "lcga_d1": (5,)}  # LCGA's burn-in takes two
BUDGETS = (5, 10, 20)
KNOWN = 0.6  # of the architectures may be trained


class Runs:
    """The runs of a curve set that have an outcome; settings stand for themselves."""

    def __init__(self, path):
        curves = ec.read(path)
        ended = curves.runs.filter(pl.col("final").is_not_null())["run"].to_list()
        self.curves = curves.select(runs=ended)
        self.table = self.curves.runs.select(pl.col("^(arch|hp)\\..*$"))
        self.name = str(path).rstrip("/").rpartition("/")[2]
        self.architecture = np.array([identity(row) for row in self.table.to_dicts()])
        column = "epoch" if "epoch" in self.curves.observations.columns else "step"
        counts = self.curves.observations.group_by("run_id").agg(pl.col(column).n_unique())
        self.epochs = int(counts[column].median())
        self.outcome = self.labels("final", None)

    def labels(self, target, epochs):
        """What each run is graded by, larger is better, in the order of the runs."""
        found = label(self.curves, target=target, epochs=epochs)
        value = dict(zip(found.runs["run"], found.value, strict=True))
        return np.array([value.get(run, np.nan) for run in self.curves.runs["run"]])

    def split(self, seed):
        """Runs that may be trained, in random order, and those of other architectures."""
        draw = np.random.default_rng(seed)
        names = draw.permutation(np.unique(self.architecture))
        may = np.isin(self.architecture, names[: round(KNOWN * len(names))])
        return draw.permutation(np.flatnonzero(may)), np.flatnonzero(~may)


def told(runs, value, trained, unseen, seed):
    """Spearman on architectures that were not trained."""
    y = standings(value[trained], ["a"] * len(trained))
    fitted = Predictor(None, seed, assess=False).fit(runs.table[trained], y)
    return rank_correlation(fitted.predict(runs.table[unseen]), runs.outcome[unseen])


def rows_of(runs, splits):
    """By label: how well it ranks, and Spearman by budget and split."""
    labels = {("final", runs.epochs): runs.outcome} | {
        (target, epochs): runs.labels(target, epochs) for target in TARGETS
        for epochs in EPOCHS[target] if epochs < runs.epochs
    }  # fmt: skip
    for (target, epochs), value in labels.items():
        own = rank_correlation(np.where(np.isfinite(value), value, -np.inf), runs.outcome)
        found = []
        for before, budget in zip((0, *BUDGETS), BUDGETS, strict=False):
            number, enough = budget * runs.epochs // epochs, before * runs.epochs // epochs
            found.append([
                told(runs, value, may[:number], unseen, seed)
                for seed in range(splits) for may, unseen in [runs.split(seed)]
                if enough < len(may)  # else all were trained for the budget before
            ])  # fmt: skip
        yield target, epochs, own, found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("curve_sets", nargs="+")
    parser.add_argument("--splits", type=int, default=10)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for path in given.curve_sets:
        runs = Runs(path)
        print(f"| {runs.name}, {len(runs.outcome)} runs | its own Spearman | "
              + " | ".join(f"{b} trainings" for b in BUDGETS) + " |")  # fmt: skip
        print("|---|---|" + "---|" * len(BUDGETS), flush=True)
        for target, epochs, own, found in rows_of(runs, given.splits):
            shown = "outcomes" if target == "final" else f"`{target}` of {epochs} epochs"
            cells = [
                f"{np.mean(f):.2f} ± {np.std(f, ddof=1) / np.sqrt(len(f)):.2f}" if f else "–"
                for f in found
            ]
            print(f"| {shown} | {own:.2f} | " + " | ".join(cells) + " |", flush=True)
        print()


if __name__ == "__main__":
    main()
