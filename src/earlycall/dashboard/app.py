"""The page as a dash app."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from dash import Dash, html, set_props

from earlycall.dashboard.access import Guard
from earlycall.dashboard.cache import Answers
from earlycall.dashboard.callbacks import wire
from earlycall.dashboard.live import Live
from earlycall.dashboard.page import page


def make_app(
    live: Live, guard: Guard, paths: Sequence[str | Path], *, stop_command: str | None = None
) -> Dash:
    """The page over followed logs.

    Args:
        live: the logs.
        guard: who may look.
        paths: what is followed, as it was given.
        stop_command: a template of the command that stops a run, as `serve` takes it.
    """
    app = Dash(
        "earlycall.dashboard",
        title=escape(f"earlycall {_shown(paths)}"),  # dash puts it into the page as it is
        update_title="",
        serve_locally=True,
        assets_folder=str(Path(__file__).parent / "assets"),
        add_log_handler=False,
        enable_mcp=False,
        on_error=_amiss,
        suppress_callback_exceptions=False,
    )
    app.layout = lambda: page(_shown(paths), live.now.version)
    app.index_string = _INDEX
    wire(app, Answers(live), paths, stop_command)
    app.server.add_url_rule("/_live", "live", lambda: _pulse(live))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request
    guard.attach(app.server, app.csp_hashes())
    return app


_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<meta name="color-scheme" content="light dark">
<title>{%title%}</title>
{%favicon%}
{%css%}
</head>
<body>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""


def _amiss(error: Exception) -> None:
    """Say on the page that a view cannot be shown, and go on."""
    why = f"This view cannot be shown: {type(error).__name__}: {error}"
    set_props("messages", {"children": [html.P(why[:1000], className="message wrong")]})


def _pulse(live: Live) -> dict[str, Any]:
    """Whether there is something new, in a few bytes."""
    now = live.now
    return {
        "version": now.version,
        "runs": 0 if now.curves is None else len(now.curves),
        "seconds": round((datetime.now(UTC) - now.at).total_seconds(), 1),
    }


def _shown(paths: Sequence[str | Path]) -> str:
    return " ".join(str(path) for path in paths)
