"""Which early score calls the winner: scores × epochs seen, over all runs and within groups.

The comparison of the paper that this project implements (Zhao et al., IPDPSW 2022): train popular
models under several settings, score them after a few epochs, and see how well each score agrees
with the final test accuracies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from earlycall.curves import Axis, CurveSet
from earlycall.curves.columns import is_held_out
from earlycall.errors import InputError
from earlycall.evaluation.agreement import Resampled, agreement, resampled
from earlycall.results import draw
from earlycall.scores import get

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure

    Floats = NDArray[np.float64]

View = Literal["overall", "architectures", "settings"]
Level = Literal["step", "epoch"]
EPOCHS = (1, 2, 3, 5, 10)
VIEWS: dict[View, tuple[str, ...]] = {  # what is the same for all runs of a group
    "overall": (),
    "architectures": ("setting", "seed"),
    "settings": ("architecture", "seed"),
}
LEVELS: tuple[Level, ...] = ("step", "epoch")
FROM_TRAINING = (
    "outlook", "last_loss", "min_loss", "tse", "tse_e", "tse_ema",
    "lcga_d1", "lcga_norm", "lcga_d1_ema", "lcga_norm_ema",
)  # fmt: skip
FROM_VALIDATION = ("outlook", "last_val_loss", "best_val_metric")
RESAMPLES = 1000
_SCHEMA: dict[str, Any] = {
    "set": pl.String, "view": pl.String, "level": pl.String, "from": pl.String,
    "score": pl.String, "epochs": pl.Int64, "groups": pl.Int64, "n": pl.Int64,
    "excluded": pl.Int64,
    **{f"{what}{end}": pl.Float64 for what in ("spearman", "kendall", "top1_regret", "points_lost")
       for end in ("", "_low", "_high")},
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """How well early scores agree with the final test accuracies of studies.

    Attributes:
        table: a row per set, view, level, information, score and number of epochs seen:
            ``spearman``, ``kendall``, ``top1_regret`` (as a part of the spread between best and
            median) and ``points_lost`` (the same in points of accuracy), means over the view's
            groups, each with a 95 % interval ``_low``, ``_high``; null where the score cannot tell.
        savings: a row per set, score, epochs seen and number of runs kept: ``cost_pct`` of
            training all runs to the end, and the ``points_lost``.
    """

    table: pl.DataFrame
    savings: pl.DataFrame

    def plot(self, **options: Any) -> Figure:
        """Agreement by epochs seen; options of `earlycall.plots.early_agreement`.

        Raises:
            InputError: if plotly is not installed, or there is nothing to draw.
        """
        return draw("early_agreement", self, **options)


def compare(
    sets: CurveSet | Sequence[CurveSet],
    *,
    epochs: Sequence[int] = EPOCHS,
    axis: Axis = "observation",
    resamples: int = RESAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare early scores with the outcomes of studies.

    Views: ``overall``, all runs of a study; ``architectures``, those of one setting; ``settings``,
    those of one architecture. Levels: the loss of every ``step``, or the mean of every ``epoch``.
    Excluded, and counted: runs without an outcome (stopped early), whose prefix is not finite, or
    with nothing left to train after it. Intervals resample the architectures: what another choice
    of architectures would have said.

    Args:
        sets: curve sets exported from studies (with ``arch.name`` and ``hp.setting``).
        epochs: budgets, in epochs seen.
        axis: the axis along which curves are fitted; ``epoch`` brings different batch sizes to
            one scale.
        resamples: how many samples the intervals rest on; 0 for none.
        progress: called with (done, total) after each part of the work.

    Raises:
        InputError: if a set is no study's: without epochs, outcomes, architectures or settings.

    Examples:
        >>> from earlycall import read
        >>> curves = read("examples/study/fashion")
        >>> found = compare(curves, epochs=[3], resamples=0).table
        >>> found.filter(score="last_loss", view="overall")["n"].to_list()
        [52, 52]
    """
    several = [sets] if isinstance(sets, CurveSet) else list(sets)
    for curves in several:
        _check(curves)
    parts = [(curves, level, budget) for curves in several for level in LEVELS for budget in epochs]
    rows: list[dict[str, Any]] = []
    saved: list[dict[str, Any]] = []
    for done, (curves, level, budget) in enumerate(parts):
        if progress is not None:
            progress(done, len(parts))
        for told in _told(curves, level, budget, axis):
            rows += _rows(told, resamples)
            saved += _savings(told, curves)
    if progress is not None:
        progress(len(parts), len(parts))
    return Comparison(
        pl.DataFrame(rows, schema=_SCHEMA), pl.DataFrame(saved, infer_schema_length=None)
    )


