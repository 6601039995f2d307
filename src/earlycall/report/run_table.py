"""The table of runs that the terminal, notebooks, Markdown, the report and the page show.

`run_table` computes it once. Whoever shows it picks columns by key and prints their texts::

    table = run_table(ranking).group("cifar10").select("rank", "run", "score", "note").head(30)
    print(*(column.title for column in table.columns))
    for texts in table.rows():
        print(*texts)
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from earlycall.curves import CurveSet
from earlycall.curves.columns import SETTINGS_PREFIXES
from earlycall.formatting import common_ending, number, percent, plain
from earlycall.ranking.finished import LIKE
from earlycall.ranking.rank import TIED, Ranking

MAX_CELL = 160  # characters
MAX_TITLE = 40
MAX_SETTINGS = 2  # columns of settings that there is room for


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        key: ``rank``, ``group``, ``run``, ``p_top``, ``p_first``, ``verdict``, ``score``, ``se``,
            ``moved``, ``last``, ``step``, ``final``, ``elasticity``, ``like``, ``note``, or the
            name of a setting.
        title: its heading.
        hint: what it holds, in a sentence.
        kind: numbers and percents are set flush right; a note is a sentence.
        values: of each run, None where there is none; chances from 0 to 1.
        texts: the same, formatted.
    """

    key: str
    title: str
    hint: str
    kind: Literal["number", "percent", "text", "note"]
    values: tuple[Any, ...]
    texts: tuple[str, ...]

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers."""
        return self.kind in ("number", "percent")

    @property
    def cells(self) -> tuple[tuple[str, float | str | None], ...]:
        """A (text, sort key) pair for each run; runs without a sort key come last either way."""
        return tuple(zip(self.texts, map(_sort_key, self.values), strict=True))


@dataclass(frozen=True)
class RunTable:
    """Columns with a cell for each run: the groups one after the other, the best run first."""

    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def __contains__(self, key: str) -> bool:
        return any(column.key == key for column in self.columns)

    def __getitem__(self, key: str) -> Column:
        return next(column for column in self.columns if column.key == key)

    def rows(self) -> list[tuple[str, ...]]:
        """The texts, run by run."""
        return list(zip(*(column.texts for column in self.columns), strict=True))

    def cells(self) -> list[tuple[tuple[Column, str, float | str | None], ...]]:
        """The (column, text, sort key) triples of each run, as templates take them."""
        columns = ([(column, *cell) for cell in column.cells] for column in self.columns)
        return list(zip(*columns, strict=True))

    def select(self, *keys: str) -> RunTable:
        """Those of the columns that the table has, in this order."""
        return RunTable(tuple(self[key] for key in keys if key in self))

    def head(self, n: int) -> RunTable:
        """The first n runs."""
        return self._take(range(min(n, len(self))))

    def group(self, name: str) -> RunTable:
        """The runs of a group; all runs where there is only one."""
        if "group" not in self:
            return self
        return self._take(i for i, group in enumerate(self["group"].values) if group == name)

    def sort(self, key: str, *, descending: bool = False) -> RunTable:
        """Sorted by a column, cnn-4 before cnn-16; runs without a value come last either way."""
        keys = [key for _, key in self[key].cells]
        known = [i for i, key in enumerate(keys) if key is not None]
        known.sort(key=lambda i: _natural(keys[i]), reverse=descending)
        return self._take([*known, *(i for i, key in enumerate(keys) if key is None)])

    def compact(self) -> RunTable:
        """The columns that a screen has room for.

        More than two settings share a column, without those that another one decides (as a recipe
        decides its optimizer).
        """
        settings = [c for c in self.columns if c.key.startswith(SETTINGS_PREFIXES)]
        if len(settings) <= MAX_SETTINGS:
            return self
        shown = [
            column for i, column in enumerate(settings)
            if not any(_decides(other, column) for other in settings[:i])
        ]  # fmt: skip
        texts = tuple(
            ", ".join(f"{column.title} {text}" for column, text in zip(shown, row, strict=True))
            for row in zip(*(column.texts for column in shown), strict=True)
        )
        hint = "The settings in which the runs differ, but for those that follow from another"
        together = Column("settings", "settings", hint, "note", texts, texts)
        columns = [
            together if c is settings[0] else c for c in self.columns if c not in settings[1:]
        ]
        return RunTable(tuple(columns))

    def _take(self, rows: Iterable[int]) -> RunTable:
        rows = list(rows)

        def taken(cells: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(cells[i] for i in rows)

        return RunTable(
            tuple(replace(c, values=taken(c.values), texts=taken(c.texts)) for c in self.columns)
        )


def run_table(
    ranking: Ranking | None,
    curves: CurveSet | None = None,
    elasticities: pl.DataFrame | None = None,
    *,
    first: int = 0,
) -> RunTable:
    """The runs of a ranking, with what else is known of them.

    Args:
        ranking: of the runs; without one, they stand in the order of ``curves``.
        curves: adds the settings in which the runs differ, and their outcomes.
        elasticities: adds the gain elasticity, and the advice where it is to stop; a table with
            ``group``, ``run``, ``gain_elasticity`` and ``advice``, as of `earlycall.elasticity`.
        first: only so many rows of each group, the best ones; 0 for all.

    Returns:
        Only the columns that hold something for these runs.
    """
    table = _joined(ranking, curves, elasticities, first)
    columns = [_number(table, "rank", "rank", "Place within the group; ties share it")]
    if table["group"].n_unique() > 1:
        columns.append(_text(table, "group", "group", "The runs that may be compared"))
    columns.append(_names(table["run"].to_list()))
    if ranking is not None:
        score, top = plain(ranking.score, MAX_TITLE), ranking.top
        hint = "The score; larger is better"
        if not table["p_top"].count():  # as published, since nothing is said of chances
            table, hint = table.with_columns(score="raw"), "The value, as published"
        columns += [
            _percent(table, "p_top", f"P(best {top})", f"Chance to end among the best {top}"),
            _percent(table, "p_first", "P(first)", "Chance to end first"),
            _text(table, "verdict", "verdict", "Keep: one of these ends first with 95 %; or stop"),
            _number(table, "score", score, hint, 3),
            *_errors(table),
            _signed(
                table, "moved", "moved", "Places that it rose through what finished runs teach"
            ),
        ]
    kinds = table.schema
    for name in settings_of(curves):
        shown = _number if kinds[name].is_numeric() else _text
        title = plain(name.removeprefix("hp."), MAX_TITLE)
        columns.append(shown(table, name, title, f"Setting {name}"))
    if ranking is not None:
        metric = plain(ranking.metric, MAX_TITLE)
        columns += [
            _number(table, "last", f"last {metric}", f"The last {metric} that was seen"),
            _number(table, "step", "to step", "The last step that was seen"),
        ]
    if "final" in table.columns:
        columns.append(_number(table, "final", _outcome(table), "How the run ended"))
    columns += [
        _number(table, "elasticity", "elasticity",
                "Gain elasticity: percent more gain that 1 % more training brings", 2),
        _text(table, "like", "like", "The finished runs that moved it most", "note"),
        _text(table, "note", "note", "What to know about this run", "note"),
    ]  # fmt: skip
    always = {"run"} if ranking is None else {"rank", "run", "score"}
    filled = (c for c in columns if c.key in always or any(v is not None for v in c.values))
    return RunTable(tuple(filled))


def setting_text(value: object) -> str:
    """The value of a setting, as it is shown and stands in links.

    Examples:
        >>> setting_text(0.1), setting_text(64.0), setting_text(True), setting_text(None)
        ('0.1', '64', 'true', '–')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def settings_of(curves: CurveSet | None) -> list[str]:
    """The settings in which the runs differ, hyper-parameters first."""
    if curves is None:
        return []
    return [
        name
        for prefix in SETTINGS_PREFIXES
        for name in curves.runs.columns
        if name.startswith(prefix) and name != "arch.graph" and curves.runs[name].n_unique() > 1
    ]


