"""Whether a predictor keeps what it promises: unseen architectures of curve sets with outcomes.

    python experiments/nas_promise.py SET=TRAINED [SET=TRAINED …] [--splits 3] [--families]

TRAINED is the number of runs to learn from, or a part of them such as 0.6. The rest (at most 1,000)
is ranked. Prints, as means over random splits, the Spearman correlation there, the promised one,
and how often the predicted standing is within one and two standard errors. No architecture, and
with --families no family, is on both sides.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import earlycall as ec
from earlycall.nas.identity import family, identity
from earlycall.nas.labels import label
from earlycall.nas.predictor import fit_labels
from earlycall.scores.ranks import mean_ranks, rank_correlation

MOST = 1000


def split(held, trained, seed):
    """Rows to learn from and to rank, all rows of one held-out unit on the same side."""
    units, number = np.unique(held, return_inverse=True)
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(units))
    count = round(trained * len(units)) if trained < 1 else int(trained)
    known = np.isin(number, order[:count])
    return np.flatnonzero(known), draw.permutation(np.flatnonzero(~known))[:MOST]


def measured(curves, trained, seed, families):
    """What was reached, promised, and covered by one and two standard errors, and seconds."""
    found = label(curves, target="final")
    rows = found.runs.to_dicts()
    held = np.array([str(family(row)) if families else identity(row) for row in rows])
    known, unknown = split(held, trained, seed)
    names = curves.runs["run"].to_numpy()
    start = time.process_time()
    predictor = fit_labels(label(curves.select(runs=names[known].tolist()), target="final"))
    seconds = time.process_time() - start
    score, se = predictor.predict(found.runs[unknown], return_std=True)
    truth = (mean_ranks(found.value[unknown]) - 0.5) / len(unknown)
    off = np.abs(score - truth) / se
    quality = predictor.quality_
    print(f"  split {seed}: {quality}; model {predictor.regressor_.model_}", flush=True)
    reached = rank_correlation(score, found.value[unknown])
    return reached, quality.spearman, (off < 1).mean(), (off < 1.96).mean(), seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="+", metavar="SET=TRAINED")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--families", action="store_true")
    given = parser.parse_args()
    for text in given.sets:
        path, _, trained = text.rpartition("=")
        curves = ec.read(Path(path))
        rows = [measured(curves, float(trained), s, given.families) for s in range(given.splits)]
        reached, promised, one, two, seconds = np.mean(rows, axis=0)
        print(
            f"{text}: reached {reached:.3f}, promised {promised:.3f}, within 1 se {one:.2f}, "
            f"within 1.96 se {two:.2f}, {seconds:.0f} s to fit",
            flush=True,
        )


if __name__ == "__main__":
    main()
