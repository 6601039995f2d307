"""What collected runs tell of another data set: architectures ranked there, before and after its
first results.

    python experiments/nas_transfer.py COLLECTED NEW [--splits 10]

Some runs of NEW, drawn at random, are added to those of COLLECTED; the others are ranked. Prints
Spearman correlations with their outcomes, means and standard errors over draws: of all, and of the
architectures that COLLECTED knows by name; by features alone, and by what is known elsewhere, too.
Of whole architectures, before any result, also that of the plain mean of their standings.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

import earlycall as ec
from earlycall.nas.known import Known, elsewhere
from earlycall.nas.labels import label, standings
from earlycall.nas.predictor import fit_labels
from earlycall.scores.ranks import rank_correlation

FIRST = (0, 5, 10, 20)


def together(labels, rows):
    """The labels of a collection with those of some runs of the new data set."""
    first, new = labels
    runs = pl.concat([first.runs, new.runs[rows]], how="diagonal_relaxed")
    value = np.concatenate([first.value, new.value[rows]])
    noise = np.concatenate([first.noise, new.noise[rows]])
    standing = standings(value, runs["group"].to_list())
    return replace(first, runs=runs, value=value, standing=standing, noise=noise)


def means(score, names):
    """The mean score of each architecture."""
    return np.array([score[names == name].mean() for name in sorted(set(names))])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("collected", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--splits", type=int, default=10)
    given = parser.parse_args()
    labels = [label(ec.read(path), target="final") for path in (given.collected, given.new)]
    there, here = (np.array([elsewhere(r) for r in of.runs.to_dicts()]) for of in labels)
    known = np.isin(here, there)
    plain = {name: labels[0].standing[there == name].mean() for name in there}
    shared = here[known]
    truth = means(labels[1].standing[known], shared)
    told = means(np.array([plain[name] for name in shared]), shared)
    print(f"{len(set(shared))} architectures by plain means: {rank_correlation(told, truth):.3f}")
    score = fit_labels(labels[0]).predict(labels[1].runs)
    print(f"by the predictor: {rank_correlation(means(score[known], shared), truth):.3f}")
    for first in FIRST:
        found = []
        for seed in range(given.splits if first else 1):
            order = np.random.default_rng(seed).permutation(len(here))
            added, rest = order[:first], order[first:]
            predictor = fit_labels(together(labels, added))
            of = labels[1].runs[rest]
            both = predictor.predict(of)
            predictor.known_ = Known()
            alone = predictor.predict(of)
            for part in (np.ones(len(rest), bool), known[rest]):
                value = labels[1].value[rest][part]
                found.append([rank_correlation(s[part], value) for s in (alone, both)])
        rows = np.array(found).reshape(-1, 4)
        error = rows.std(axis=0) / np.sqrt(len(rows))
        texts = [f"{m:.2f} ± {e:.2f}" for m, e in zip(rows.mean(axis=0), error, strict=True)]
        print(
            f"{first:2} first results: all by features {texts[0]}, known elsewhere {texts[1]}; "
            f"those known by features {texts[2]}, known elsewhere {texts[3]}",
            flush=True,
        )


if __name__ == "__main__":
    main()
