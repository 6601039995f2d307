"""Leave-one-architecture-out ranking of a study's vision models.

    python experiments/nas_vision.py CURVESET

Each architecture is held out with all of its runs; a predictor that learnt from the others ranks
it. Writes docs/nas_vision.md.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import polars as pl

import earlycall as ec
from earlycall.curves.outcomes import outcomes
from earlycall.nas.labels import label
from earlycall.nas.predictor import Predictor
from earlycall.scores.ranks import rank_correlation

ROOT = Path(__file__).parent.parent
LABELS = {"the outcome": ("final", None), "`outlook` of 4 epochs": ("outlook", 4)}
COLUMNS = {
    "all that is known": lambda c: True,
    "the graph": lambda c: c == "arch.graph" or c.startswith("hp."),
    "parameters and FLOPs": lambda c: c in ("arch.params", "arch.flops") or c.startswith("hp."),
}


def held_out(table, known, y):
    """What is predicted of each run by a predictor that has not seen its architecture."""
    names = table["arch.name"].to_numpy()
    shown = table.select(known)
    predicted = np.full(len(y), np.nan)
    for name in dict.fromkeys(names.tolist()):
        rest = names != name
        fitted = Predictor(assess=False).fit(shown.filter(pl.Series(rest)), y[rest])
        predicted[~rest] = fitted.predict(shown.filter(pl.Series(~rest)))
    return predicted


def by_setting(runs, a, b):
    """The mean correlation over settings: architectures against each other, all else equal."""
    settings = runs["hp.setting"].to_numpy()
    found = [
        rank_correlation(a[settings == s], b[settings == s])
        for s in dict.fromkeys(settings.tolist())
        if (settings == s).sum() >= 5
    ]
    return float(np.mean(found))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("curve_set", type=Path)
    curves = ec.read(parser.parse_args().curve_set)
    finished = curves.runs.filter(pl.col("final").is_not_null())["run"].to_list()
    curves = curves.select(runs=finished)
    truth = outcomes(curves.runs)
    rows = []
    for shown, (target, epochs) in LABELS.items():
        found = label(curves, target=target, epochs=epochs)
        order = {run: i for i, run in enumerate(found.runs["run"])}
        mine = np.array([order[run] for run in curves.runs["run"]])
        for kind, wanted in COLUMNS.items():
            columns = [c for c in found.runs.columns if c == "arch.name" or wanted(c)]
            table = found.runs.select(columns)
            known = [c for c in columns if c != "arch.name" or kind == "all that is known"]
            predicted = held_out(table, known, found.standing)[mine]
            rows.append((shown, kind, rank_correlation(predicted, truth),
                         by_setting(curves.runs, predicted, truth)))  # fmt: skip
            print(rows[-1], flush=True)
    for column in ("arch.params", "arch.flops"):
        size = curves.runs[column].to_numpy().astype(float)
        rows.append(("nothing", f"{column} itself", rank_correlation(size, truth),
                     by_setting(curves.runs, size, truth)))  # fmt: skip
    n = curves.runs["arch.name"].n_unique()
    lines = [
        "# Vision models, as measured", "",
        f"Written by `experiments/nas_vision.py` from {len(curves)} runs of {n} architectures "
        "of the study (`examples/study`): each architecture is held out with all its runs, and a "
        "predictor that learnt from the others ranks it. Spearman with the outcome: over all "
        "runs (which settings are good is then known from the others), and of the architectures "
        "against each other within a setting, the harder question.", "",
        "| labels | described by | all runs | within a setting |", "|---|---|---|---|",
        *(f"| {a} | {b} | {x:.2f} | {y:.2f} |" for a, b, x, y in rows), "",
        "A negative figure of a size says that smaller models did better here, on small images and "
        "a short training; with its direction learnt, it counts as much as a positive one. With "
        "so few architectures, that single number is hard to beat.", "",
    ]  # fmt: skip
    (ROOT / "docs" / "nas_vision.md").write_text("\n".join(lines))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
