"""One training, one run: logs of one folder that are halves or twins of one another are joined.

Only logs with one run each, of one folder, and with names that differ by no more than what kind of
log they are (``metrics``, ``history`` …) or the part of the data (``train``, ``val`` …) are looked
at; a folder called by a part of the data counts as such a name.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earlycall.curves.cleaning import Observations
from earlycall.curves.columns import (
    CLOCKS,
    COSTS,
    KEYS,
    SPLIT_WORDS,
    direction,
    is_held_out,
    plain,
    role,
    split_of,
    training_loss,
    validation_loss,
    words,
)
from earlycall.errors import CurveWarning, first_few
from earlycall.readers.formats import curve_set, experiment_store, study_folder, tensorboard

VERSION = "version of the observations"  # a column of runs, where they are followed
LOG_WORDS = frozenset({
    "log", "logs", "logger", "metric", "metrics", "history", "hist", "progress", "scalar",
    "scalars", "event", "events", "result", "results", "record", "records", "output", "stats",
    "curve", "curves", "tb", "tensorboard", "csv", "json", "jsonl",
})  # fmt: skip
# Folders in which a tracker keeps what it writes, beside what the others write.
_LOG_FOLDERS = frozenset({"log", "logs", "tb", "tensorboard", "event", "events", "summaries"})
_OWN_KINDS = (study_folder.NAME, curve_set.NAME, experiment_store.NAME)
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
    names: dict[str, str] = {}
    if len(logs) > 1:
        logs = _once_each(logs)
        logs = _with_their_scalars([_called_as_its_file(log) for log in logs], names)
        for log in logs:
            if log.keys.height == 1:
                home, rest, split = _place(log.path, log.metrics)
                together[home, rest].append((split, log))
    joined: dict[int, CleanLog | None] = {}  # by the identity of a log, what takes its place
    aside: list[str] = []
    for members in together.values():
        if len(members) > 1:
            for training in _trainings(members):
                base, *others = training.logs
                joined |= {id(log): None for log in (*others, *training.apart)}
                joined[id(base)] = training.whole
                names |= {log.run: base.run for log in others}
                aside += [f"{log.run} (of {base.run})" for log in training.apart]
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


def _place(path: Path, metrics: Sequence[str]) -> tuple[Path, tuple[str, ...], str | None]:
    """The folder of the training, what its name says beyond the kind of log, and the data's part.

    Examples:
        >>> _place(Path("runs/exp1_train_log.csv"), ["loss"])[1:]
        (('exp', '1'), 'train')
        >>> _place(Path("runs/exp1/tb/val_loss.csv"), ["val_loss"])
        (PosixPath('runs/exp1'), (), 'val')
    """
    home, named = path.parent, words(path.stem)
    if path.is_dir():
        named = words(path.name)
        if split_of(named) is None:
            home, named = path, []
    split = split_of(named)
    above = words(home.name)
    if split is None and above and set(above) <= SPLIT_WORDS:
        home, split = home.parent, split_of(above)
    while (above := words(home.name)) and set(above) <= _LOG_FOLDERS:
        home = home.parent
    if any(words(metric) == named for metric in metrics):  # a file for each metric
        return home, (), split
    return home, beyond_the_log(named), split


def beyond_the_log(named: Sequence[str]) -> tuple[str, ...]:
    """What the words of a log's name say of its run: not that it is a log, or of which data.

    Examples:
        >>> beyond_the_log(["lr", "1", "train", "log"]), beyond_the_log(["metrics"])
        (('lr', '1'), ())
    """
    return tuple(word for word in named if word not in LOG_WORDS | SPLIT_WORDS)


def _once_each(logs: Sequence[CleanLog]) -> Sequence[CleanLog]:
    """The logs, in which a run is not there again from an export of its study, or from a store."""
    own = {kind: i for i, kind in enumerate(_OWN_KINDS)}
    ours = sorted((log for log in logs if log.kind in own), key=lambda log: own[log.kind])
    if len(ours) < 2:
        return logs
    known: set[tuple[str, str, int]] = set()
    filtered: dict[int, CleanLog] = {}
    again: list[str] = []
    for log in ours:
        names = log.keys.select("group", "run").with_row_index("run_id")
        coded = names.join(
            run_codes(log.frame, compared(log.metrics)),
            on="run_id", how="left", maintain_order="left",
        )  # fmt: skip
        keys = list(coded.select("group", "run", "code").iter_rows())
        mask = np.array([key not in known for key in keys])
        known |= set(keys)
        if not mask.all():
            filtered[id(log)] = _filtered(log, mask)
            again += [f"{run} in {log.run}" for run in log.keys["run"].filter(pl.Series(~mask))]
    if again:
        what = "runs of a study that were also exported or collected are read once: "
        warnings.warn(CurveWarning(what + first_few(again), again), stacklevel=5)
    found = (filtered.get(id(log), log) for log in logs)
    return [log for log in found if log.keys.height]


def _filtered(log: CleanLog, mask: NDArray[np.bool_]) -> CleanLog:
    """Some runs of a log."""
    ids = log.frame["run_id"].to_numpy()
    new = (np.cumsum(mask) - 1).astype(np.uint32)
    rows = log.frame.filter(pl.Series(mask[ids]))
    rows = rows.with_columns(run_id=pl.Series(new[ids[mask[ids]]], dtype=pl.UInt32))
    return replace(log, rows=log.rows.replaced(rows), keys=log.keys.filter(pl.Series(mask)))


def _called_as_its_file(log: CleanLog) -> CleanLog:
    """A log whose only metric is called *value*, which its file's name says more of."""
    name, metrics = log.path.stem, [m for m in log.metrics if plain(m) not in CLOCKS]
    if [plain(metric) for metric in metrics] != ["value"] or not direction(name):
        return log
    clocks = [m for m in log.metrics if m not in metrics]
    return replace(log, rows=log.rows.replaced(log.frame.drop(clocks).rename({metrics[0]: name})))


