"""Write the page of the studies' results: python experiments/study.py [FOLDER] (needs a browser).

The page and its pictures are made from the curve sets in examples/study, in about a minute.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import spearmanr

import earlycall as ec
from earlycall import plots
from earlycall.approximation.gradient import lcga
from earlycall.evaluation.by_epochs import Comparison, compare

ROOT = Path(__file__).parent.parent
STUDIES = ROOT / "examples" / "study"
NAMES = ("digits", "fashion")  # of thin's few epochs, nas_vision.py tells
VIEWS = {
    "overall": "All runs",
    "architectures": "Architectures, under one setting",
    "settings": "Settings, of one architecture",
}
LEVELS = {"step": "a loss for each step", "epoch": "a loss for each epoch"}
LCGA = ("lcga_d1", "lcga_norm", "lcga_d1_ema", "lcga_norm_ema")
TSE = ("tse", "tse_e", "tse_ema")
MEASURES = {"spearman": "Spearman", "kendall": "Kendall's τ", "top1_regret": "top-1 regret"}
EARLY = ((0, 0.25), (0, 0.5), (0, 1), (0, 3), (0, 10), (2, 3), (2, 10))  # burn-in, epochs

INTRODUCTION = """# The study: who called the winner?

The experiment of the paper that this project implements, on real images: popular vision models,
thin enough for a small machine, trained under different settings, scored after 1, 2, 3, 5 and 10
of 20 epochs, and compared by the final accuracies on a test part that nothing else was chosen by.
Nothing was left out but what cannot be judged (runs whose losses are no longer finite), and that
is counted.

- Made again from the curves in `examples/study` by one command: `python experiments/study.py`.
- Trained again: `earlycall study run examples/study/fashion.yaml -o study/`, then
  `earlycall study export study/ -o examples/study/fashion`. Here it took an hour and 40 minutes on
  two cores that other work shared, so seconds say little of single runs.
- A third study, `examples/study/thin.yaml`, has many thin architectures and few epochs: enough of
  them to ask how a family is ranked that was never trained ([vision models](nas_vision.md)).
- In brackets: 95 % intervals over resampled architectures, that is, what another choice of
  architectures would have said. Means over the groups of a view.
"""

SAYS = """\
- **While all runs still fall**, in the first epochs and without burn-in, what falls fastest is
  what has learned most, and the slope ranks in the right direction. On digits, of 16 to 32 steps an
  epoch, it there ranks better than the mean loss: +0.60 against +0.27 after a quarter of an epoch,
  +0.64 against +0.45 after half of one, and across architectures still after 10 epochs (+0.76
  against +0.66). In this regime the claim holds. On Fashion-MNIST, of 40 to 79 steps an epoch, the
  mean loss ranks better from the first quarter of an epoch on.
- **Once the fast learners have flattened**, the published burn-in of 2 epochs has cut away just the
  part of the curve in which they fell. What still falls fastest is then what learns slowly, and
  LCGA ranks it first: from +0.36 after 3 epochs to −0.09 after 10 on digits, from −0.22 to −0.41 on
  Fashion-MNIST, where TSE stays at +0.72 to +0.88.
- **Losses per step or per epoch** make no difference to that: the fit of 3 to 10 epochs' means says
  what the fit of all steps says. TSE is made of epochs' means anyway. It is the last loss that
  differs: of a single step it is noisy, as a mean of an epoch it ranks like TSE.
- The paper's regime, ten epochs of a hard task of which most of the training is still to come, is
  not this one: here the curves bend within two epochs. On 28 public CIFAR runs of hundreds of
  epochs ([the comparison](evaluation.md), `cifar_classics`) LCGA does rank better than TSE, +0.46
  against −0.11 at 5 % of training, though with intervals that overlap. Over 75 rows of sets and
  budgets, without burn-in the steepest first ranks better than TSE in 22, all of CIFAR and GluonCV
  among them; with the published burn-in in 16 ([both burn-ins, both orientations](lcga.md)).
- The default, `outlook`, is made for rankings of many settings by single losses. Among these few,
  very different architectures it ranks at or below TSE from training losses alone; with the
  validation losses, which it uses where they are logged, about as TSE does.
