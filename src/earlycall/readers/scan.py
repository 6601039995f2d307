"""A curve set that is read group by group, and of each curve no more than is looked at.

What it holds is the same to the last bit as of a set that was read whole: rows are cleaned by the
same rules, and where those look at more than the first part of a curve, all of the group is read;
where they look at more than a group, `UnsuitableError` says that the set must be read whole.

A first pass takes the steps of all runs, and lets go of everything but where each begins and ends.
With those the end of training is known, and so how far the second pass needs to read each group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from earlycall.curves import CurveSet
from earlycall.curves.cleaning import (
    Observations,
    clean_run_table,
    warn_of_repairs,
    with_settings,
)
from earlycall.curves.curve_set import MIN_PREFIX
from earlycall.curves.horizon import reads_epochs
from earlycall.curves.parquet import CURVES
from earlycall.errors import InputError
from earlycall.readers.base.log import as_text
from earlycall.readers.formats import curve_set
from earlycall.readers.object_store import RemoteSet
from earlycall.readers.trainings import compared, run_codes, warn_of_same

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGE = 5_000_000  # observations of a set from which it is worth reading it in two passes
CHUNK_ROWS = 1_000_000  # of the first pass
PART_VALUES = 8_000_000  # of the second one
_HEAD = 1000  # rows that show what the columns are
_TEXT = (pl.String, pl.Categorical, pl.Enum)


class UnsuitableError(Exception):
    """What the rows mean can only be told from all of them together."""


@dataclass(frozen=True)
class Wanted:
    """What of each curve is looked at.

    Attributes:
        metric: the one that is watched.
        columns: all that are looked at; None for all that there are.
        part: of the horizon; None for another limit or for all.
        steps: the largest step; None for another limit or for all.
        horizon: the step at which training ends, where it was given.
        whole: says of the runs of a group, a row each, whether all of their curves is looked at.
    """

    metric: str
    columns: Sequence[str] | None
    part: float | None = None
    steps: float | None = None
    horizon: float | None = None
    whole: Callable[[pl.DataFrame], bool] = lambda _: False


@dataclass(frozen=True)
class Part:
    """Some groups that are read together.

    Attributes:
        groups: their names, as they are in the table.
        first: the number of their first run among all of the set.
        columns: that are read; None for all.
        until: the last step that is read; None for all.
    """

    groups: tuple[object, ...]
    first: int
    columns: Sequence[str] | None
    until: float | None


@dataclass(frozen=True)
class Scan:
    """A curve set whose rows have not been read yet.

    Attributes:
        name: what it is called in tables.
        curves: a row per observation, with ``group`` and ``run``.
        runs: the clean table of runs, None where there is none.
        sample: its first rows, which show what its columns are.
        readable: within this, what cannot be read is said.
        signature_now: what changes when its files are written again.
        signature: the same when it was opened.
    """

    name: str
    curves: pl.LazyFrame
    runs: pl.DataFrame | None
    sample: CurveSet
    readable: Callable[[], AbstractContextManager[None]]
    signature_now: Callable[[], object]
    signature: object

    def only(self, group: str) -> Scan:
        """The set with one of its groups alone.

        Raises:
            InputError: if there is no such group.
        """
        with self.readable():
            names = self.curves.select(pl.col("group").unique()).collect(engine="streaming")
        texts = names["group"].cast(pl.String)
        CurveSet(  # which says what there is instead
            self.sample.observations.clear(),
            pl.DataFrame({"group": texts, "run": texts}),
            self.name,
        ).select(group=group)
        named = names["group"].filter(texts == group)
        return replace(self, curves=self.curves.filter(pl.col("group").is_in(named.implode())))

    def survey(self, wanted: Wanted) -> Survey:
        """Where each run begins and ends, and what is to be read of it: the first pass.

        Raises:
            UnsuitableError: if the set must be read whole.
        """
        watched = compared(self.sample.metrics)
        read = list(dict.fromkeys(["group", "run", "step", wanted.metric, *watched]))
        unordered: set[object] = set()
        found = []
        with self.readable():
            for rows in _whole_runs(self.curves.select(read)):
                blocks = _blocks(rows, wanted.metric, watched)
                twice = blocks.filter(pl.struct("group", "run").is_duplicated())["group"]
                unordered |= set(twice.to_list())
                if unordered:  # of which it is enough to know the names
                    blocks = _once_each(blocks)
                found.append(blocks)
        if not found:
            raise UnsuitableError
        blocks = pl.concat(found)
        again = pl.struct("group", "run").is_duplicated()
        bad = blocks.filter(again | ~pl.col("rises") | pl.col("group").is_in(list(unordered)))
        unordered = set(bad["group"].to_list())
        if unordered:
            self._check(unordered)
            blocks = _once_each(blocks)
        if blocks.group_by("group").len()["len"].max() == 1:
            raise UnsuitableError  # reading it says that there is nothing to compare
        order = [pl.col("group").cast(pl.String), pl.col("run").cast(pl.String)]
        return Survey(self, wanted, blocks.sort(order), frozenset(unordered))

    def _check(self, unordered: set[object]) -> None:
        """Whether groups whose rows are not in order can be cleaned one by one.

        Raises:
            UnsuitableError: if not: where steps fall or repeat, rows of all groups tell together
                what they mean, but where each row has all metrics and there are no epochs.
        """
        names = self.sample.observations.columns
        if "epoch" not in names and len(self.sample.metrics) < 2:
            return
        if "epoch" not in names:
            with self.readable():
                missing = self.curves.select(pl.col(self.sample.metrics).null_count())
                if not any(missing.collect(engine="streaming").row(0)):
                    return
        for group in unordered:
            with self.readable():
                mine = self.curves.filter(pl.col("group") == group).select("run", "step")
                rows = mine.collect().with_row_index("at").sort("run", "at")
            same = (pl.col("run") == pl.col("run").shift()).fill_null(value=False)
            if rows.select((same & (pl.col("step") <= pl.col("step").shift())).any()).item():
                raise UnsuitableError

    def settings_of(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The runs of some groups, with what the table of runs says of them."""
        if self.runs is None:
            return keys
        runs = self.runs
        if "group" in runs.columns:
            runs = runs.filter(pl.col("group").is_in(keys["group"].unique().implode()))
        return with_settings(keys, runs)