def _with_their_scalars(logs: list[CleanLog], names: dict[str, str]) -> list[CleanLog]:
    """The logs, in which what ``add_scalars`` of PyTorch wrote is again a part of its run.

    It writes ``loss_train`` below the run's folder, in which the only scalar is called ``loss``.

    Args:
        logs: all of them.
        names: takes the names of what was joined, and of the runs.
    """
    at = {log.path: i for i, log in enumerate(logs) if log.kind == tensorboard.NAME}
    whole: list[CleanLog | None] = list(logs)
    for path, i in at.items():
        above, metrics = at.get(path.parent), logs[i].metrics
        tag = metrics[0].replace("/", "_").replace(" ", "_") if len(metrics) == 1 else "/"
        run = None if above is None else whole[above]
        if run is not None and path.name.startswith(f"{tag}_") and logs[i].keys.height == 1:
            name = f"{metrics[0]}/{path.name.removeprefix(f'{tag}_')}"
            frame = logs[i].frame.rename({metrics[0]: name})
            part = replace(logs[i], rows=logs[i].rows.replaced(frame))
            whole[above], whole[i] = _joined(run, part), None  # type: ignore[index]
            names[part.run] = run.run
    return [log for log in whole if log is not None]


@dataclass
class _Training:
    """Logs that are one run.

    Attributes:
        whole: what they are together.
        logs: each of them, the first of which gives the run its name.
        apart: held-out halves that cannot be laid beside it.
    """

    whole: CleanLog
    logs: list[CleanLog]
    apart: list[CleanLog] = field(default_factory=list)

    def add(self, other: CleanLog, logs: list[CleanLog]) -> bool:
        """Join another log (of several), if it can be laid beside this."""
        aligned = _aligned(self.whole, other)
        if aligned is not None:
            self.whole = _joined(*aligned)
            self.logs += logs
        return aligned is not None


def _trainings(members: list[tuple[str | None, CleanLog]]) -> list[_Training]:
    """The trainings that logs of one folder and name are of."""
    found = list(_twins([log for split, log in members if split in (None, "train")]))
    named = [log for split, log in members if split == "train"]
    base = [t for t in found if len(found) == 1 or any(log in t.logs for log in named)]
    for split in ("val", "test"):
        halves = list(_twins([log for part, log in members if part == split]))
        if len(base) == len(halves) == 1 and _is_held_out(halves[0].whole):
            half = halves.pop()
            if not base[0].add(_renamed(half.whole, split), half.logs):
                base[0].apart += half.logs
        found += halves
    return found


def _twins(logs: list[CleanLog]) -> Iterator[_Training]:
    """The logs, each joined with its twins."""
    left = sorted(logs, key=_seen, reverse=True)
    while left:
        training, rest, left = _Training(left[0], [left[0]]), left[1:], []
        for log in rest:
            if not (_is_twin(training.whole, log) and training.add(log, [log])):
                left.append(log)
        yield training


