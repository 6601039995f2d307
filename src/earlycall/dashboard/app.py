"""The page: its templates filled with a view, and the addresses under which it is served."""

from __future__ import annotations

import gzip
import json
import logging
import mimetypes
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from earlycall.curves import CurveSet
from earlycall.curves.columns import SETTINGS_PREFIXES
from earlycall.dashboard.access import PAGES, Guard
from earlycall.dashboard.cache import RankedView, ViewCache
from earlycall.dashboard.choices import choices, nearest
from earlycall.dashboard.command import stop_command
from earlycall.dashboard.live import Live
from earlycall.dashboard.tabs import TabContent, tab_content
from earlycall.dashboard.view import TABS, View
from earlycall.errors import InputError
from earlycall.plots.theme import exchanged
from earlycall.plots.write import CONFIG
from earlycall.report.page import plotly_script
from earlycall.report.run_table import RunTable
from earlycall.report.templating import PAGES as REPORT_PAGES
from earlycall.report.templating import template
from earlycall.report.verdict import saving

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

FIRST_COLUMNS = (
    "rank", "run", "p_top", "p_first", "verdict", "score", "se", "moved", "last", "step", "final",
    "like", "note",
)  # fmt: skip
FIRST_ROWS, MAX_ROWS = 100, 1000  # of the table of runs, before and after all are asked for
MIN_GZIPPED = 2000  # bytes
MAX_BODY, MAX_URL = 1 << 20, 1 << 15  # bytes of a request; thousands of runs are marked in a body
ASKED = ("/_live", "/_view")  # by the page's scripts, with the view in the body
ASSETS = {
    "plotly.js": plotly_script(),
    "figures.js": REPORT_PAGES / "figures.js",
    "live.js": PAGES / "live.js",
    "base.css": REPORT_PAGES / "base.css",
    "live.css": PAGES / "live.css",
}
CAPTIONS = {
    "curves": "Loss curves of the runs",
    "ranking": "Ranking of the runs with its uncertainty",
    "elasticity": "A loss curve and its elasticity along the cost",
    "rules": "Cost of stop rules against what they lose",
    "agreement": "Correlation of early values with outcomes at several budgets",
    "outcomes": "Early rank of each run against its outcome",
    "energy": "Loss along the energy used",
}


class _Request(Request):
    max_content_length = MAX_BODY