def _check(curves: CurveSet) -> None:
    name = curves.name or "the curve set"
    for column in ("final", "arch.name", "hp.setting"):
        if column not in curves.runs.columns:
            raise InputError(
                f"{name} has no column {column!r} in its table of runs; export it from a study by "
                "earlycall study export"
            )
    if "epoch" not in curves.observations.columns:
        raise InputError(f"{name} has no column 'epoch'; budgets are counted in epochs")


@dataclass(frozen=True)
class _Told:
    """What the scores say of the runs that can be judged, in one view.

    Attributes:
        key: set, view, level, where the scores look, epochs.
        groups: for each group, the rows (within ``runs``) of its runs.
        runs: the names of the runs judged.
        architecture: shape (n,), a number for each architecture.
        outcome: shape (n,), the final test accuracy.
        scores: by name, shape (n,), computed within each group.
        excluded: runs that cannot be judged.
    """

    key: dict[str, Any]
    groups: list[NDArray[np.int64]]
    runs: list[str]
    architecture: NDArray[np.int64]
    outcome: Floats
    scores: dict[str, Floats]
    excluded: int


def _told(curves: CurveSet, level: Level, budget: int, axis: Axis) -> Iterator[_Told]:
    metric = curves.metric()
    rows = curves.observations.filter(pl.col("epoch") < budget)
    length = curves.observations.group_by("run_id").agg(pl.col("epoch").max() + 1)
    finite = rows.group_by("run_id").agg(pl.col(metric).drop_nulls().is_finite().all())
    runs = (
        curves.runs.with_row_index("run_id")
        .join(length, on="run_id", how="left")
        .join(finite, on="run_id", how="left")
    )
    seed = pl.col("seed").cast(pl.String) if "seed" in runs.columns else pl.lit("0")
    runs = runs.with_columns(
        architecture=pl.col("arch.name"), setting=pl.col("hp.setting"), seed=seed
    )
    able = pl.col("final").is_finite() & pl.col(metric) & (pl.col("epoch") > budget)
    judged = runs.filter(able.fill_null(value=False))
    if level == "epoch":
        rows = _by_epoch(rows, metric)
    for view, same in VIEWS.items():
        grouped = judged.with_columns(group=pl.concat_str([pl.lit(view), *same], separator=" "))
        enough = grouped.filter(pl.len().over("group") >= 3)
        if not enough.height:
            continue
        for source, names in (("training", FROM_TRAINING), ("validation", FROM_VALIDATION)):
            seen = rows if source == "validation" else rows.drop(_validation(rows))
            key = {"set": curves.name, "view": view, "level": level, "from": source,
                   "epochs": budget}  # fmt: skip
            yield _scored(key, seen, enough, names, axis, curves.runs.height - enough.height)


def _validation(rows: pl.DataFrame) -> list[str]:
    return [c for c in rows.columns if is_held_out(c)]