@dataclass
class Survey:
    """What the first pass found, and the second one's rows.

    Attributes:
        scan: the set.
        wanted: what is looked at.
        blocks: a row per run, sorted as runs are: ``group`` (as in the table), ``run``, ``n``
            observations, their ``first``, ``third`` (the last of fewer) and ``last`` step, whether
            the metric ``lacks`` a value, and the ``code`` of the curve.
        unordered: the groups whose rows are not in order.
    """

    scan: Scan
    wanted: Wanted
    blocks: pl.DataFrame
    unordered: frozenset[object]

    def __post_init__(self) -> None:
        columns = ("code", "len", "differs")
        codes = self.blocks.with_row_index("run_id").select("run_id", *columns)
        self._codes = codes.drop_nulls("code")
        self._repairs: list[tuple[Observations, pl.Series]] = []

    @property
    def runs(self) -> int:
        """How many there are."""
        return self.blocks.height

    @cached_property
    def parts(self) -> list[Part]:
        """The groups in their order, small ones together."""
        out: list[Part] = []
        values, first = 0, 0
        for (group,), blocks in self.blocks.group_by("group", maintain_order=True):
            part = self._plan(group, blocks, first)
            first += blocks.height
            columns = part.columns or self.scan.sample.observations.columns
            mine = int(blocks["n"].to_numpy().sum()) * len(columns)
            if part.until is not None:
                mine = int(mine * min(part.until / max(_largest(blocks["last"]), 1e-300), 1.0))
            both = _together(out[-1], part) if out and values + mine <= PART_VALUES else None
            if both is None:
                out.append(part)
                values = mine
            else:
                out[-1] = both
                values += mine
        return out

    def _plan(self, group: object, blocks: pl.DataFrame, first: int) -> Part:
        """What is read of a group."""
        wanted = self.wanted
        whole = Part((group,), first, None, None)
        if wanted.columns is None or group in self.unordered or blocks["lacks"].any():
            return whole
        runs = self.scan.settings_of(_keys(blocks))
        epochs = "epoch" in self.scan.sample.observations.columns
        if wanted.whole(runs) or (epochs and reads_epochs(runs, blocks["last"].to_numpy())):
            return whole
        limit = wanted.steps
        if wanted.part is not None:
            end = wanted.horizon
            if end is None:
                end = _ends(blocks, runs, wanted.metric).horizon(str(runs["group"][0]))
            limit = wanted.part * end
        until = None if limit is None else max(limit, _largest(blocks["third"]))
        return replace(whole, columns=wanted.columns, until=until)

    def read(self, part: Part) -> CurveSet:
        """The runs of some groups: the second pass.

        Raises:
            UnsuitableError: if the set must be read whole.
        """
        scan = self.scan
        mine = pl.col("group").is_in(pl.Series(list(part.groups)).implode())
        rows = scan.curves.filter(mine)
        if part.columns is not None:
            names = ("group", "run", "step", *part.columns)
            rows = rows.select(c for c in rows.collect_schema() if c in names)
        if part.until is not None:
            rows = rows.filter(pl.col("step") <= part.until)
        try:
            with scan.readable():
                table = rows.collect()
        except InputError:
            self.check_unchanged()
            raise
        if part.until is not None:
            blocks = self.blocks.filter(mine & (pl.col("last") > part.until))
            ends = blocks.select(
                "group", "run", pl.col("last").alias("step").cast(table.schema["step"]),
                pl.lit(0).alias(self.wanted.metric).cast(table.schema[self.wanted.metric]),
            )  # fmt: skip
            table = pl.concat([table, ends], how="diagonal")
        cleaned = Observations()
        try:
            cleaned.add(table)
        except InputError:
            raise UnsuitableError from None  # reading it whole says which row of the file it is
        curves = CurveSet(cleaned.frame(), scan.settings_of(cleaned.keys), scan.name)
        if part.columns is None:
            self._repairs.append(
                (cleaned.replaced(curves.observations.clear()), cleaned.keys["run"])
            )
            codes = run_codes(curves.observations, compared(curves.metrics))
            codes = codes.with_columns(pl.col("run_id") + part.first)
            last = part.first + len(curves) - 1
            kept = self._codes.filter(~pl.col("run_id").is_between(part.first, last))
            self._codes = pl.concat([kept, codes.cast(kept.schema)])
        return curves

    def check_unchanged(self) -> None:
        """Make sure that all was read of one set.

        Raises:
            InputError: if it was written again meanwhile.
        """
        if self.scan.signature_now() != self.scan.signature:
            raise InputError(f"{self.scan.name}: written again while it was read; read it again")

    def warn(self) -> None:
        """Warn of what was repaired, and of curves that are there twice, once all is read."""
        warn_of_repairs(self._repairs)
        if self.runs > 1:
            warn_of_same(self._codes.sort("run_id"), self.blocks["run"].cast(pl.String))