def _joined(
    ranking: Ranking | None,
    curves: CurveSet | None,
    elasticities: pl.DataFrame | None,
    first: int,
) -> pl.DataFrame:
    """All that is known of each run, in the order of the ranking."""
    keys = ["group", "run"]
    parts = []
    if ranking is not None:
        schema = dict.fromkeys((*keys, "verdict"), pl.String)
        called = [pl.DataFrame(schema=schema)]
        for group in ranking.horizons:
            if stop := ranking.stop(group):
                for word, runs in (("keep", ranking.keep(group)), ("stop", stop)):
                    named = pl.DataFrame({"run": runs}, schema={"run": pl.String})
                    named = named.with_columns(group=pl.lit(group), verdict=pl.lit(word))
                    called.append(named.select(*schema))
        table = ranking.table
        if first > 0:
            table = table.group_by("group", maintain_order=True).head(first)
        parts += [
            table,
            pl.concat(called),
            pl.concat([_last(p) for p in ranking.prefixes]),
        ]
    if curves is not None:
        outcome = [c for c in ("final", "final_metric") if c in curves.runs.columns]
        parts.append(curves.runs.select(*keys, *settings_of(curves), *outcome))
    if elasticities is not None:
        renamed = pl.col("gain_elasticity").alias("elasticity")
        parts.append(elasticities.select(*keys, renamed, "advice"))
    table, *others = parts
    for other in others:
        table = table.join(other, on=keys, how="left", maintain_order="left")
    nothing = {"rank": None, "reason": "", "elasticity": None, "advice": "", "moved": None}
    table = table.with_columns(pl.lit(v).alias(k) for k, v in nothing.items() if k not in table)
    # That the first runs are tied stands in the verdict; the table need not repeat it.
    like = pl.col("moved").is_not_null() & pl.col("reason").str.starts_with(LIKE)
    reason = pl.when(~pl.col("reason").is_in([TIED, ""]) & ~like.fill_null(value=False))
    advice = pl.when(pl.col("advice").str.starts_with("stop")).then("advice")
    return table.with_columns(
        like=pl.when(like).then(pl.col("reason").str.strip_prefix(LIKE)),
        note=pl.coalesce(reason.then("reason"), advice),
    )