def _by_epoch(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """A row per epoch: the mean training loss, and the last of everything else."""
    others = [c for c in rows.columns if c not in ("run_id", "epoch", metric)]
    return (
        rows.group_by("run_id", "epoch", maintain_order=True)
        .agg(pl.col(metric).mean(), pl.col(others).drop_nulls().last())
        .sort("run_id", "epoch")
    )


def _scored(
    key: dict[str, Any], rows: pl.DataFrame, runs: pl.DataFrame, names: Sequence[str],
    axis: Axis, excluded: int,
) -> _Told:  # fmt: skip
    """What each score says of each run within its group."""
    known = runs.select("run_id", "group", "run")
    frame = rows.join(known, on="run_id", how="inner", maintain_order="left").drop("run_id")
    told = runs.drop("run_id", "epoch", "architecture", "setting")
    prefixes = CurveSet.from_frame(frame, told).prefixes(axis=axis)
    order = [run for p in prefixes for run in p.runs]
    sorted_runs = pl.DataFrame({"run": order}).join(runs, on="run", maintain_order="left")
    scores = {name: np.full(len(order), np.nan) for name in names}
    groups, start = [], 0
    for p in prefixes:
        for name in names:
            score = get(name)
            long = np.flatnonzero(p.loss.lengths >= score.shortest)
            if len(long):
                scores[name][start + long] = score(p.take(long)).score
        groups.append(np.arange(start, start + len(p)))
        start += len(p)
    numbers = sorted_runs["architecture"].rank("dense").to_numpy().astype(np.int64) - 1
    final = sorted_runs["final"].cast(pl.Float64).to_numpy()
    return _Told(key, groups, order, numbers, final, scores, excluded)


def _rows(told: _Told, resamples: int) -> Iterator[dict[str, Any]]:
    for name, score in told.scores.items():
        able = [rows for rows in told.groups if not np.isnan(score[rows]).all()]
        row = told.key | {
            "score": name, "groups": len(told.groups), "n": len(told.runs),
            "excluded": told.excluded,
        }  # fmt: skip
        if len(able) == len(told.groups):
            row |= _statistics(told, score)
            if resamples:
                row |= _intervals(told, score, resamples)
        yield row


def _statistics(told: _Told, score: Floats) -> dict[str, float | None]:
    """Means over the groups; groups whose outcomes are all equal say nothing."""
    found: dict[str, list[float]] = {}
    for rows in told.groups:
        a = agreement(score[rows], told.outcome[rows], resamples=0)
        lost = _points_lost(_complete(score[rows]), told.outcome[rows])
        values = {"spearman": a.spearman, "kendall": a.kendall, "top1_regret": a.top1_regret,
                  "points_lost": lost}  # fmt: skip
        for key, value in values.items():
            if value is not None:
                found.setdefault(key, []).append(value)
    return {key: float(np.mean(values)) for key, values in found.items()}


def _complete(score: Floats) -> Floats:
    """A score that tells each run: one that it cannot tell counts as the worst."""
    return np.where(np.isnan(score), np.nanmin(score) - 1, score)


def _points_lost(score: Floats, outcome: Floats) -> float:
    """Points of accuracy between the best run and the one ranked first, the mean of ties."""
    return float(100 * (outcome.max() - outcome[score == score.max()].mean()))


def _intervals(told: _Told, score: Floats, resamples: int) -> dict[str, float]:
    """95 % intervals, over resampled architectures."""
    count = int(told.architecture.max()) + 1
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), resamples)
    several = told.key["view"] == "settings"
    sums: dict[str, Floats] = {}
    weights: dict[str, Floats] = {}
    for rows in told.groups:
        times = drawn[:, told.architecture[rows]].astype(np.float64)
        # A group of one architecture is drawn as a whole, so many times.
        weight = times[:, 0] if several else np.ones(resamples)
        inner = np.ones((1, len(rows))) if several else times
        one: Resampled = resampled(_complete(score[rows]), told.outcome[rows], inner)
        for key, value in vars(one).items():
            whole = np.broadcast_to(value, resamples)
            good = np.isfinite(whole)
            sums[key] = sums.get(key, 0.0) + np.where(good, whole, 0.0) * weight
            weights[key] = weights.get(key, 0.0) + good * weight
    out: dict[str, float] = {}
    for key, total in sums.items():
        told_of = weights[key] > 0
        means = total[told_of] / weights[key][told_of]
        if len(means):
            low, high = np.quantile(means, [0.025, 0.975])
            out |= {f"{key}_low": float(low), f"{key}_high": float(high)}
    return out


def _savings(told: _Told, curves: CurveSet) -> Iterator[dict[str, Any]]:
    """What it costs to train all runs for some epochs and only the best few to the end."""
    key = told.key
    if key["view"] != "overall" or key["level"] != "step":
        return
    if "seconds" not in curves.observations.columns:
        return
    names = pl.DataFrame({"run": told.runs})
    ids = curves.runs.with_row_index("run_id").select("run_id", "run")
    spent = curves.observations.group_by("run_id").agg(
        pl.col("seconds").filter(pl.col("epoch") < key["epochs"]).max().alias("early"),
        pl.col("seconds").max().alias("whole"),
    )
    costs = names.join(ids, on="run", maintain_order="left").join(
        spent, on="run_id", maintain_order="left"
    )
    early, whole = costs["early"].to_numpy(), costs["whole"].to_numpy()
    for name, score in told.scores.items():
        if np.isnan(score).all():
            continue
        order = np.argsort(-_complete(score), kind="stable")
        for kept in (1, 3, 5):
            best = order[:kept]
            cost = early.sum() + (whole - early)[best].sum()
            yield {
                "set": key["set"], "from": key["from"], "score": name, "epochs": key["epochs"],
                "kept": kept, "n": len(told.runs), "cost_pct": float(100 * cost / whole.sum()),
                "points_lost": float(100 * (told.outcome.max() - told.outcome[best].max())),
            }  # fmt: skip
