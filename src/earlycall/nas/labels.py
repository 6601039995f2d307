"""How good collected runs were: their outcomes, or early scores of their first epochs."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.curves.columns import training_loss
from earlycall.errors import CurveWarning, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earlycall.curves import CurveSet

FINAL, AUTO = "final", "auto"
EARLY_EPOCHS = 5
EARLY_SCORE = "outlook"
MIN_FINISHED = 3


@dataclass(frozen=True)
class Labels:
    """Runs to learn from, and how good each was.

    Attributes:
        runs: a row per labelled run: ``group``, ``run``, ``arch.*``, ``hp.*``.
        value: shape (n,), the outcome or early score, larger is better; NaN where the run's
            standing was bridged or it diverged.
        standing: shape (n,), the part of the group's runs that it beats, in (0, 1); predictors
            learn it, since it is comparable between groups.
        noise: shape (n,), standard errors of the standings as those of outcomes: 0 of an outcome
            and of a diverged run; of an early score, how far off it was (root mean square) for the
            runs that have both, NaN where fewer than 3 have.
        target: ``final`` or the name of the score.
        bridged: the number of standings that were estimated from an early score.
        note: where the labels come from.
    """

    runs: pl.DataFrame
    value: NDArray[np.float64]
    standing: NDArray[np.float64]
    noise: NDArray[np.float64]
    target: str
    bridged: int
    note: str

    def __len__(self) -> int:
        return self.runs.height


def label(
    curves: CurveSet, *, target: str = AUTO, epochs: int | None = None, metric: str | None = None
) -> Labels:
    """Label every run that can be labelled.

    Args:
        curves: collected runs.
        target: ``final`` (the outcome), the name of a score such as ``tse``, ``lcga_d1``,
            ``last_loss`` or ``outlook``, or ``auto``: the outcome where runs have one, else
            ``outlook``. With ``auto``, the outcome of a run without one in a group where others
            have one is estimated from early scores after as many epochs as it has, by isotonic
            regression over the finished runs.
        epochs: the number of epochs that an early score sees, 5 by default.
        metric: the metric that an early score judges; by default the training loss. Where there is
            none, the outcomes that are missing are estimated from the metric of the others; where
            that was not logged, those runs are left out, with a warning.

    Raises:
        InputError: if a score is unknown, or fewer than 2 runs can be labelled.

    Examples:
        >>> from earlycall.curves import CurveSet
        >>> curves = CurveSet.from_losses({"a": [3.0, 2.0, 1.0], "b": [3.0, 2.9, 2.8]})
        >>> label(curves, target="tse").standing.tolist()
        [0.75, 0.25]
    """
    outcome = _outcomes(curves, target)
    finished = np.isfinite(outcome)
    bridged, note, early = 0, "the outcome", np.full(len(curves), np.nan)
    if target == FINAL or (target == AUTO and finished.any() and finished.all()):
        value, target = outcome, FINAL
    elif target == AUTO and finished.sum() >= MIN_FINISHED:
        metric = metric or _metric_to_bridge(curves)
        if metric is None:
            value, target = outcome, FINAL
            _say_left_out(curves, int((~finished).sum()))
        else:
            value, early = _bridged(curves, outcome, epochs, metric)
            bridged = int((np.isfinite(value) & ~finished).sum())
            target, note = FINAL, f"the outcome, of {bridged} runs estimated from early scores"
    else:
        target = EARLY_SCORE if target == AUTO else target
        value = early = _early_scores(curves, target, epochs or EARLY_EPOCHS, metric)
        note = f"{target} of the first {epochs or EARLY_EPOCHS} epochs"
    labelled = np.isfinite(value) | _diverged(curves)
    if labelled.sum() < 2:
        raise InputError(
            f"{curves.name or 'the curve set'}: {labelled.sum()} of {len(curves)} runs have a "
            f"label ({note}); at least 2 are needed"
        )
    groups = curves.runs["group"].to_numpy()
    estimated = np.isfinite(value) & ~(finished & (target == FINAL))
    noise = np.where(estimated, _noise(early, outcome, groups), 0.0)[labelled]
    runs, value = curves.runs.filter(pl.Series(labelled)), value[labelled]
    standing = standings(value, runs["group"].to_list())
    runs = runs.select("group", "run", *(c for c in runs.columns if c.startswith(("arch.", "hp."))))
    return Labels(runs, value, standing, noise, target, bridged, note)


def _outcomes(curves: CurveSet, target: str) -> NDArray[np.float64]:
    """The outcome of each run, NaN where unknown; only asked for where it is the label."""
    from earlycall.curves.outcomes import outcomes

    if "final" in curves.runs.columns:
        if target in (AUTO, FINAL):
            return outcomes(curves.runs, curves.name)
        with suppress(InputError, CurveWarning), warnings.catch_warnings():
            warnings.simplefilter("error", CurveWarning)  # of an outcome of unknown direction
            return outcomes(curves.runs, curves.name)
    elif target == FINAL:
        raise InputError(
            f"{curves.name or 'the curve set'} has no outcomes (--outcome METRIC names one, or "
            "column 'final' of its runs); --target tse learns from early losses instead"
        )
    return np.full(len(curves), np.nan)


def standings(value: NDArray[np.float64], groups: list[str]) -> NDArray[np.float64]:
    """The part of its group that each beats, ties shared; a value that is not finite beats none.

    Examples:
        >>> standings(np.array([1.0, np.nan, 3.0, 7.0]), ["a", "a", "b", "b"]).tolist()
        [0.75, 0.25, 0.25, 0.75]
    """
    table = pl.DataFrame({"group": groups, "value": np.where(np.isfinite(value), value, -np.inf)})
    rank = pl.col("value").rank("average")
    return table.select(((rank - 0.5) / pl.len()).over("group")).to_series().to_numpy()


def _diverged(curves: CurveSet) -> NDArray[np.bool_]:
    """Whether a training loss that is not finite was recorded."""
    loss = training_loss(curves.metrics)[0]
    diverged = np.zeros(len(curves), dtype=bool)
    if loss is not None:
        infinite = ~pl.col(loss).cast(pl.Float64).is_finite()  # null where nothing was recorded
        diverged[curves.observations.filter(infinite)["run_id"].unique().to_numpy()] = True
    return diverged


def _early_scores(
    curves: CurveSet, score: str, epochs: int, metric: str | None
) -> NDArray[np.float64]:
    """An early score of each run, NaN of those that cannot be ranked."""
    from earlycall.ranking.rank import rank

    table: Any = rank(curves, score=score, epochs=epochs, metric=metric).table
    keys = curves.runs.select("group", "run")
    joined = keys.join(table, on=["group", "run"], how="left", maintain_order="left")
    return joined["score"].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _noise(early: NDArray[np.float64], outcome: NDArray[np.float64], groups: Any) -> float:
    """How far early standings are off from those of the outcomes, where both are known."""
    both = np.isfinite(early) & np.isfinite(outcome)
    if both.sum() < MIN_FINISHED:
        return float("nan")
    names = groups[both].tolist()
    off = standings(early[both], names) - standings(outcome[both], names)
    return float(np.sqrt(np.mean(off**2)))


def _metric_to_bridge(curves: CurveSet) -> str | None:
    """The training loss, else the one metric of all outcomes; None where it was not logged."""
    loss = training_loss(curves.metrics)[0]
    named = curves.runs["final_metric"] if "final_metric" in curves.runs.columns else pl.Series()
    judged = named.drop_nulls().unique().to_list()
    return loss or (judged[0] if len(judged) == 1 and judged[0] in curves.metrics else None)


def _say_left_out(curves: CurveSet, unknown: int) -> None:
    choice = f"; --metric estimates it from one of {', '.join(curves.metrics)}"
    warnings.warn(
        f"{curves.name or 'the curve set'}: {unknown} of {len(curves)} runs have no outcome, and "
        f"no training loss to estimate it from; they are left out{choice * bool(curves.metrics)}",
        CurveWarning,
        stacklevel=4,
    )


def _bridged(
    curves: CurveSet, outcome: NDArray[np.float64], epochs: int | None, metric: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Outcomes, estimated from early scores where they are missing; and those scores."""
    from sklearn.isotonic import IsotonicRegression

    finished = np.isfinite(outcome)
    epochs = epochs or _shortest(curves, np.flatnonzero(~finished))
    early = _early_scores(curves, EARLY_SCORE, epochs, metric)
    groups = curves.runs["group"].to_numpy()
    value = outcome.copy()
    for group in dict.fromkeys(groups.tolist()):
        scored = (groups == group) & np.isfinite(early)
        past, missing = scored & finished, scored & ~finished
        if past.sum() < MIN_FINISHED or not missing.any():
            continue
        bridge = IsotonicRegression(out_of_bounds="clip").fit(early[past], outcome[past])
        # The early score itself orders those that the steps of the bridge cannot tell apart.
        spread = float(np.ptp(outcome[past])) or 1.0
        order = standings(early[missing], [group] * int(missing.sum()))
        value[missing] = bridge.predict(early[missing]) + 1e-6 * spread * order
    return value, early


def _shortest(curves: CurveSet, runs: NDArray[np.int64]) -> int:
    """The number of epochs of the shortest of some runs."""
    column = "epoch" if "epoch" in curves.observations.columns else "step"
    of_runs = curves.observations.filter(pl.col("run_id").is_in(runs.tolist()))
    epochs = of_runs.group_by("run_id").agg(pl.col(column).n_unique())[column].to_list()
    return max(min(epochs, default=EARLY_EPOCHS), 1)