def _decides(one: Column, other: Column) -> bool:
    """Whether a setting that several runs share has one value of another for each of its own."""
    values = set(one.texts)
    return 2 * len(values) <= len(one.texts) and len(values) == len(
        set(zip(one.texts, other.texts, strict=True))
    )


def _errors(table: pl.DataFrame) -> list[Column]:
    """The standard errors, where any two of them differ."""
    column = _number(table, "se", "±", "Standard error of the score", 2)
    return [column] if len(set(column.texts) - {"–"}) > 1 else []


def _last(prefixes: Any) -> pl.DataFrame:
    """The last value that was seen of each run, and its step."""
    return pl.DataFrame(
        {
            "group": [prefixes.group] * len(prefixes),
            "run": list(prefixes.runs),
            "last": prefixes.values.last(),
            "step": prefixes.step.last(),
        },
        schema_overrides={"group": pl.String, "run": pl.String},
    )


def _outcome(table: pl.DataFrame) -> str:
    """The metric of the outcomes, where they all have the same."""
    if "final_metric" not in table.columns:
        return "outcome"
    names = table["final_metric"].drop_nulls().unique().to_list()
    return plain(str(names[0]), MAX_TITLE) if len(names) == 1 else "outcome"


def _names(runs: Sequence[str]) -> Column:
    ending = common_ending(runs)
    texts = tuple(plain(run.removesuffix(ending), MAX_CELL) for run in runs)
    return Column("run", "run", "The run's name", "text", tuple(runs), texts)


def _number(table: pl.DataFrame, key: str, title: str, hint: str, digits: int = 4) -> Column:
    values = tuple(table[key].cast(pl.Float64, strict=False).to_list())
    return Column(key, title, hint, "number", values, tuple(number(v, digits) for v in values))


def _percent(table: pl.DataFrame, key: str, title: str, hint: str) -> Column:
    values = tuple(table[key].to_list())
    return Column(key, title, hint, "percent", values, tuple(map(percent, values)))


def _signed(table: pl.DataFrame, key: str, title: str, hint: str) -> Column:
    values = tuple(table[key].to_list())
    texts = tuple("–" if v is None else f"{v:+d}".replace("-", "−") if v else "0" for v in values)
    return Column(key, title, hint, "number", values, texts)


def _text(
    table: pl.DataFrame, key: str, title: str, hint: str, kind: Literal["text", "note"] = "text"
) -> Column:
    values = tuple(table[key].to_list())
    texts = tuple(plain(setting_text(v), MAX_CELL) for v in values)
    return Column(key, title, hint, kind, values, texts)


def _sort_key(value: Any) -> float | str | None:
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    return None if value is None else str(value).lower()


def _natural(key: float | str | None) -> Any:
    """A key by which numbers within a text count as numbers."""
    if not isinstance(key, str):
        return key
    return [int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", key))]
