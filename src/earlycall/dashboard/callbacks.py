"""What the page asks, and who answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, Dash, Input, Output, State, html, no_update

from earlycall.dashboard import figures
from earlycall.dashboard import messages as words
from earlycall.dashboard.cache import Answer, Answers, saved, table
from earlycall.dashboard.choices import choices
from earlycall.dashboard.command import stop_command
from earlycall.dashboard.page import PANELS
from earlycall.dashboard.view import View
from earlycall.errors import InputError
from earlycall.formatting import common_ending

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl
    from plotly.graph_objects import Figure

MOST = 500  # runs in the table of elasticities, which is not sorted on the page


def wire(app: Dash, answers: Answers, paths: Sequence[str | Path], template: str | None) -> None:
    """Connect the parts of the page with what answers them."""
    _wire_page(app)
    _wire_curves(app, answers)
    _wire_tab(app, answers, "elasticity", figures.elasticity, ("elasticity",), with_table=True)
    _wire_tab(app, answers, "rules", figures.rules, ("rules",))
    _wire_tab(app, answers, "agreement", figures.agreement, ("map", "scatter"))
    _wire_tab(app, answers, "energy", figures.energy, ("energy",))

    @app.callback(
        Output("stop-command", "data"), Input("marked", "data"), Input("version", "data"),
        State("view", "data"),
    )  # fmt: skip
    def _stop(marked: list[str] | None, version: str, query: str | None) -> Any:
        if not marked:
            return {"runs": 0}
        return _stopping(answers, [str(run) for run in marked][:2000], query, paths, template)


def _wire_page(app: Any) -> None:
    """The parts that the browser does by itself."""
    of = "earlycall"
    app.clientside_callback(
        ClientsideFunction(of, "begin"), Output("view", "data"), Input("begun", "data")
    )
    app.clientside_callback(
        ClientsideFunction(of, "marks"), Output("marked", "data"), Input("begun", "data")
    )
    for function, drawn, store in (
        ("runs", "drawn-table", "table"), ("offer", "drawn-choices", "choices"),
        ("stopping", "drawn-stop", "stop-command"),
    ):  # fmt: skip
        app.clientside_callback(
            ClientsideFunction(of, function), Output(drawn, "title"), Input(store, "data")
        )
    app.clientside_callback(
        ClientsideFunction(of, "answered"),
        Output("drawn-all", "title"),
        [Input(f"answered-{name}", "data") for name in PANELS],
    )


def _wire_curves(app: Dash, answers: Answers) -> None:
    @app.callback(
        Output("messages", "children"), Output("verdict", "children"), Output("choices", "data"),
        Output("figure-curves", "figure"), Output("card-curves", "hidden"),
        Output("figure-ranking", "figure"), Output("card-ranking", "hidden"),
        Output("table", "data"), Output("answered-curves", "data"),
        Input("view", "data"), Input("version", "data"), prevent_initial_call=True,
    )  # fmt: skip
    def _curves(query: str | None, version: str) -> Any:
        if query is None:
            return (no_update,) * 9
        answer = _answer(answers, query)
        offered = _choices(answer)
        if answer.view.tab != "curves":
            return (words.messages(answer), no_update, offered, *(no_update,) * 5, version)
        shown = figures.curves_and_ranking(answer)
        said = words.messages(answer)
        if shown.words and answer.problem is None:
            said.append(html.P(shown.words, className="message wrong"))
        first, second = shown.figures
        return (
            said, words.verdict(answer), offered, *_drawn(first, answer.view),
            *_drawn(second, answer.view), table(answer), version,
        )  # fmt: skip


def _wire_tab(
    app: Dash,
    answers: Answers,
    name: str,
    make: Callable[[Answers, Answer], figures.Shown],
    drawn: tuple[str, ...],
    *,
    with_table: bool = False,
) -> None:
    """A tab that is only computed while it is looked at."""
    outputs = [Output(f"{name}-words", "children"), Output(f"answered-{name}", "data")]
    for figure in drawn:
        outputs += [Output(f"figure-{figure}", "figure"), Output(f"card-{figure}", "hidden")]
    outputs += [Output(f"{name}-runs", "children")] if with_table else []

    @app.callback(
        outputs, Input("view", "data"), Input("version", "data"), prevent_initial_call=True
    )
    def _tab(query: str | None, version: str) -> Any:
        if query is None or _tab_of(query) != name:
            return (no_update,) * len(outputs)
        answer = _answer(answers, query)
        shown = make(answers, answer)
        said = [html.P(shown.words, className="lead")] if shown.words else []
        out: list[Any] = [said, version]
        for figure in shown.figures:
            out += _drawn(figure, answer.view)
        if with_table:
            out.append(_elasticities(shown.table))
        return out


def _tab_of(query: str) -> str:
    try:
        return View.from_query(query).tab
    except InputError:
        return View().tab


def _answer(answers: Answers, query: str) -> Answer:
    """The answer to a view; to the first view where a link cannot be used, with the reason."""
    try:
        view = View.from_query(query)
    except InputError as error:
        problem = f"this link cannot be used: {error}"
        return replace(answers.ranked(View()), problem=problem)
    return replace(answers.ranked(view), view=view)


def _choices(answer: Answer) -> Any:
    whole = answer.snapshot.curves
    return no_update if whole is None else choices(whole, answer.view)


def _drawn(figure: Figure | None, view: View) -> tuple[Any, bool]:
    """A figure that keeps its zoom while logs grow; hidden where there is none."""
    if figure is None:
        return no_update, True
    same = (view.tab, view.group, view.metric, view.axis, view.cost)
    figure.update_layout(uirevision=str(same), autosize=True)
    if view.width == "narrow":
        figures.narrowed(figure)
    return figure, False


def _stopping(
    answers: Answers,
    marked: list[str],
    query: str | None,
    paths: Sequence[str | Path],
    template: str | None,
) -> dict[str, Any]:
    answer = _answer(answers, query or "")
    whole = answer.snapshot.curves
    known = set() if whole is None else set(whole.runs["run"].to_list())
    runs = [run for run in marked if run in known]
    who = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    part = 0.0 if answer.ranking is None else saved(answer.ranking, runs)
    gain = f"; that saves {part:.0%} of all training" if part >= 0.005 else ""
    return {
        "runs": len(runs),
        "words": f"{who} marked to stop{gain}",
        "command": stop_command(runs, paths, template),
    }


def _elasticities(table: pl.DataFrame | None) -> Any:
    if table is None:
        return []
    ending = common_ending(table["run"].to_list())
    head = ["Run", "ε gain", "95 %", "Regime", "Shape", "Advice"]
    rows = []
    for row in table.head(MOST).iter_rows(named=True):
        between = "–" if row["low"] is None else f"{row['low']:.2g} to {row['high']:.2g}"
        gain = "–" if row["gain_elasticity"] is None else f"{row['gain_elasticity']:.2g}"
        name = words.short(row["run"].removesuffix(ending))
        cells = [gain, between, row["regime"] or "–", row["shape"], row["advice"]]
        numbers = ("number", "number", "text", "text", "note")
        rows.append(
            html.Tr(
                [
                    html.Th(name, scope="row", className="text"),
                    *(html.Td(c, className=k) for c, k in zip(cells, numbers, strict=True)),
                ]
            )
        )
    kinds = ("text", "number", "number", "text", "text", "text")
    return html.Table([
        html.Thead(html.Tr([html.Th(h, scope="col", className=k)
                            for h, k in zip(head, kinds, strict=True)])),
        html.Tbody(rows),
    ])  # fmt: skip
