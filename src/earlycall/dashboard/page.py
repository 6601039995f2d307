"""The page: its parts, in the order in which they are read."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from earlycall.plots.write import CONFIG

PANELS = {
    "curves": "Curves and ranking",
    "elasticity": "Training elasticity",
    "rules": "Stop rules, replayed",
    "agreement": "Agreement with the outcomes",
    "energy": "Energy",
}


_BLANK: Any = {
    "layout": {
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
    }
}


def page(paths: str, version: str) -> Any:
    """The page as it is before any answer has come.

    Args:
        paths: what is followed, as it was given.
        version: of what the logs hold now.
    """
    return html.Div(
        [
            html.A("Skip to the figures", href="#figures", className="skip"),
            _bar(paths, version),
            html.Div([_choices(), _figures()], className="body"),
            html.Section(id="stopping", hidden=True, **_named("Runs marked to stop")),
            *_stores(version),
        ],
        id="page",
    )


def _bar(paths: str, version: str) -> Any:
    return html.Header(
        [
            html.H1("earlycall"),
            html.P(paths, className="paths", title=paths),
            html.P("reading", id="pulse", role="status", **_attribute("data-version", version)),
            html.Button("Copy link", id="link", type="button", className="quiet"),
            html.Button("Dark", id="theme", type="button", className="quiet"),
        ],
        className="bar",
    )


def _choices() -> Any:
    fold = html.Details(
        [html.Summary("Runs and score"), html.Form(id="controls")],
        open=True,
        id="fold",
    )
    return html.Aside(fold, **_named("What is looked at"))


def _figures() -> Any:
    tabs = html.Div(id="tabs", role="tablist", **_named("Figures"))
    return html.Main(
        [tabs, html.Div(id="messages", role="status"), *(_panel(name) for name in PANELS)],
        id="figures",
        tabIndex="-1",
    )


def _panel(name: str) -> Any:
    parts = {
        "curves": [
            html.Div(id="verdict", className="card words"),
            _figure("curves", "Loss curves of the runs"),
            _figure("ranking", "Scores of the runs with their uncertainty"),
            html.Div(
                [
                    html.Div(id="runs", tabIndex="0", role="region", **_named("Table of runs")),
                    html.Div(id="below-runs"),
                ],
                className="card",
            ),
        ],
        "elasticity": [
            html.Div(id="elasticity-words", className="card words"),
            _figure("elasticity", "A loss curve and its elasticity along the cost"),
            html.Div(id="elasticity-runs", className="card scrolled", tabIndex="0", role="region",
                     **_named("Table of elasticities")),
        ],
        "rules": [
            html.Div(id="rules-words", className="card words"),
            _figure("rules", "Cost of stop rules against what they lose"),
        ],
        "agreement": [
            html.Div(id="agreement-words", className="card words"),
            _figure("map", "Correlation of scores with outcomes at several budgets"),
            _figure("scatter", "Score of each run against its outcome"),
        ],
        "energy": [
            html.Div(id="energy-words", className="card words"),
            _figure("energy", "Loss along the energy used"),
        ],
    }[name]  # fmt: skip
    return html.Section(
        [html.H2(PANELS[name], className="unseen"), *parts],
        id=f"panel-{name}",
        role="tabpanel",
        hidden=name != "curves",
        **_attribute("aria-labelledby", f"tab-{name}"),
    )


def _figure(name: str, what: str) -> Any:
    config: Any = CONFIG
    graph = dcc.Graph(id=f"figure-{name}", figure=_BLANK, config=config, responsive=True)
    caption = html.Figcaption(what, className="unseen")
    sized = html.Div(graph, className="graph")
    return html.Figure([sized, caption], className="card figure", id=f"card-{name}")


def _stores(version: str) -> list[Any]:
    begun = dcc.Store(id="begun", data=True)
    stores = ("view", "version", "marked", "choices", "table", "stop-command")
    answered = [dcc.Store(id=f"answered-{name}") for name in PANELS]
    done = ("table", "choices", "stop", "all")
    drawn = [html.Div(id=f"drawn-{name}", hidden=True) for name in done]
    kept = [dcc.Store(id=name, data=version if name == "version" else None) for name in stores]
    return [begun, *kept, *answered, *drawn]


def _named(label: str) -> dict[str, Any]:
    return _attribute("aria-label", label)


def _attribute(attribute: str, value: str) -> dict[str, Any]:
    return {attribute: value}
