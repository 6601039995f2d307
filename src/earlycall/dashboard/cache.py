"""What the page shows of a view: computed once, and kept while neither logs nor view change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from earlycall.curves import CurveSet
from earlycall.dashboard.live import Live, Snapshot
from earlycall.dashboard.view import View
from earlycall.errors import InputError, UnknownDirectionError
from earlycall.ranking.rank import DEFAULT_SCORE, Ranking, rank
from earlycall.report.run_table import RunTable, run_table
from earlycall.report.verdict import GroupVerdict, verdicts

MAX_KEPT = 64  # rankings and figures
MAX_FILTERED = 4  # sets of the runs that filters leave, each a copy

T = TypeVar("T")


@dataclass(frozen=True)
class RankedView:
    """The runs of a view, ranked.

    Attributes:
        snapshot: what the logs held.
        view: what was asked for.
        curves: the runs that are looked at, whole; None where there is none.
        ranking: with the ends of what was seen alone; None where they cannot be ranked.
        verdicts: of the group that is looked at.
        runs: the table of the runs; None where there is none.
        problem: why they cannot be ranked, in a sentence.
    """

    snapshot: Snapshot
    view: View
    curves: CurveSet | None = None
    ranking: Ranking | None = None
    verdicts: tuple[GroupVerdict, ...] = ()
    runs: RunTable | None = None
    problem: str = ""


class ViewCache:
    """The rankings and figures of the views of one or several pages over the same logs."""

    def __init__(self, live: Live, finished: CurveSet | None = None) -> None:
        self.live, self.finished = live, finished
        self._results, self._filtered = _Kept(MAX_KEPT), _Kept(MAX_FILTERED)

    def ranked(self, view: View) -> RankedView:
        """The runs of a view, ranked; errors are reported in ``problem``."""
        snapshot, asked = self.live.now, view.of_ranking()
        result = RankedView(snapshot, view)
        if snapshot.curves is None:
            return result
        whole = snapshot.curves
        try:
            filters = asked.of_filters().query()
            curves = self._filtered.get(snapshot, filters, lambda: asked.runs(whole))
        except Exception as error:  # whatever a log holds, the page goes on and says so
            return replace(result, problem=problem_of(error))
        if not len(curves):
            return replace(result, problem="no run matches the filters")
        past = self.finished if view.score == DEFAULT_SCORE else None  # others do not learn
        ranked = self.memoize(snapshot, asked.query(), lambda: _ranked(result, asked, curves, past))
        return replace(ranked, view=view, curves=curves)

    def memoize(self, snapshot: Snapshot, key: Any, compute: Callable[[], T]) -> T:
        """A result for these logs and this key; those who ask at the same time wait for one."""
        return self._results.get(snapshot, key, compute)


class _Kept:
    """The results that were asked for last, of the newest logs alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._results: OrderedDict[Any, Future[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, snapshot: Snapshot, key: Any, compute: Callable[[], T]) -> T:
        """A result for these logs and this key; those who ask at the same time wait for one."""
        with self._lock:
            for old in [k for k in self._results if k[0] != snapshot.version]:
                del self._results[old]
            result = self._results.get((snapshot.version, key))
            mine = result is None
            if result is None:
                result = self._results[snapshot.version, key] = Future()
            self._results.move_to_end((snapshot.version, key))
            while len(self._results) > self._most:
                self._results.popitem(last=False)
        if mine:
            try:
                result.set_result(compute())
            except BaseException as error:
                result.set_exception(error)
        return cast("T", result.result())


def problem_of(error: Exception) -> str:
    """A sentence on why a view cannot be shown."""
    if isinstance(error, UnknownDirectionError):
        return f"{error.question}: choose it under 'Better is'"
    if isinstance(error, InputError):
        return str(error)
    return f"This view cannot be shown: {type(error).__name__}: {error}"[:1000]


def _ranked(
    result: RankedView, view: View, curves: CurveSet, finished: CurveSet | None
) -> RankedView:
    """What is kept of a ranking, without the curves, which would be kept for each budget."""
    try:
        ranking = rank(
            curves, score=view.score, metric=curves.metric(view.metric), budget=view.budget,
            horizon=view.horizon, axis=view.axis, finished=finished,
        )  # fmt: skip
        table, said = run_table(ranking, curves), tuple(verdicts(ranking, curves))
        ranking = replace(ranking, prefixes=tuple(p.ends() for p in ranking.prefixes))
        return replace(result, ranking=ranking, verdicts=said, runs=table)
    except Exception as error:  # whatever a log holds, the page goes on and says so
        return replace(result, runs=run_table(None, curves), problem=problem_of(error))