def scanned(path: str | Path, *, large: int | None = None) -> Scan | None:
    """The curve set at a path, to be read group by group; None where it is best read whole.

    Args:
        path: a folder with ``curves.parquet``, or that file.
        large: the observations from which that pays; by default `LARGE`.

    Raises:
        InputError: if it is damaged.
    """
    large = LARGE if large is None else large
    try:
        there = RemoteSet.at(path)
    except InputError:
        return None  # reading it whole says what is wrong
    if there is not None:
        name = there.name
        found = _opened(there.scan, name, large, there.readable, lambda: None)
        scan, runs = found, None if found is None else there.run_table()
    else:
        folder = Path(path)
        if folder.name == CURVES and folder.is_file():
            folder = folder.parent
        if not curve_set.is_set(folder):
            return None
        name = as_text(folder.resolve().name)
        scan, runs = curve_set.pair(folder, lambda source: _opened(
            partial(curve_set.scan, source), name, large, partial(curve_set.readable, source),
            partial(curve_set.signature, source),
        ))  # fmt: skip
    if scan is None:
        return None
    try:
        return replace(scan, runs=None if runs is None else clean_run_table(runs))
    except InputError:
        return None  # reading it whole says what is wrong


def _opened(
    opened: Callable[[], pl.LazyFrame],
    name: str,
    large: int,
    readable: Callable[[], AbstractContextManager[None]],
    signature_now: Callable[[], object],
) -> Scan | None:
    """The curves without the table of runs, None where they are best read whole."""
    signature = signature_now()
    with readable():
        curves = opened()
        schema = curves.collect_schema()
        if not _suits(schema) or curves.select(pl.len()).collect().item() < large:
            return None
        head = curves.head(_HEAD).collect()
    if "group" not in schema:
        curves = curves.with_columns(group=pl.lit("all"))
        head = head.with_columns(group=pl.lit("all"))
    cleaned = Observations()
    try:
        cleaned.add(head)
    except InputError:
        return None
    sample = CurveSet(cleaned.frame(), cleaned.keys, name)
    return Scan(name, curves, None, sample, readable, signature_now, signature)


def _suits(schema: pl.Schema) -> bool:
    """Whether the types of columns tell what they hold, and steps were logged."""
    if not {"run", "step"} <= set(schema):
        return False
    kinds = {name: kind for name, kind in schema.items() if name not in ("group", "run")}
    good = (pl.Float32, pl.Float64)
    step = kinds["step"].is_integer() or kinds["step"] in good
    named = all(
        schema[n] in _TEXT or schema[n].is_integer() for n in ("group", "run") if n in schema
    )
    odd = any(
        kind in _TEXT or kind == pl.Null or kind.is_decimal() or name.startswith("^")
        or name.endswith("*") or str(kind).endswith("Int128")
        for name, kind in kinds.items()
    )  # fmt: skip
    return step and named and not odd


