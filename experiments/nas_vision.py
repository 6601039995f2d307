"""Vision models that were never trained, ranked by a predictor that learnt from the others.

    python experiments/nas_vision.py CURVESET…

Each family of models (where a set has only one or two of each, each architecture) is held out with
all of its runs. Writes docs/nas_vision.md.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import polars as pl

import earlycall as ec
from earlycall.curves.outcomes import outcomes
from earlycall.nas.labels import label, standings
from earlycall.nas.predictor import Predictor
from earlycall.scores.ranks import rank_correlation

ROOT = Path(__file__).parent.parent
LABELS = {"the outcome": ("final", None), "`outlook` of 2 epochs": ("outlook", 2)}
COLUMNS = {
    "all that is known": lambda c: c != "arch.family",
    "the graph": lambda c: c == "arch.graph" or c.startswith("hp."),
    "parameters and FLOPs": lambda c: c in ("arch.params", "arch.flops") or c.startswith("hp."),
}
SIZES = ("arch.params", "arch.flops")
MIN_MEMBERS = 3  # of a family, to be ranked against each other


class Study:
    """The runs of a study that have an outcome, under the settings that most of them have ended."""

    def __init__(self, path):
        curves = ec.read(path)
        ended = curves.runs.filter(pl.col("final").is_not_null())
        shared = pl.col("arch.name").n_unique().over("hp.setting")
        ended = ended.filter(shared >= ended["arch.name"].n_unique() / 2)
        self.curves = curves.select(runs=ended["run"].to_list())
        self.runs, self.name = self.curves.runs, path.name
        self.outcome = outcomes(self.runs)
        self.setting = self.runs["hp.setting"].to_numpy()
        self.architecture = self.runs["arch.name"].to_numpy()
        self.family = self.runs["arch.family"].to_numpy()
        several = len(set(self.architecture)) >= MIN_MEMBERS * len(set(self.family))
        self.held, self.what = (
            (self.family, "family") if several else (self.architecture, "architecture")
        )

    def labels(self, target, epochs):
        """How good each run was, larger is better."""
        found = label(self.curves, target=target, epochs=epochs)
        value = dict(zip(found.runs["run"], found.value, strict=True))
        return np.array([value.get(run, -np.inf) for run in self.runs["run"]])

    def truth(self):
        """The part of the others' runs, those of its own family left out, that each run beats."""
        return self._each(lambda rest, own: _beaten(self.outcome[own], self.outcome[rest]))

    def predicted(self, columns, value):
        """The same as a predictor says that has learnt from the others alone."""
        table = self.runs.select(columns)

        def learnt(rest, own):
            y = standings(value[rest], ["others"] * int(rest.sum()))
            fitted = Predictor(assess=False).fit(table.filter(pl.Series(rest)), y)
            return fitted.predict(table.filter(pl.Series(own)))

        return self._each(learnt)

    def by_size(self, column):
        """The same as a size alone says, whose direction is that of the others."""
        size = self.runs[column].to_numpy().astype(float)

        def counted(rest, own):
            direction = np.sign(rank_correlation(size[rest], self.outcome[rest])) or 1.0
            return _beaten(direction * size[own], direction * size[rest])

        return self._each(counted)

    def _each(self, of):
        out = np.full(len(self.outcome), np.nan)
        for name in dict.fromkeys(self.held.tolist()):
            own = self.held == name
            out[own] = of(~own, own)
        return out

    def judged(self, predicted):
        """Spearman over all runs, within a setting, and within a setting and a held-out family."""
        truth = self.truth()
        settings = [self.setting == s for s in dict.fromkeys(self.setting.tolist())]
        families = [self.family == f for f in dict.fromkeys(self.family.tolist())]
        within = [s & f for s in settings for f in families if (s & f).sum() >= MIN_MEMBERS]
        return (
            rank_correlation(predicted, truth),
            _mean([rank_correlation(predicted[s], truth[s]) for s in settings]),
            _mean([rank_correlation(predicted[p], truth[p]) for p in within])
            if self.what == "family" else None,
        )  # fmt: skip


def _beaten(values, others):
    """The part of the others that each beats, ties shared."""
    less, same = values[:, None] > others, values[:, None] == others
    return (less + same / 2).mean(axis=1)


def _mean(values):
    return float(np.mean(np.nan_to_num(values)))


def section(study):
    """A table of what is told of one study."""
    known = [c for c in study.runs.columns if c.startswith(("arch.", "hp."))]
    rows = []
    for shown, (target, epochs) in LABELS.items():
        value = study.labels(target, epochs)
        for kind, wanted in COLUMNS.items():
            columns = [c for c in known if wanted(c) and (c != "arch.name" or kind[0] == "a")]
            rows.append((shown, kind, *study.judged(study.predicted(columns, value))))
            print(study.name, rows[-1], flush=True)
    for column in SIZES:
        rows.append(("–", f"`{column}` alone", *study.judged(study.by_size(column))))
        print(study.name, rows[-1], flush=True)
    n, families = len(set(study.architecture.tolist())), len(set(study.family.tolist()))
    return [
        f"## {study.name}", "",
        f"{len(study.runs)} runs of {n} architectures of {families} families; held out: each "
        f"{study.what}.", "",
        "| labels | described by | all runs | within a setting | within a family |",
        "|---|---|---|---|---|",
        *("| " + " | ".join([*row[:2], *("–" if v is None else f"{v:.2f}" for v in row[2:])]) + " |"
          for row in rows),
        "",
    ]  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("curve_sets", nargs="+", type=Path)
    studies = [Study(path) for path in parser.parse_args().curve_sets]
    lines = [
        "# Vision models, as measured", "",
        "Written by `experiments/nas_vision.py` from the [studies](study.md): a predictor that has "
        "learnt from the runs of all other families (where there are few of each, of all other "
        "architectures) ranks those of one that it has never seen.", "",
        "Every figure is a Spearman correlation. What is told of a run is the part of the *others* "
        "that it will beat, and it is compared with the part that it did beat. So the figures are "
        "free of a bias that the usual pooling has: where the mean of what was learnt from is "
        "part of each prediction, it is the lower the better what was held out, and even a "
        "predictor that only knows the mean ranks the wrong way round. *All runs*: also which "
        "settings are good counts, which is known from the others. *Within a setting*: the "
        "architectures against each other, mean over settings. *Within a family*: the members of "
        "a held-out family against each other under a setting, mean over families and settings. "
        "A size alone takes its direction from the others.", "",
        *(line for study in studies for line in section(study)),
    ]  # fmt: skip
    (ROOT / "docs" / "nas_vision.md").write_text("\n".join(lines))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
