"""What all results have in common, and the figures and notebook views that they load when asked.

A result names its figure and gets it from here, so that no room imports the rooms that draw it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import polars as pl
    from plotly.graph_objects import Figure


class Result(ABC):
    """What `rank`, `fit_many`, `evaluate`, `elasticity`, `replay` and `energy` return.

    Attributes:
        table: a row per run, or per group and what was compared.
        notes: what was assumed, and what makes the result hard to trust, a sentence each.
    """

    _figure: ClassVar[str]  # its function in `earlycall.plots`

    if TYPE_CHECKING:

        @property
        def table(self) -> pl.DataFrame:
            """Declared for type checkers: a field in some results, computed in others."""

        @property
        def notes(self) -> tuple[str, ...]:
            """As ``table``; by default none."""

    else:
        notes = ()

    @abstractmethod
    def summary(self) -> str:
        """The verdict in words."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What ``--format json`` prints."""

    def plot(self, **options: Any) -> Figure:
        """A figure of the result; options of its function in `earlycall.plots`.

        Raises:
            InputError: if plotly is not installed, or there is nothing to draw.
        """
        return draw(self._figure, self, **options)

    def _repr_html_(self) -> str | None:
        """As notebooks show it; None, for the plain form, where Jinja2 is not installed."""
        return notebook("result_html", self)


def draw(figure: str, *subject: Any, **options: Any) -> Figure:
    """A figure of `earlycall.plots`.

    Args:
        figure: its name, such as "ranking".
        subject: what it shows.
        options: as the figure takes them.

    Raises:
        InputError: if plotly is not installed, or the figure cannot be drawn.
    """
    drawn: Figure = _function(f"plots.{figure}")(*subject, **options)
    return drawn


def notebook(view: str, result: Any) -> str | None:
    """A result as notebooks show it; None, for the plain form, where Jinja2 is not installed.

    Args:
        view: a function of `earlycall.report.notebook`.
        result: what it shows.
    """
    html: str | None = _function(f"report.notebook.{view}")(result)
    return html


def _function(name: str) -> Any:
    """A function by its place below this package."""
    module, _, function = name.rpartition(".")
    return getattr(import_module(f"{__package__}.{module}"), function)