def _whole_runs(table: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows in parts that end where a block of rows of one run does."""
    held: list[pl.DataFrame] = []
    for rows in table.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True):
        if not rows.height:
            continue
        last = _last_start(rows)
        joins = (
            bool(held)
            and not last
            and held[-1].select("group", "run").row(-1) == rows.select("group", "run").row(0)
        )
        if joins:
            held.append(rows)
            continue
        if held or last:
            yield pl.concat([*held, rows[:last]])
        held = [rows[last:]]
    if held:
        yield pl.concat(held)


def _last_start(rows: pl.DataFrame) -> int:
    """Where the last block of rows of one run starts."""
    n = 1024
    while n < rows.height:
        if (start := _starts(rows[-n:])[-1]) > 0:
            return rows.height - n + int(start)
        n *= 8
    return int(_starts(rows)[-1])


def _starts(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Where the blocks of rows of one run start."""
    changed = [pl.col(name).ne_missing(pl.col(name).shift()) for name in ("group", "run")]
    starts = rows.select(pl.any_horizontal(changed)).to_series().arg_true().to_numpy()
    return starts if len(starts) and not starts[0] else np.insert(starts, 0, 0)


def _blocks(rows: pl.DataFrame, metric: str, watched: Sequence[str]) -> pl.DataFrame:
    """The blocks of rows of one run, as `Survey.blocks`; and whether their steps rise.

    Raises:
        UnsuitableError: if a name or a step is missing.
    """
    names = rows.select(pl.col("group", "run", "step").null_count()).row(0)
    step = rows["step"].to_numpy()
    if any(names) or not np.all(np.abs(step) <= 1e100):
        raise UnsuitableError
    starts = _starts(rows)
    n = np.diff(np.append(starts, rows.height))
    falls = np.append(False, step[1:] <= step[:-1])
    falls[starts] = False
    lacks = np.zeros(rows.height, dtype=bool)
    if rows[metric].null_count():
        lacks = rows[metric].is_null().to_numpy()
    ids = pl.Series("run_id", np.repeat(np.arange(len(starts), dtype=np.uint32), n))
    codes = run_codes(rows.select(ids, "step", *watched), watched)
    return (
        rows[starts]
        .select("group", "run")
        .with_columns(
            pl.Series("n", n),
            pl.Series("first", step[starts], dtype=pl.Float64),
            pl.Series("third", step[starts + np.minimum(n, MIN_PREFIX) - 1], dtype=pl.Float64),
            pl.Series("last", step[starts + n - 1], dtype=pl.Float64),
            pl.Series("rises", ~np.logical_or.reduceat(falls, starts)),
            pl.Series("lacks", np.logical_or.reduceat(lacks, starts)),
        )
        .with_row_index("run_id")
        .join(codes, on="run_id", how="left", maintain_order="left")
        .drop("run_id")
    )


def _once_each(blocks: pl.DataFrame) -> pl.DataFrame:
    """A row for each run, though its rows lie apart."""
    runs = blocks.group_by("group", "run", maintain_order=True)
    return runs.agg(pl.col("n").sum(), pl.exclude("group", "run", "n").first()).select(
        blocks.columns
    )


def _together(one: Part, other: Part) -> Part | None:
    """Two parts as one, None where they are read in different ways."""
    if one.columns != other.columns or (one.until is None) != (other.until is None):
        return None
    untils = [until for until in (one.until, other.until) if until is not None]
    return replace(one, groups=one.groups + other.groups, until=max(untils, default=None))


def _largest(steps: pl.Series) -> float:
    return float(steps.to_numpy().max())


def _keys(blocks: pl.DataFrame) -> pl.DataFrame:
    return blocks.select(pl.col("group", "run").cast(pl.String))


def _ends(blocks: pl.DataFrame, runs: pl.DataFrame, metric: str) -> CurveSet:
    """The runs of a group with their first and last steps alone, which tell where training ends."""
    ids = pl.Series(np.arange(blocks.height, dtype=np.uint32))
    both = [
        blocks.select(step=pl.col(at)).with_columns(run_id=ids).filter(blocks["n"] >= least)
        for at, least in (("first", 1), ("last", 2))
    ]
    rows = pl.concat(both).sort("run_id", maintain_order=True)
    return CurveSet(rows.with_columns(pl.lit(0.0).alias(metric)), runs)
