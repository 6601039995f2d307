"""How good collected runs were: their outcome, or an early score of their first epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.curves.columns import training_loss
from earlycall.errors import InputError
from earlycall.ranks import mean_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earlycall.curves import CurveSet

FINAL, AUTO = "final", "auto"
EPOCHS = 5
EARLY = "outlook"


@dataclass(frozen=True)
class Labels:
    """What a predictor learns from: runs, and how good each was.

    Attributes:
        runs: a row per labelled run: ``group``, ``run``, ``arch.*``, ``hp.*``.
        value: shape (n,), the outcome or early score, larger is better; NaN where the run's
            standing was bridged or it diverged.
        standing: shape (n,), the part of the group's runs that it beats, in (0, 1); what is
            learnt, since it is comparable between groups.
        target: ``final`` or the name of the score.
        bridged: how many standings were estimated from an early score.
        note: what was done, in words.
    """

    runs: pl.DataFrame
    value: NDArray[np.float64]
    standing: NDArray[np.float64]
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
            ``outlook``. With ``auto``, a run without an outcome in a group where others have one is
            not lost: early scores of as many epochs as it has tell how it stands, and the finished
            runs tell what such a standing leads to (isotonic regression).
        epochs: how many first epochs an early score sees, 5 by default.
        metric: the loss that an early score judges; by default the training loss.

    Raises:
        InputError: if a score is unknown, or fewer than 2 runs can be labelled.

    Examples:
        >>> from earlycall.curves import CurveSet
        >>> curves = CurveSet.from_losses({"a": [3.0, 2.0, 1.0], "b": [3.0, 2.9, 2.8]})
        >>> label(curves, target="tse").standing.tolist()
        [0.75, 0.25]
    """
    outcome = np.full(len(curves), np.nan)
    if target in (AUTO, FINAL) and "final" in curves.runs.columns:
        from earlycall.evaluation.outcomes import outcomes

        outcome = outcomes(curves.runs, curves.name)
    elif target == FINAL:
        raise InputError(
            f"{curves.name or 'the curve set'} has no outcomes (column 'final' of its runs); "
            "--target tse learns from early losses instead"
        )
    diverged = _diverged(curves)
    finished = np.isfinite(outcome)
    bridged, note = 0, "the outcome"
    if target == FINAL or (target == AUTO and finished.any() and finished.all()):
        value, target = outcome, FINAL
    elif target == AUTO and finished.sum() >= 3:
        value, bridged = _bridged(curves, outcome, epochs, metric)
        target, note = FINAL, f"the outcome, of {bridged} runs estimated from early scores"
    else:
        target = EARLY if target == AUTO else target
        value = _early(curves, target, epochs or EPOCHS, metric)
        note = f"{target} of the first {epochs or EPOCHS} epochs"
    return _labels(curves, value, diverged, target, bridged, note)


def _labels(
    curves: CurveSet,
    value: NDArray[np.float64],
    diverged: NDArray[np.bool_],
    target: str,
    bridged: int,
    note: str,
) -> Labels:
    kept = np.isfinite(value) | diverged
    if kept.sum() < 2:
        raise InputError(
            f"{curves.name or 'the curve set'}: {int(kept.sum())} of {len(curves)} runs have a "
            f"label ({note}); at least 2 are needed"
        )
    runs = curves.runs.filter(pl.Series(kept))
    value = value[kept]
    standing = standings(value, runs["group"].to_list())
    described = [c for c in runs.columns if c.startswith(("arch.", "hp."))]
    return Labels(runs.select("group", "run", *described), value, standing, target, bridged, note)


def standings(value: NDArray[np.float64], groups: list[str]) -> NDArray[np.float64]:
    """The part of its group that each beats, ties shared; what is not finite beats nobody.

    Examples:
        >>> standings(np.array([1.0, np.nan, 3.0, 7.0]), ["a", "a", "b", "b"]).tolist()
        [0.75, 0.25, 0.25, 0.75]
    """
    finite = np.isfinite(value)
    lowest = value[finite].min() - 1 if finite.any() else 0.0
    filled = np.where(finite, value, lowest)
    out = np.empty(len(value))
    names = np.asarray(groups)
    for group in dict.fromkeys(groups):
        mine = names == group
        out[mine] = (mean_ranks(filled[mine]) - 0.5) / mine.sum()
    return out


def _diverged(curves: CurveSet) -> NDArray[np.bool_]:
    """Whether a training loss that is not finite was recorded."""
    loss = training_loss(curves.metrics)[0]
    out = np.zeros(len(curves), dtype=bool)
    if loss is None:
        return out
    bad = curves.observations.filter(
        pl.col(loss).is_not_null() & ~pl.col(loss).cast(pl.Float64).is_finite()
    )
    out[bad["run_id"].unique().to_numpy()] = True
    return out


def _early(curves: CurveSet, score: str, epochs: int, metric: str | None) -> NDArray[np.float64]:
    """An early score of each run, NaN where it cannot tell."""
    from earlycall.ranking.rank import rank

    table: Any = rank(curves, score=score, epochs=epochs, metric=metric).table
    keys = curves.runs.select("group", "run")
    joined = keys.join(table, on=["group", "run"], how="left", maintain_order="left")
    return joined["score"].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _bridged(
    curves: CurveSet, outcome: NDArray[np.float64], epochs: int | None, metric: str | None
) -> tuple[NDArray[np.float64], int]:
    """Outcomes; of runs without one, what their early scores lead to among the finished."""
    from sklearn.isotonic import IsotonicRegression

    early = _early(curves, EARLY, epochs or _fewest_epochs(curves, ~np.isfinite(outcome)), metric)
    groups = curves.runs["group"].to_numpy()
    value, bridged = outcome.copy(), 0
    for group in dict.fromkeys(groups.tolist()):
        told = (groups == group) & np.isfinite(early)
        known, missing = told & np.isfinite(outcome), told & ~np.isfinite(outcome)
        if known.sum() < 3 or not missing.any():
            continue
        bridge = IsotonicRegression(out_of_bounds="clip").fit(early[known], outcome[known])
        # The early score itself orders those that the steps of the bridge cannot tell apart.
        spread = float(np.ptp(outcome[known])) or 1.0
        order = standings(early[missing], [group] * int(missing.sum()))
        value[missing] = bridge.predict(early[missing]) + 1e-6 * spread * order
        bridged += int(missing.sum())
    return value, bridged


def _fewest_epochs(curves: CurveSet, short: NDArray[np.bool_]) -> int:
    """How many epochs the shortest of some runs have."""
    column = "epoch" if "epoch" in curves.observations.columns else "step"
    seen = curves.observations.group_by("run_id").agg(pl.col(column).n_unique().alias("n"))
    counted = seen.filter(pl.col("run_id").is_in(np.flatnonzero(short).tolist()))["n"].to_list()
    return max(min(counted, default=EPOCHS), 1)