"""


def main(folder: Path) -> None:
    """Write the page and its pictures."""
    sets = {name: ec.read(STUDIES / name) for name in NAMES}
    found = compare(list(sets.values()))
    parts = [INTRODUCTION, *verdict(found, sets)]
    for name, curves in sets.items():
        parts += [*described(name, curves), *tables(found, name)]
        (folder / "images").mkdir(exist_ok=True)
        plots.write(found.plot(of=name), folder / "images" / f"study-{name}.svg", width=1000)
    (folder / "study.md").write_text("\n".join(parts) + "\n")


def verdict(found: Comparison, sets: dict[str, ec.CurveSet]) -> Iterator[str]:
    """What the page says of the paper's claim, in numbers."""
    yield "## Does LCGA outperform TSE?\n"
    told = found.table.filter(pl.col("spearman").is_not_null())
    keys = ["set", "view", "level", "epochs"]
    best = {
        family: told.filter(pl.col("score").is_in(names)).sort("spearman", descending=True)
        .group_by(keys, maintain_order=True).first()
        for family, names in (("lcga", LCGA), ("tse", TSE))
    }  # fmt: skip
    both = best["lcga"].join(best["tse"], on=keys, suffix="_tse")
    ahead = both.filter(pl.col("spearman") > pl.col("spearman_tse")).height
    below = both.filter(pl.col("spearman_high") < pl.col("spearman_low_tse")).height
    negative = both.filter(pl.col("spearman") < 0).height
    yield (
        "Not as published. "
        f"Over {both.height} comparisons (sets × views × losses per step or epoch × 3, 5 "
        f"and 10 epochs; with fewer the published burn-in of 2 epochs leaves LCGA nothing), the "
        f"best of LCGA's four forms ranks better than the best of TSE's three in {ahead}; in "
        f"{below} its interval lies wholly below TSE's, and in {negative} its correlation with the "
        f"outcome is negative. Spearman, mean over 3, 5 and 10 epochs, best form of each:\n"
    )
    yield "| | losses | LCGA | TSE | last loss | `outlook` | with validation: `outlook` |"
    yield "|---|---|---|---|---|---|---|"
    later = told.filter(pl.col("epochs") >= 3)
    for (name, view, level), rows in later.group_by("set", "view", "level", maintain_order=True):
        cells = [_mean(rows, names) for names in (LCGA, TSE, ("last_loss",), ("outlook",))]
        cells.append(_mean(rows, ("outlook",), source="validation"))
        yield f"| {name}: {VIEWS[str(view)].lower()} | per {level} | " + " | ".join(cells) + " |"
    yield ""
    yield from regime(sets)


def _mean(rows: pl.DataFrame, names: tuple[str, ...], source: str = "training") -> str:
    """The mean over budgets of the score that has the best one."""
    mine = rows.filter(pl.col("score").is_in(names), pl.col("from") == source)
    means = mine.group_by("score").agg(pl.col("spearman").mean())["spearman"]
    return f"{means.max():+.2f}"


def regime(sets: dict[str, ec.CurveSet]) -> Iterator[str]:
    """LCGA's slope with and without burn-in, from a quarter of an epoch on."""
    yield "### In which regime\n"
    yield (
        "The slope of the fitted curve, without and with the published burn-in B, over all steps "
        "of the first epochs; beside it the mean loss of the same steps (TSE) and the rank "
        "correlation of the two scores. Spearman with the outcome, over all runs and "
        "(in parentheses) the mean across the architectures of a setting:\n"
    )
    yield "| set | B | epochs seen | LCGA (`lcga_d1`) | mean loss | LCGA with mean loss |"
    yield "|---|---|---|---|---|---|"
    for name, curves in sets.items():
        for burn_in, epochs in EARLY:
            slope, level, judged = early(curves, burn_in, epochs)
            agreed = spearmanr(slope, level).statistic
            cells = [across(score, judged) for score in (slope, level)]
            yield f"| {name} | {burn_in} | {epochs:g} | {cells[0]} | {cells[1]} | {agreed:+.2f} |"
    yield ""
    yield from along_epochs(sets)
    yield SAYS


def along_epochs(sets: dict[str, ec.CurveSet]) -> Iterator[str]:
    """LCGA with x in epochs, so that slopes of different batch sizes compare."""
    found = compare(list(sets.values()), epochs=[3, 10], axis="epoch", resamples=0).table
    rows = found.filter(score="lcga_d1", level="step")
    yield (
        "As published, x counts observations, so that a step of a larger batch weighs as much as "
        "one of a smaller. With x in epochs instead (`--axis epoch`), `lcga_d1` after 3 and 10 "
        "epochs:\n"
    )
    for (name, view), cells in rows.group_by("set", "view", maintain_order=True):
        three, ten = cells.sort("epochs")["spearman"].to_list()
        yield f"- {name}, {VIEWS[str(view)].lower()}: {three:+.2f} and {ten:+.2f}"
    yield ""


def early(
    curves: ec.CurveSet, burn_in: int, epochs: float
) -> tuple[np.ndarray, np.ndarray, pl.DataFrame]:
    """LCGA's and TSE's scores of each run that can be judged, and those runs."""
    whole = (pl.col("step").max() / (pl.col("epoch").max() + 1)).over("run_id")
    rows = curves.observations.filter(pl.col("step") <= epochs * whole).sort("run_id", "step")
    able = rows.group_by("run_id").agg(pl.col("train_loss").is_finite().all())
    judged = curves.runs.with_row_index("run_id").join(able, on="run_id").sort("run_id")
    judged = judged.filter(pl.col("train_loss") & pl.col("final").is_finite())
    each = [rows.filter(pl.col("run_id") == i) for i in judged["run_id"]]
    losses = [one["train_loss"].to_numpy() for one in each]
    x = ec.Ragged.of([np.arange(1, len(loss) + 1) for loss in losses])
    epoch = ec.Ragged.of([one["epoch"].to_numpy() for one in each])
    slope = lcga(ec.fit_many(losses), x, epoch, burn_in=burn_in).d1
    return -slope, -np.array([loss.mean() for loss in losses]), judged


