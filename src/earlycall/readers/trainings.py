"""One training, one run: logs of one folder that are halves or twins of one another are joined.

Only logs with one run each, of one folder, and with names that differ by no more than what kind of
log they are (``metrics``, ``history`` …) or the part of the data (``train``, ``val`` …) are looked
at; a folder called by a part of the data counts as such a name.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from earlycall.curves.cleaning import Observations
from earlycall.curves.columns import (
    COSTS,
    KEYS,
    SPLIT_WORDS,
    is_held_out,
    role,
    split_of,
    training_loss,
    validation_loss,
    words,
)
from earlycall.errors import CurveWarning, first_few

VERSION = "version of the observations"  # a column of runs, where they are followed
_LOG_WORDS = frozenset({
    "log", "logs", "logger", "metric", "metrics", "history", "hist", "progress", "scalar",
    "scalars", "event", "events", "result", "results", "record", "records", "output", "stats",
    "curve", "curves", "tb", "tensorboard", "csv", "json", "jsonl",
})  # fmt: skip
_MIN_SHARED = 3  # values by which logs are known as twins
_TOLERANCE = 2e-6  # of a float32


@dataclass(frozen=True)
class CleanLog:
    """The clean observations of one log.

    Attributes:
        run: what its run is called, or what its runs' names begin with.
        rows: the observations.
        keys: ``group`` and ``run`` of each run, by its ``run_id``.
        runs: a row per run with its settings.
        names_runs: whether the log itself says what its runs are called.
        path: where it is.
        kind: what its reader is called.
    """

    run: str
    rows: Observations
    keys: pl.DataFrame
    runs: pl.DataFrame | None
    names_runs: bool
    path: Path = Path()
    kind: str = ""

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The observations."""
        return self.rows.frame()

    @property
    def metrics(self) -> list[str]:
        """The names of its metrics."""
        return [c for c in self.frame.columns if c not in KEYS]

    @property
    def axis(self) -> str:
        """What its steps are: ``step``, ``epoch``, or its rows' numbers (``row``)."""
        if self.rows.counter is not None:
            return "step"
        return "row" if len(self.rows.counted) else "epoch"


def one_run_each(logs: Sequence[CleanLog]) -> tuple[list[CleanLog], dict[str, str]]:
    """The logs, in which those of one training are one; warns of what was joined.

    Returns:
        The logs; and for each log that has become a part of another, the other's name.
    """
    together: dict[tuple[Path, tuple[str, ...]], list[tuple[str | None, CleanLog]]]
    together = defaultdict(list)
    if len(logs) > 1:
        for log in logs:
            if log.keys.height == 1:
                home, rest, split = _place(log.path)
                together[home, rest].append((split, log))
    joined: dict[int, CleanLog | None] = {}  # by the identity of a log, what takes its place
    names: dict[str, str] = {}
    aside: list[str] = []
    for members in together.values():
        if len(members) > 1:
            for whole, base, others, apart in _trainings(members):
                joined |= {id(base): whole} | {id(log): None for log in (*others, *apart)}
                names |= {log.run: base.run for log in others}
                aside += [f"{log.run} (of {base.run})" for log in apart]
    _warn(names, aside)
    found = (joined.get(id(log), log) for log in logs)
    return [log for log in found if log is not None], names


def _warn(names: dict[str, str], aside: list[str]) -> None:
    if names:
        pairs = [f"{part} with {base}" for part, base in names.items()]
        warnings.warn(CurveWarning(
            f"logs of one training in one folder are one run: {first_few(pairs)}; name the files "
            "to keep them apart", pairs,
        ), stacklevel=5)  # fmt: skip
    if aside:
        warnings.warn(CurveWarning(
            f"held-out losses whose steps cannot be laid beside those of their training are left "
            f"out: {first_few(aside)}; name the files to read them", aside,
        ), stacklevel=5)  # fmt: skip


def _place(path: Path) -> tuple[Path, tuple[str, ...], str | None]:
    """The folder of the training, what its name says beyond the kind of log, and the data's part.

    Examples:
        >>> _place(Path("runs/exp1_train_log.csv"))[1:]
        (('exp', '1'), 'train')
    """
    if path.is_dir():
        named = words(path.name)
        split = split_of(named)
        if split is None:
            return path, (), None
        return path.parent, _beyond(named), split
    named = words(path.stem)
    split = split_of(named)
    if (
        split is None
        and split_of(of_folder := words(path.parent.name))
        and set(of_folder) <= SPLIT_WORDS
    ):
        return path.parent.parent, _beyond(named), split_of(of_folder)
    return path.parent, _beyond(named), split


def _beyond(named: list[str]) -> tuple[str, ...]:
    return tuple(word for word in named if word not in _LOG_WORDS | SPLIT_WORDS)


