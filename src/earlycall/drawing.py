"""Figures and notebook views of results, loaded when they are asked for.

A result names its figure and gets it from here, so that no room imports the rooms that draw it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def draw(figure: str, *subject: Any, **options: Any) -> Figure:
    """A figure of `earlycall.plots`.

    Args:
        figure: its name, such as "ranking".
        subject: what it shows.
        options: as the figure takes them.

    Raises:
        InputError: if plotly is not installed, or the figure cannot be drawn.
    """
    drawn: Figure = getattr(import_module(".plots", __package__), figure)(*subject, **options)
    return drawn


def notebook(view: str, result: Any) -> str | None:
    """A result as notebooks show it; None, for the plain form, where Jinja2 is not installed.

    Args:
        view: a function of `earlycall.report.notebook`.
        result: what it shows.
    """
    html: str | None = getattr(import_module(".report.notebook", __package__), view)(result)
    return html