def across(score: np.ndarray, judged: pl.DataFrame) -> str:
    """Spearman over all runs, and the mean across the architectures of a setting."""
    told = judged.with_columns(score=pl.Series(score))
    within = [
        spearmanr(one["score"], one["final"]).statistic
        for _, one in told.group_by("hp.setting", maintain_order=True)
    ]
    return f"{spearmanr(told['score'], told['final']).statistic:+.2f} ({np.mean(within):+.2f})"


def described(name: str, curves: ec.CurveSet) -> Iterator[str]:
    """What was trained."""
    runs = curves.runs
    best = runs.sort("final", descending=True, nulls_last=True).row(0, named=True)
    yield f"## {name}\n"
    yield (
        f"{len(curves)} runs: {runs['arch.name'].n_unique()} architectures × "
        f"{runs['hp.setting'].n_unique()} settings, {int(curves.observations['epoch'].max()) + 1} "
        f"epochs; declared in `examples/study/{name}.yaml`. Best: `{best['run']}`, test accuracy "
        f"{best['final']:.4f}. Test accuracies by architecture, over the settings:\n"
    )
    yield "| architecture | family | parameters | MFLOPs | worst | best |"
    yield "|---|---|---|---|---|---|"
    by = runs.group_by("arch.name", maintain_order=True).agg(
        pl.col("arch.family", "arch.params", "arch.flops").first(),
        pl.col("final").min().alias("worst"), pl.col("final").max().alias("best"),
    )  # fmt: skip
    for row in by.sort("best", descending=True).iter_rows():
        architecture, family, params, flops, worst, top = row
        yield (
            f"| {architecture} | {family} | {params:,} | {flops / 1e6:.1f} | {worst:.3f} | "
            f"{top:.3f} |"
        )
    yield f"\n![Agreement by epochs seen](images/study-{name}.svg)\n"


def tables(found: Comparison, name: str) -> Iterator[str]:
    """Scores × epochs seen, for each measure, view and level; then what ranking early saves."""
    table = found.table.filter(set=name)
    for measure, title in MEASURES.items():
        for view, of in VIEWS.items():
            for level, from_ in LEVELS.items():
                rows = table.filter(view=view, level=level)
                if rows.height:
                    yield f"### {name}, {title}: {of.lower()}, {from_}\n"
                    yield from _table(rows, measure)
    yield f"### {name}: what ranking early saves\n"
    yield (
        "All runs are trained for so many epochs, and only the best 3 by a score (of the losses of "
        "each step) to the end: points of accuracy lost against the best run of all, and in "
        "parentheses the seconds spent, in % of training all to the end.\n"
    )
    saved = found.savings.filter(set=name, kept=3)
    budgets = saved["epochs"].unique().sort().to_list()
    yield from _head(budgets)
    for (source, score), cells in saved.group_by("from", "score", maintain_order=True):
        by = {row["epochs"]: row for row in cells.iter_rows(named=True)}
        shown = [
            f"{by[b]['points_lost']:.1f} ({by[b]['cost_pct']:.0f} %)" if b in by else "–"
            for b in budgets
        ]
        yield f"| {_known(source, score)} | " + " | ".join(shown) + " |"
    yield ""


def _table(rows: pl.DataFrame, measure: str) -> Iterator[str]:
    groups = rows["groups"][0]
    over = "" if groups == 1 else f" in {groups} groups"
    left = sorted(rows["excluded"].unique().to_list())
    yield f"{rows['n'].max()} runs{over}; left out: {' to '.join(map(str, left))}.\n"
    budgets = rows["epochs"].unique().sort().to_list()
    yield from _head(budgets)
    for (source, score), cells in rows.group_by("from", "score", maintain_order=True):
        by = {row["epochs"]: row for row in cells.iter_rows(named=True)}
        yield f"| {_known(source, score)} | " + " | ".join(
            _cell(by[b], measure) for b in budgets
        ) + " |"  # fmt: skip
    yield ""


def _head(budgets: list[int]) -> Iterator[str]:
    yield "| score | " + " | ".join(f"{b} epoch{'s' if b > 1 else ''}" for b in budgets) + " |"
    yield "|---|" + "---|" * len(budgets)


def _known(source: object, score: object) -> str:
    return f"`{score}`" if source == "training" else f"`{score}`, validation"


def _cell(row: dict[str, float | None], measure: str) -> str:
    value, low, high = row[measure], row[f"{measure}_low"], row[f"{measure}_high"]
    if value is None or low is None or high is None:
        return "–"
    sign = "" if measure == "top1_regret" else "+"
    return f"{value:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