def _trainings(
    members: list[tuple[str | None, CleanLog]],
) -> Iterator[tuple[CleanLog, CleanLog, list[CleanLog], list[CleanLog]]]:
    """Each run of several logs: the joined log, its base, the others, and what cannot be joined."""
    by_split: dict[str | None, list[tuple[CleanLog, CleanLog, list[CleanLog]]]] = {}
    for part in ("train", None, "val", "test"):
        logs = [log for split, log in members if split == part]
        if logs:
            by_split[part] = list(_twins(logs))
    held_out = [
        (part, found[0])
        for part in ("val", "test")
        if len(found := by_split.get(part, [])) == 1 and _is_held_out(found[0][0])
    ]
    base = next((p for p in ("train", None) if len(by_split.get(p, [])) == 1), "")
    halves = [by_split.pop(part)[0] for part, _ in held_out] if base != "" and held_out else []
    for part, found in by_split.items():
        for whole, first, others in found:
            apart: list[CleanLog] = []
            if part == base:
                for (split, _), (half, half_first, half_others) in zip(
                    held_out, halves, strict=True
                ):
                    aligned = _aligned(whole, _renamed(half, split))
                    if aligned is None:
                        apart += [half_first, *half_others]
                    else:
                        whole = _joined(*aligned)  # noqa: PLW2901
                        others = [*others, half_first, *half_others]  # noqa: PLW2901
            if others or apart:
                yield replace(whole, run=first.run, keys=whole.keys), first, others, apart


def _twins(logs: list[CleanLog]) -> Iterator[tuple[CleanLog, CleanLog, list[CleanLog]]]:
    """The logs, each joined with its twins: the result, the log that gave the name, the twins."""
    left = sorted(logs, key=lambda log: -_seen(log))
    while left:
        first, *rest = left
        whole, others, left = first, [], []
        for log in rest:
            aligned = _aligned(whole, log) if _is_twin(whole, log) else None
            if aligned is None:
                left.append(log)
            else:
                whole = _joined(*aligned)
                others.append(log)
        yield whole, first, others


def _seen(log: CleanLog) -> int:
    """How many training losses (or rows) a log has: the finest gives the run its losses."""
    loss = training_loss(log.metrics)[0]
    return log.frame.height if loss is None else log.frame[loss].count()


def _is_twin(log: CleanLog, other: CleanLog) -> bool:
    """Whether two logs of one part of the data are of one training."""
    if log.axis == other.axis and _values_agree(log, other):
        return True
    if log.kind != other.kind:  # two trackers, or two ways of writing
        return True
    return not {*map(_meaning, log.metrics)} & {*map(_meaning, other.metrics)}


def _values_agree(log: CleanLog, other: CleanLog) -> bool:
    """Whether the values of a metric of both are the same at the steps that they share."""
    theirs = {_meaning(name): name for name in other.metrics}
    pairs = [(name, theirs[m]) for name in log.metrics if (m := _meaning(name)) in theirs]
    for mine, other_name in pairs:
        a = log.frame.select("step", a=pl.col(mine).cast(pl.Float64)).drop_nulls().drop_nans()
        b = other.frame.select("step", b=pl.col(other_name).cast(pl.Float64)).drop_nulls()
        both = a.with_columns(pl.col("step").cast(pl.Float64)).join(
            b.with_columns(pl.col("step").cast(pl.Float64)), on="step"
        )
        if both.height < min(_MIN_SHARED, a.height, b.height) or not both.height:
            continue
        if both["a"].n_unique() > 1 or both.height < _MIN_SHARED:
            return bool(np.allclose(both["a"], both["b"], rtol=_TOLERANCE, atol=0, equal_nan=True))
    return False


def _meaning(name: str) -> str:
    """What a metric is, whichever tracker wrote it."""
    kind = role(name)
    return kind if kind in ("training loss", "validation loss") else "/".join(words(name))


def _is_held_out(log: CleanLog) -> bool:
    """Whether none of the metrics is said to be of the training."""
    return not any(split_of(words(name)) == "train" for name in log.metrics)


def _renamed(log: CleanLog, split: str) -> CleanLog:
    """A held-out half whose metrics say so."""
    names = {
        name: f"{split}_{name}"
        for name in log.metrics
        if not is_held_out(name) and role(name) != "setting"
    }
    names = {old: new for old, new in names.items() if new not in log.frame.columns}
    return replace(log, rows=log.rows.replaced(log.frame.rename(names)))


def _aligned(log: CleanLog, other: CleanLog) -> tuple[CleanLog, CleanLog] | None:
    """Two logs along the same steps, None where they cannot be laid beside one another."""
    if log.axis == other.axis:
        if log.axis == "row" and log.frame.height != other.frame.height:
            return None
        apart = max(_first(log), _first(other)) > min(_last(log), _last(other))
        return None if apart else (log, other)
    if log.axis == "step":
        moved = _at_ends_of_epochs(other, log)
        return None if moved is None else (log, moved)
    if other.axis == "step":
        moved = _at_ends_of_epochs(log, other)
        return None if moved is None else (moved, other)
    return None


def _first(log: CleanLog) -> float:
    return float(log.frame["step"].min())  # type: ignore[arg-type]


def _last(log: CleanLog) -> float:
    return float(log.frame["step"].max())  # type: ignore[arg-type]


