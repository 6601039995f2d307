"""Where the training of a group ends, and how that is known.

In this order: as given; as the settings of the runs say; the length of finished runs. Logs that
still grow, or that all end together, say nothing of the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from earlycall.curves.columns import words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Source = Literal["given", "settings", "finished runs"]
UNKNOWN_END = "end of training unknown: give --horizon"
STEP_HINT = "step_hint"
# The environment's steps before the optimiser's, and what may be the length of a rollout last.
_STEPS = (
    "total_timesteps", "n_timesteps", "num_timesteps", "max_timesteps", "timesteps_total",
    "total_env_steps", "num_env_steps", "max_env_steps",
    "max_steps", "max_train_steps", "max_training_steps", "num_training_steps", "num_train_steps",
    "total_training_steps", "total_train_steps", "training_steps", "train_steps", "total_steps",
    "max_iters", "max_iter", "max_iterations", "max_train_iters", "train_iters", "train_iterations",
    "num_train_iters", "total_iters", "total_iterations", "num_iters", "num_iterations", "n_iters",
    "n_iterations", "iterations", "max_update", "max_updates", "num_updates", "total_updates",
    "total_num_update", "num_boost_round", "num_steps",
)  # fmt: skip
_EPOCHS = (
    "num_train_epochs", "max_epochs", "max_epoch", "num_training_epochs", "total_epochs",
    "train_epochs", "training_epochs", "num_epochs", "num_epoch", "n_epochs", "n_epoch", "nepochs",
    "epochs",
)  # fmt: skip
_SECTIONS = frozenset({  # that the name of such a setting may be nested in
    "args", "arguments", "cfg", "common", "config", "experiment", "fit", "general", "hparams",
    "hyperparameters", "loop", "optim", "optimization", "params", "run", "runner", "schedule",
    "settings", "solver", "train", "trainer", "training",
})  # fmt: skip


@dataclass(frozen=True)
class Horizon:
    """Where the training of a group ends.

    Attributes:
        step: the step; the largest one logged where the end is unknown.
        source: how it is known, None where it is not.
        note: what was assumed, or why settings do not tell it; None where there is nothing to say.
    """

    step: float
    source: Source | None
    note: str | None = None


@dataclass(frozen=True)
class Extents:
    """The m runs of a group as far as they were logged.

    Attributes:
        runs: a row per run of what is known of it.
        rows: their observations, sorted by run and step; ``run_id`` counts from ``first``.
        first: the ``run_id`` of the first run.
        last: shape (m,), the last step of each; NaN where nothing was logged.
    """

    runs: pl.DataFrame
    rows: pl.DataFrame
    first: int
    last: Floats


def horizon_of(group: Extents, logged: float) -> Horizon:
    """Where the training of a group ends.

    Args:
        group: its runs.
        logged: the largest step at which the metric was logged.
    """
    hint, notes = _planned(group)
    known = np.isfinite(hint)
    if known.any():
        low, high = float(hint[known].min()), float(hint[known].max())
        step = float(np.median(hint[known]))
        if high > 1.01 * low:
            notes.append(
                f"by their settings, runs end at steps {low:.6g} to {high:.6g}; their median, "
                f"{step:.6g}, is taken as the end of training"
            )
        return Horizon(step, "settings", "; ".join(notes) or None)
    finished = _finished(group)
    if finished is not None:
        return Horizon(finished, "finished runs", "; ".join(notes) or None)
    return Horizon(logged, None, "; ".join(notes) or None)


def assumptions(ends: Mapping[str, Horizon], *, counted: bool) -> list[str]:
    """What was assumed of the ends of groups, a sentence each.

    Args:
        ends: by group.
        counted: whether a budget was counted from them.
    """
    named = {group: f"group {group!r}: " if len(ends) > 1 else "" for group in ends}
    notes = [named[group] + end.note for group, end in ends.items() if end.note is not None]
    if counted and any(end.source is None for end in ends.values()):
        notes.append(f"{UNKNOWN_END}; the budget counts from the largest step logged")
    return notes


def full_length(runs: pl.DataFrame, logged: float) -> float:
    """The length of runs that have all finished: their median ``step_hint``, else what was logged.

    As the protocol of `earlycall.evaluate` defines it.
    """
    if STEP_HINT in runs.columns:
        hints = runs[STEP_HINT].cast(pl.Float64).drop_nulls().drop_nans()
        if len(hints):
            return float(np.median(hints.to_numpy()))
    return logged


def _finished(group: Extents) -> float | None:
    """The length of the longest run with an outcome; None where one without has gone further."""
    if "final" not in group.runs.columns:
        return None
    final = group.runs["final"].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    ended = np.isfinite(final) & np.isfinite(group.last)
    if not ended.any():
        return None
    length = float(group.last[ended].max())
    return length if length >= np.nanmax(group.last) else None


def _planned(group: Extents) -> tuple[Floats, list[str]]:
    """The last step that the settings of each run plan, NaN where they do not; and notes."""
    hint = np.full(len(group.last), np.nan)
    past: list[tuple[int, str, float]] = []
    unused: list[str] = []
    counted = np.zeros(len(hint), dtype=bool)
    if "step_unit" in group.runs.columns:
        counted = group.runs["step_unit"].is_not_null().to_numpy()
    logged: _Epochs | None = None
    for name, unit in _settings(group.runs):
        value = group.runs[name].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
        here = np.isnan(hint) & np.isfinite(value) & (value > 0)
        if not here.any():
            continue
        end, reached = value, group.last > value + 1
        if unit != STEP_HINT:
            logged = _epochs(group) if logged is None else logged
            pace = logged.steps
            if unit == "epochs":
                end, reached = logged.first_end + (value - 1) * pace, logged.begun > np.ceil(value)
                end = np.where(end < group.last + logged.gap, group.last, end)
                if (here & np.isnan(end)).any():
                    unused.append(f"{name} counts epochs, and the log does not tell their steps")
            else:
                end = np.where((pace == 1) | counted, np.nan, value)
                reached &= ~counted
                if (here & (pace == 1)).any():
                    unused.append(f"{name} counts steps, and the log epochs")
                elif (here & counted).any():
                    unused.append(f"{name} counts steps, and the log's own are not known")
        past += [(i, name, float(value[i])) for i in np.flatnonzero(here & reached).tolist()]
        taken = here & ~reached & np.isfinite(end)
        hint[taken] = end[taken]
    left = [found for found in past if np.isnan(hint[found[0]])]
    notes = []
    if left:
        i, name, planned = left[0]
        others = len({row for row, *_ in left}) - 1
        more = f" (so {'has' if others == 1 else 'have'} {others} more)" if others else ""
        notes.append(
            f"run {group.runs['run'][i]!r} has trained past its {name} of {planned:g}, to step "
            f"{group.last[i]:.6g}{more}: that is not taken as an end"
        )
    if np.isnan(hint).all():
        notes += dict.fromkeys(unused)
    return hint, notes


def _settings(runs: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """The columns that say how long runs train, the one to go by first, and what they count."""
    if STEP_HINT in runs.columns:
        yield STEP_HINT, STEP_HINT
    named: dict[str, list[str]] = {}
    for column, kind in runs.schema.items():
        if column.startswith("hp.") and (kind.is_numeric() or kind == pl.String):
            parts = words(column.removeprefix("hp."))
            while parts:
                named.setdefault("_".join(parts), []).append(column)
                if parts[0] not in _SECTIONS:
                    break
                parts = parts[1:]
    for names, unit in ((_STEPS, "steps"), (_EPOCHS, "epochs")):
        for name in names:
            for column in named.get(name, []):
                yield column, unit


def reads_epochs(runs: pl.DataFrame, last: Floats) -> bool:
    """Whether where training ends depends on the epochs that were logged.

    Args:
        runs: a row per run of what is known of it.
        last: shape (m,), the last step of each.
    """
    units = {unit for _, unit in _settings(runs)}
    if units <= {STEP_HINT}:
        return False
    if STEP_HINT not in units:
        return True
    hint = runs[STEP_HINT].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    return not bool(np.all(np.isfinite(hint) & (hint > 0) & (last <= hint + 1)))


@dataclass(frozen=True)
class _Epochs:
    """What the logs tell of the epochs of m runs; NaN where fewer than one whole epoch was logged.

    Attributes:
        steps: shape (m,), how many an epoch has.
        begun: shape (m,), epochs begun.
        first_end: shape (m,), the step of the last observation of the first epoch.
        gap: shape (m,), steps between observations, 0 where an epoch has one.
    """

    steps: Floats
    begun: Floats
    first_end: Floats
    gap: Floats


def _epochs(group: Extents) -> _Epochs:
    """Read steps per epoch off the observations."""
    out = _Epochs(*(np.full(len(group.last), np.nan) for _ in range(4)))
    if "epoch" not in group.rows.columns or not group.rows["epoch"].count():
        return out
    step, n = pl.col("step").cast(pl.Float64), pl.col("n")
    epochs = group.rows.drop_nulls("epoch").group_by("run_id", "epoch", maintain_order=True)
    # An epoch with as many observations as those before it is over, also where it is the last one.
    over = n.last() >= n.slice(0, pl.len() - 1).median()
    at = pl.when(over).then(-1).otherwise(-2)
    runs = (
        epochs.agg(step.min().alias("from"), step.max().alias("to"), pl.len().alias("n"))
        .sort("run_id", "epoch")
        .group_by("run_id", maintain_order=True)
        .agg(
            pl.col("epoch").first().alias("first"), pl.col("epoch").last().alias("last"),
            pl.col("epoch").get(at).alias("whole"), pl.col("from").first(), n.first(),
            pl.col("to").first().alias("to"), pl.col("to").get(at).alias("at"),
            pl.len().alias("epochs"),
        )
        .filter(pl.col("epochs") > 1)
    )  # fmt: skip
    i = runs["run_id"].to_numpy().astype(np.int64) - group.first
    first, last, whole, start, n_first, to, end = (
        runs[c].cast(pl.Float64).to_numpy()
        for c in ("first", "last", "whole", "from", "n", "to", "at")
    )
    gap = (to - start) / np.maximum(n_first - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        several = (end - to) / (whole - first)
        steps = np.where(whole > first, several, np.where(gap > 0, to - start + gap, np.nan))
        steps = np.where(steps > 0, steps, np.nan)
        # Steps from before the log began, as of a resumed run, tell of epochs that it does not.
        number = np.fmax(whole, np.round(end / steps) - 1)
    out.steps[i], out.gap[i] = steps, gap
    out.first_end[i], out.begun[i] = end - number * steps, number + 1 + last - whole
    return out