def _seen(log: CleanLog) -> tuple[bool, int]:
    """Whether a log has a training loss, and how many: the finest gives the run its losses."""
    loss = training_loss(log.metrics)[0]
    return loss is not None, log.frame.height if loss is None else log.frame[loss].count()


def _is_twin(log: CleanLog, other: CleanLog) -> bool:
    """Whether two logs of one part of the data are of one training."""
    if _values_agree(log, other):
        return True
    if log.kind != other.kind:  # two trackers, or two ways of writing
        return True
    return not {*_meanings(log).values()} & {*_meanings(other).values()}


def _values_agree(log: CleanLog, other: CleanLog) -> bool:
    """Whether the values of a metric of both are the same at the steps that they share."""
    theirs = {meaning: name for name, meaning in _meanings(other).items()}
    pairs = [(name, theirs[m]) for name, m in _meanings(log).items() if m in theirs]
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


def _meanings(log: CleanLog) -> dict[str, str]:
    """What each metric is, whichever tracker wrote it."""
    known = {name: plain(name) for name in log.metrics}
    for what, loss in (("train_loss", training_loss), ("val_loss", validation_loss)):
        name = loss(log.metrics)[0]
        if name is not None and (what == "val_loss" or not is_held_out(name)):
            known[name] = what
    return known


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
    if log.axis == other.axis or _values_agree(log, other):
        if log.axis == other.axis == "row" and log.frame.height != other.frame.height:
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
    own = {meaning: name for name, meaning in _meanings(log).items()}
    agree = _values_agree(log, other)
    same = {name: own[m] for name, m in _meanings(other).items() if m in own}
    dropped = [name for name, mine_is in same.items() if not agree or name != mine_is]
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
    if len(runs) > 1:
        watched = compared([c for c in observations.columns if c not in KEYS])
        warn_of_same(run_codes(observations, watched).sort("run_id"), runs["run"])


def warn_of_same(codes: pl.DataFrame, names: pl.Series) -> None:
    """Name the runs of which codes are the same.

    Args:
        codes: as `run_codes` gives them, sorted by run.
        names: of the runs, by ``run_id``.
    """
    codes = codes.filter(pl.col("differs") & (pl.col("len") > 1))
    same = codes.group_by("code", "len", maintain_order=True).agg("run_id")
    named = [
        " = ".join(names.gather(ids).to_list())
        for ids in same.filter(pl.col("run_id").list.len() > 1)["run_id"]
    ]
    if named:
        is_are = "curve is" if len(named) == 1 else "curves are"
        what = f"{len(named)} {is_are} there more than once, number for number: "
        warnings.warn(CurveWarning(what + first_few(named), named), stacklevel=5)


def compared(metrics: Sequence[str]) -> list[str]:
    """The metrics by which copies are known: the loss, else all."""
    loss = training_loss(metrics)[0] or validation_loss(metrics)[0]
    return list(metrics) if loss is None else [loss]


def run_codes(observations: pl.DataFrame, watched: Sequence[str]) -> pl.DataFrame:
    """A number for each run's losses (or all metrics) and their steps, as a tracker keeps them.

    Args:
        observations: with ``run_id``, by which they are sorted, ``step`` and the metrics.
        watched: as `compared` names them.

    Returns:
        ``run_id``, ``code``, ``len`` observations, and whether any two finite values differ.
    """
    value = pl.col(watched).cast(pl.Float32)
    rows = observations.select("run_id", pl.col("step").cast(pl.Float64), value)
    if all(rows[name].null_count() for name in watched):
        rows = rows.filter(pl.any_horizontal(pl.lit(value=False), pl.col(watched).is_not_null()))
    ids = rows["run_id"].to_numpy()
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1])[: len(ids)])
    code = rows.drop("run_id").rename({name: str(i) for i, name in enumerate(watched)}).hash_rows()
    first = rows[watched[0] if watched else "step"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    finite = np.isfinite(first)
    if len(starts):
        high = np.maximum.reduceat(np.where(finite, first, -np.inf), starts)
        low = np.minimum.reduceat(np.where(finite, first, np.inf), starts)
        codes, differs = np.add.reduceat(code.to_numpy(), starts), high > low
    else:
        codes, differs = np.empty(0, dtype=np.uint64), np.empty(0, dtype=bool)
    return pl.DataFrame({
        "run_id": rows["run_id"].gather(starts), "code": codes,
        "len": np.diff(np.append(starts, len(ids))), "differs": differs,
    })  # fmt: skip