def _at_ends_of_epochs(log: CleanLog, by_step: CleanLog) -> CleanLog | None:
    """A log by epochs, at the last steps that another one has of them; None if that has none."""
    epochs = by_step.rows.epochs_as_logged()
    if log.axis != "epoch" or epochs is None:
        return None
    ends = epochs.group_by("epoch").agg(pl.col("step").max().alias("_end"))
    last = ends["epoch"].max()
    shift = 1 if _last(log) > float(last) and _first(log) >= 1 else 0  # type: ignore[arg-type]
    ends = ends.with_columns(epoch=pl.col("epoch") + shift).rename({"epoch": "_epoch"})
    rows = log.frame.with_columns(_epoch=pl.col("step").cast(pl.Float64))
    rows = rows.join(ends, on="_epoch", how="left", maintain_order="left")
    if rows["_end"].null_count():
        return None
    rows = rows.with_columns(step=pl.col("_end")).drop("_end", "_epoch")
    return replace(log, rows=log.rows.replaced(rows))


def _joined(log: CleanLog, other: CleanLog) -> CleanLog:
    """A log with what another one knows besides: of what both have, the first one's counts."""
    mine, theirs = log.frame.drop("run_id"), other.frame.drop("run_id")
    known = {_meaning(name) for name in log.metrics}
    agree = log.axis == other.axis and _values_agree(log, other)
    same = {
        name: next(m for m in log.metrics if _meaning(m) == _meaning(name))
        for name in other.metrics
        if _meaning(name) in known
    }
    extended = {name: own for name, own in same.items() if agree and name == own}
    dropped = [name for name in same if name not in extended]
    dropped += [name for name in COSTS if name in mine.columns and name in theirs.columns]
    theirs = theirs.drop(dropped, strict=False)
    kind = mine.schema["step"] if mine.schema["step"] == theirs.schema["step"] else pl.Float64
    both = mine.with_columns(pl.col("step").cast(kind)).join(
        theirs.with_columns(pl.col("step").cast(kind)),
        on="step", how="full", coalesce=True, suffix=" of the other",
    ).sort("step")  # fmt: skip
    for name in [n for n in theirs.columns if f"{n} of the other" in both.columns]:
        both = both.with_columns(pl.coalesce(name, f"{name} of the other").alias(name))
        both = both.drop(f"{name} of the other")
    metrics = [c for c in both.columns if c not in KEYS]
    both = both.filter(pl.any_horizontal(pl.col(metrics).is_not_null()))
    if "epoch" in both.columns:
        both = both.with_columns(pl.col("epoch").forward_fill().backward_fill())
    both = both.with_columns(run_id=pl.lit(0, dtype=pl.UInt32))
    return replace(
        log,
        rows=log.rows.replaced(both),
        keys=_with_version(log.keys, other.keys),
        runs=_settings(log.runs, other.runs),
    )


def _with_version(keys: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    if VERSION not in keys.columns or VERSION not in other.columns:
        return keys
    both = hash((keys[VERSION][0], other[VERSION][0])) % (1 << 63)
    return keys.with_columns(pl.lit(both, dtype=pl.UInt64).alias(VERSION))


def _settings(mine: pl.DataFrame | None, theirs: pl.DataFrame | None) -> pl.DataFrame | None:
    """The settings of both logs, of which the first one's count."""
    if mine is None or theirs is None:
        return (
            theirs.drop("run", "group", strict=False)
            if mine is None and theirs is not None
            else mine
        )
    new = [c for c in theirs.columns if c not in (*mine.columns, "run", "group")]
    return mine.with_columns(theirs.get_columns()[theirs.columns.index(c)] for c in new)


def warn_of_copies(observations: pl.DataFrame, runs: pl.DataFrame) -> None:
    """Name runs whose curves are the same, number for number.

    Args:
        observations: a row per run and step, as in a `CurveSet`.
        runs: ``group`` and ``run`` by ``run_id``.
    """
    metrics = [c for c in observations.columns if c not in KEYS]
    loss = training_loss(metrics)[0] or validation_loss(metrics)[0]
    if len(runs) < 2 or not (loss or metrics):
        return
    watched = [loss] if loss is not None else metrics
    value = pl.col(watched).cast(pl.Float32)
    rows = observations.select("run_id", pl.col("step").cast(pl.Float64), value)
    rows = rows.filter(pl.any_horizontal(pl.col(watched).is_not_null()))
    codes = rows.select("run_id", code=rows.drop("run_id").hash_rows(), value=watched[0])
    sums = codes.group_by("run_id").agg(
        pl.col("code").sum().alias("code"), pl.len(), pl.col("value").n_unique().alias("values")
    )
    several = sums.filter((pl.col("values") > 1) & (pl.col("len") > 1)).sort("run_id")
    same = several.group_by("code", "len", maintain_order=True).agg("run_id")
    named = [
        " = ".join(runs["run"].gather(ids).to_list())
        for ids in same.filter(pl.col("run_id").list.len() > 1)["run_id"]
    ]
    if named:
        warnings.warn(CurveWarning(
            f"{len(named)} {'curve is' if len(named) == 1 else 'curves are'} there more than once, "
            f"number for number: {first_few(named)}", named,
        ), stacklevel=4)  # fmt: skip
