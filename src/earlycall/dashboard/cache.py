"""What the page shows of a view: computed once, and kept while neither logs nor view change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import polars as pl

from earlycall.curves import CurveSet
from earlycall.dashboard.live import Live, Snapshot
from earlycall.dashboard.view import SETTINGS, View, setting_text
from earlycall.errors import InputError, UnknownDirectionError
from earlycall.formatting import common_ending
from earlycall.ranking.rank import TIED, Ranking, rank
from earlycall.report.verdict import GroupVerdict, verdicts

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT = 32  # answers

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """The runs of a view, ranked.

    Attributes:
        snapshot: what the logs held.
        view: what was asked for.
        curves: the runs that are looked at, whole; None where there is none.
        ranking: None where they cannot be ranked.
        verdicts: of the group that is looked at.
        problem: why not, in a sentence.
    """

    snapshot: Snapshot
    view: View
    curves: CurveSet | None = None
    ranking: Ranking | None = None
    verdicts: tuple[GroupVerdict, ...] = ()
    problem: str | None = None


class Answers:
    """The answers to the views of one or several pages over the same logs."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self._kept: OrderedDict[Any, _Once] = OrderedDict()
        self._lock = threading.Lock()

    def ranked(self, view: View) -> Answer:
        """The runs of a view, ranked; what cannot be done is said in ``problem``."""
        snapshot = self.live.now
        asked = replace(view, tab="curves", cost="step", focus=None, theme="light", width="wide")
        return self.once(snapshot, ("ranked", asked.query()), lambda: _ranked(snapshot, view))

    def once(self, snapshot: Snapshot, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        """What was computed of the same logs under the same key; who asks at once waits for it."""
        with self._lock:
            for old in [k for k in self._kept if k[0] != snapshot.version]:
                del self._kept[old]
            mine = self._kept.setdefault((snapshot.version, key), _Once())
            self._kept.move_to_end((snapshot.version, key))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return cast("T", mine.get(compute))


class _Once:
    """A value that is computed by the first who asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: list[Any] = []

    def get(self, compute: Callable[[], Any]) -> Any:
        with self._lock:
            if not self._made:
                self._made.append(compute())
            return self._made[0]


def _ranked(snapshot: Snapshot, view: View) -> Answer:
    start = Answer(snapshot, view)
    if snapshot.curves is None:
        return start
    try:
        curves = view.runs(snapshot.curves)
    except InputError as error:
        return replace(start, problem=str(error))
    if not len(curves):
        return replace(start, problem="no run matches the filters")
    try:
        metric = curves.metric(view.metric)
        ranking = rank(curves, score=view.score, metric=metric, budget=view.budget,
                       horizon=view.horizon, axis=view.axis)  # fmt: skip
    except UnknownDirectionError as error:
        problem = f"{error.question}: choose it under 'Better is'"
        return replace(start, curves=curves, problem=problem)
    except InputError as error:
        return replace(start, curves=curves, problem=str(error))
    said = tuple(verdicts(ranking, curves))
    return replace(start, curves=curves, ranking=ranking, verdicts=said)


def saved(ranking: Ranking, runs: list[str]) -> float:
    """The part of the whole group's training that is saved if some runs are stopped now."""
    total, left = 0.0, 0.0
    for prefixes in ranking.prefixes:
        last = np.nan_to_num(prefixes.step.last())
        total += prefixes.horizon * len(prefixes)
        chosen = np.isin(np.array(prefixes.runs, dtype=object), np.array(runs, dtype=object))
        left += float(np.maximum(prefixes.horizon - last[chosen], 0).sum())
    return left / total if total > 0 else 0.0


def table(answer: Answer) -> dict[str, Any]:
    """The runs as the page's table takes them: columns, and a list of values for each row."""
    ranking, curves = answer.ranking, answer.curves
    if curves is None:
        return {"columns": [], "rows": [], "unlikely": []}
    if ranking is None:
        names = curves.runs["run"].cast(pl.String).to_list()
        columns = [_column("run", "Run", "text")]
        return {"columns": columns, "rows": [[n] for n in names], "unlikely": []}
    metric = ranking.metric
    columns = [
        _column("rank", "Rank", "number", "Place within the group; ties share it"),
        _column("run", "Run", "text"),
        _column("score", ranking.score, "number", "Larger is better"),
    ]
    values: dict[str, list[Any]] = {
        "rank": ranking.table["rank"].to_list(),
        "run": ranking.table["run"].to_list(),
        "score": ranking.table["score"].to_list(),
    }
    if ranking.table["p_top"].count():
        columns += [
            _column("se", "±", "number", "Standard error of the score"),
            _column("p_top", f"P(best {ranking.top})", "percent",
                    f"Chance to end among the best {ranking.top}"),
        ]  # fmt: skip
        values |= {"se": ranking.table["se"].to_list(), "p_top": ranking.table["p_top"].to_list()}
    columns += [
        _column("last", f"last {metric}", "number", "The last value within the budget"),
        _column("step", "to step", "number", "The last step within the budget"),
    ]
    # That the first runs are tied stands above the figures; a column need not repeat it.
    notes = [None if why == TIED else why for why in ranking.table["reason"].to_list()]
    columns += [_column("why", "Note", "note")] if any(notes) else []
    last, step = _ends(ranking)
    values |= {
        "last": [last.get(run) for run in values["run"]],
        "step": [step.get(run) for run in values["run"]],
        "why": notes,
    }
    known = curves.runs.select("run", *settings_of(curves))
    told = {row["run"]: row for row in known.iter_rows(named=True)}
    for name in settings_of(curves):
        columns.append(_column(name, name.removeprefix("hp."), "value"))
        values[name] = [_setting(told.get(run, {}).get(name)) for run in values["run"]]
    rows = [list(row) for row in zip(*(values[c["key"]] for c in columns), strict=True)]
    return {
        "columns": columns,
        "rows": [_finite(row) for row in rows],
        "unlikely": [run for said in answer.verdicts for run in said.stop],
        "ending": common_ending(values["run"]),
    }


def settings_of(curves: CurveSet) -> list[str]:
    """The settings in which the runs differ."""
    names = [c for c in curves.runs.columns if c.startswith(SETTINGS) and c != "arch.graph"]
    names.sort(key=lambda name: [name.startswith(start) for start in SETTINGS], reverse=True)
    return [c for c in names if curves.runs[c].n_unique() > 1]


def _ends(ranking: Ranking) -> tuple[dict[str, float], dict[str, float]]:
    """The last value of the metric of each run, and its step."""
    last: dict[str, float] = {}
    step: dict[str, float] = {}
    for prefixes in ranking.prefixes:
        ends: NDArray[np.float64] = prefixes.values.last()
        last |= dict(zip(prefixes.runs, ends.tolist(), strict=True))
        step |= dict(zip(prefixes.runs, prefixes.step.last().tolist(), strict=True))
    return last, step


def _column(key: str, title: str, kind: str, hint: str = "") -> dict[str, str]:
    return {"key": key, "title": title, "kind": kind, "hint": hint}


def _setting(value: object) -> Any:
    return value if isinstance(value, int | float) else setting_text(value)


def _finite(row: list[Any]) -> list[Any]:
    """JSON has no NaN and no infinities; they are shown as text."""
    return [
        f"{v:g}" if isinstance(v, float) and np.isinf(v)
        else None if isinstance(v, float) and np.isnan(v) else v
        for v in row
    ]  # fmt: skip
