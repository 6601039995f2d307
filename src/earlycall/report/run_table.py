"""The table of runs: how each stands, and its settings beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from earlycall.curves import CurveSet
from earlycall.formatting import common_ending, plain
from earlycall.ranking.rank import TIED, Ranking

SETTINGS = ("hp.", "arch.", "tag.")
LONGEST = 160  # characters of a cell
HIDDEN = ("arch.graph",)


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        title: its heading.
        hint: what it holds, in a sentence.
        cells: a (shown, sorted by) pair for each run; sorted by None is last either way.
        numeric: whether it is set flush right.
    """

    title: str
    hint: str
    cells: tuple[tuple[str, float | str | None], ...]
    numeric: bool


def columns(curves: CurveSet, ranking: Ranking | None, measured: pl.DataFrame) -> list[Column]:
    """The columns, each with a cell for each run: the best run of each group first.

    Args:
        curves: the runs.
        ranking: of them, if there is one.
        measured: ``group``, ``run``, ``gain_elasticity`` and ``advice`` of runs, as
            `earlycall.elasticity` gives them.
    """
    table = _joined(curves, ranking, measured)
    names = table["run"].to_list()
    ending = common_ending(names)
    made = []
    if ranking is not None:
        made.append(_numbers(table, "rank", "rank", "Place within the group; ties share it"))
    if table["group"].n_unique() > 1:
        made.append(_words(table, "group", "group", "The runs that may be compared"))
    shown = [(plain(n.removesuffix(ending), LONGEST), n.lower()) for n in names]
    made.append(Column("run", "The run's name", tuple(shown), False))
    if ranking is not None:
        made += _scored(table, ranking)
    made += _settings(curves, table)
    if ranking is not None:
        made += _ended(table, ranking)
    if table["gain_elasticity"].count():
        hint = "Gain elasticity: percent more gain that 1 % more training brings"
        made.append(_numbers(table, "gain_elasticity", "elasticity", hint, 2))
    if table["note"].count():
        made.append(_words(table, "note", "note", "What to know about this run"))
    return made


def _joined(curves: CurveSet, ranking: Ranking | None, measured: pl.DataFrame) -> pl.DataFrame:
    """All that is known of each run, in the order of the ranking."""
    keys = ["group", "run"]
    table = curves.runs
    clash = [c for c in table.columns if c not in keys and not c.startswith((*SETTINGS, "final"))]
    table = table.drop(clash)
    if ranking is not None:
        table = ranking.table.join(table, on=keys, how="left", maintain_order="left")
        ends = pl.concat([_ends(p) for p in ranking.prefixes])
        table = table.join(ends, on=keys, how="left", maintain_order="left")
    else:
        table = table.with_columns(reason=pl.lit(None, dtype=pl.String))
    told = measured.select(*keys, "gain_elasticity", "advice")
    table = table.join(told, on=keys, how="left", maintain_order="left")
    advice = pl.when(pl.col("advice").str.starts_with("stop")).then(pl.col("advice"))
    # That the first runs are tied stands in the verdict; a column need not repeat it.
    reason = pl.when(pl.col("reason") != TIED).then(pl.col("reason"))
    return table.with_columns(note=pl.coalesce(reason, advice))


def _ends(prefixes: Any) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "group": [prefixes.group] * len(prefixes),
            "run": list(prefixes.runs),
            "last_seen": prefixes.values.last(),
            "last_step": prefixes.step.last(),
        },
        schema_overrides={"group": pl.String, "run": pl.String},
    )


def _scored(table: pl.DataFrame, ranking: Ranking) -> list[Column]:
    made = [_numbers(table, "score", plain(ranking.score, 40), "The score; larger is better", 3)]
    if table["p_first"].count():
        most = f"best {ranking.top}, %"
        made += [
            _numbers(table, "se", "±", "Standard error of the score", 2),
            _percents(table, "p_first", "first, %", "Chance to end first"),
            _percents(table, "p_top", most, f"Chance to end among the best {ranking.top}"),
        ]
    return made


def _ended(table: pl.DataFrame, ranking: Ranking) -> list[Column]:
    """Where each run was when it was last seen, and how it ended."""
    made = []
    last = f"The last {ranking.metric} that was seen"
    made.append(_numbers(table, "last_seen", plain(ranking.metric, 40), last))
    made.append(_numbers(table, "last_step", "to step", "The last step that was seen"))
    if "final" in table.columns and table["final"].count():
        told = table["final_metric"] if "final_metric" in table.columns else pl.Series([None])
        names = told.drop_nulls().unique().to_list()
        title = plain(str(names[0]), 40) if len(names) == 1 else "outcome"
        made.append(_numbers(table, "final", title, "How the run ended"))
    return made


def _settings(curves: CurveSet, table: pl.DataFrame) -> list[Column]:
    """The settings in which the runs differ, hyper-parameters first."""
    names = [c for c in curves.runs.columns if c.startswith(SETTINGS) and c not in HIDDEN]
    names.sort(key=lambda name: [name.startswith(start) for start in SETTINGS], reverse=True)
    made = []
    for name in names:
        if curves.runs[name].n_unique() > 1:
            make = _numbers if curves.runs.schema[name].is_numeric() else _words
            made.append(make(table, name, plain(name.removeprefix("hp."), 40), f"Setting {name}"))
    return made


def _numbers(table: pl.DataFrame, name: str, title: str, hint: str, digits: int = 4) -> Column:
    values = table[name].cast(pl.Float64, strict=False).to_list()
    return Column(title, hint, tuple((_number(v, digits), _key(v)) for v in values), True)


def _percents(table: pl.DataFrame, name: str, title: str, hint: str) -> Column:
    values = table[name].to_list()
    cells = tuple(("–" if v is None else f"{100 * v:.0f}", _key(v)) for v in values)
    return Column(title, hint, cells, True)


def _words(table: pl.DataFrame, name: str, title: str, hint: str) -> Column:
    values = [None if v is None else plain(str(v), LONGEST) for v in table[name].to_list()]
    cells = tuple((v or "–", None if v is None else v.lower()) for v in values)
    return Column(title, hint, cells, False)


def _number(value: float | None, digits: int) -> str:
    if value is None or math.isnan(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _key(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