class App:
    """The page as a WSGI application.

    Args:
        live: the logs.
        guard: who may look.
        paths: what is followed, as it was given.
        stop_template: of the command that stops a run, as `serve` takes it.
        finished: runs to learn from.
    """

    def __init__(
        self, live: Live, guard: Guard, paths: Sequence[str | Path], stop_template: str | None,
        finished: CurveSet | None = None,
    ) -> None:  # fmt: skip
        self.live, self.guard, self.paths, self.stop_template = live, guard, paths, stop_template
        self.cache = ViewCache(live, finished)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        request = _Request(environ)
        try:
            response = self.guard.refusal(request) or self._answer(request)
        except HTTPException as error:  # what is too large or cannot be understood
            response = Response(f"{error.code} {error.name}", error.code)
        return self.guard.secured(response)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if len(request.query_string) > MAX_URL:
            return Response("the query is too long", 414)
        if request.method == "POST" and request.path not in ASKED:
            return Response("nothing is sent here", 405)
        if request.path == "/":
            page = template("page.html.j2", PAGES).render(
                paths=" ".join(map(str, self.paths)), colours=exchanged(), config=CONFIG
            )
            return _packed(request, page, "text/html", _status(_query(request)))
        if request.path == "/_live":
            return _packed(request, json.dumps(self.pulse()), "application/json")
        if request.path == "/_view":
            query = request.get_data(as_text=True) or _query(request)
            answer = self.answer(query, request.args.get("drawn", ""))
            return _packed(request, answer, "application/json", _status(query))
        name = request.path.removeprefix("/assets/")
        return _asset(request, name) if name in ASSETS else Response("not found", 404)

    def pulse(self) -> dict[str, str]:
        """Whether there is something new, in a few bytes."""
        now = self.live.now
        count = 0 if now.curves is None else len(now.curves)
        ago = _ago((datetime.now(UTC) - now.at).total_seconds())
        words = f"{count} run{'' if count == 1 else 's'} · new data {ago}"
        return {"version": now.version, "words": words}

    def answer(self, query: str, drawn: str) -> str:
        """What the page shows of a view, as JSON.

        Args:
            query: of the view.
            drawn: the figures that the page has: the ``drawn`` of an earlier answer.

        Returns:
            The ``version`` of the logs, the ``html`` of the page's parts, and ``figures`` by name,
            null where the page has them; they go by the name ``drawn``.
        """
        try:
            view, problem = View.from_query(query), ""
        except InputError as error:
            view, problem = View(), f"this link cannot be used: {error}"
        ranked = self.cache.ranked(view)
        snapshot, key = ranked.snapshot, view.of_tab().query()
        content, figures = self.cache.memoize(
            snapshot, ("tab", key), lambda: _drawn(self.cache, ranked)
        )
        name = f"{snapshot.version}?{key}"
        head = {
            "version": snapshot.version, "drawn": name, "html": self._html(ranked, content, problem)
        }  # fmt: skip
        return f'{json.dumps(head)[:-1]}, "figures": {"null" if name == drawn else figures}}}'

    def _html(self, ranked: RankedView, content: TabContent, problem: str) -> str:
        view, curves = ranked.view, ranked.snapshot.curves
        table = _sorted(ranked.runs, view)
        marked = set(view.stop) & set(() if curves is None else curves.runs["run"].to_list())
        stop = [run for run in view.stop if run in marked]
        rows = MAX_ROWS if view.rows == "all" else FIRST_ROWS
        hopeless = [run for verdict in ranked.verdicts for run in verdict.stop]
        return template("view.html.j2", PAGES).render(
            ranked=ranked, view=view, content=content, tabs=TABS, captions=CAPTIONS,
            broken=list(ranked.snapshot.broken.values()),
            problems=[p for p in dict.fromkeys((problem, ranked.problem, content.problem)) if p],
            chosen=None if curves is None else choices(curves, view), nearest=nearest,
            table=table if table is None else table.compact().head(rows),
            rows=rows, max_rows=MAX_ROWS, n_runs=0 if table is None else len(table),
            marked=marked, to_stop=[run for run in hopeless if run not in marked],
            stop=stop, command=stop_command(stop, self.paths, self.stop_template),
            saved=(ranked.ranking and saving(ranked.ranking.prefixes[0], stop)[0]) or 0.0,
        )  # fmt: skip


def _drawn(cache: ViewCache, ranked: RankedView) -> tuple[TabContent, str]:
    """What a tab shows, and its figures as JSON, by which alone they are kept."""
    from plotly.io.json import to_json_plotly

    content = tab_content(cache, ranked)
    figures = to_json_plotly(content.figures)
    return replace(content, figures=dict.fromkeys(content.figures)), figures


def _sorted(table: RunTable | None, view: View) -> RunTable | None:
    """The table of one group as the page shows it: the settings, which may be many, stand last."""
    if table is None:
        return None
    settings = [c.key for c in table.columns if c.key.startswith(SETTINGS_PREFIXES)]
    table = table.select(*FIRST_COLUMNS, *settings)
    key, _, way = view.sort.rpartition(".")
    if key not in table or view.sort == View.sort:
        return table
    return table.sort(key, descending=way == "down")


def _ago(seconds: float) -> str:
    if seconds < 10:
        return "just now"
    if seconds < 100:
        return f"{round(seconds / 10) * 10} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 5400 else f"{seconds / 3600:.0f} h ago"


def _query(request: Request) -> str:
    return request.query_string.decode("latin-1")


def _status(query: str) -> int:
    """400 where the page shows why a link cannot be used."""
    try:
        View.from_query(query)
    except InputError:
        return 400
    return 200


def _packed(request: Request, text: str, kind: str, status: int = 200) -> Response:
    """An answer in few bytes, for those who look from afar or through a tunnel."""
    content = text.encode()
    response = Response(content, status, mimetype=kind, headers={"Cache-Control": "no-store"})
    if request.accept_encodings.quality("gzip") and len(content) >= MIN_GZIPPED:
        response.set_data(gzip.compress(content, 1))
        response.headers["Content-Encoding"] = "gzip"
    return response


def _asset(request: Request, name: str) -> Response:
    packed = request.accept_encodings.quality("gzip") > 0
    response = Response(_content(name, packed), mimetype=mimetypes.guess_type(name)[0])
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = "no-cache"  # ask whether it is another one
    response.add_etag()
    return response.make_conditional(request)


@cache
def _content(name: str, packed: bool) -> bytes:
    content = ASSETS[name].read_bytes()
    return gzip.compress(content, 6, mtime=0) if packed else content
