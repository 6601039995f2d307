"""Colours that those who see few of them can tell apart, light and dark, and one style for all.

After Okabe and Ito, *Color Universal Design*, 2008, darkened for white and lightened for dark
paper, so that a line has a contrast of at least 3 to 1 with what it is drawn on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.formatting import shown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as Figure  # noqa: PLC0414 (exported)
else:  # plotly is imported when a figure is drawn
    Figure = Any

Theme = Literal["light", "dark"]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
DASHES = ("solid", "dash", "dot")  # one after the other, once the colours are used up
LEGEND_ABOVE: dict[str, Any] = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}
LEGEND_BELOW: dict[str, Any] = {"orientation": "h", "yanchor": "top", "y": -0.16, "x": 0}
ABOVE = 56  # pixels above a panel with words there: plotly's buttons take the upper half of them
MAX_SVG_POINTS = 2000  # that a browser draws one by one without delay; more are drawn by WebGL


@dataclass(frozen=True)
class Palette:
    """The colours of a theme; every colour of a figure is one of these, or one made transparent."""

    paper: str
    ink: str
    muted: str  # words of less weight, and marks among many
    faint: str  # what is only there to be compared with
    grid: str
    blue: str
    red: str
    green: str
    purple: str
    sky: str
    amber: str
    cold: str  # the ends of a scale that words are written on
    warm: str

    @property
    def lines(self) -> tuple[str, ...]:
        """The colours of single curves, the most important first."""
        return (self.blue, self.red, self.green, self.purple, self.sky, self.amber)

    def line(self, i: int) -> dict[str, Any]:
        """The colour and dash of the i-th single curve."""
        colours = self.lines
        dash = DASHES[i // len(colours) % len(DASHES)]
        return {"color": colours[i % len(colours)], "dash": dash}


LIGHT = Palette(
    paper="#ffffff", ink="#1f2430", muted="#5d6675", faint="#9aa3b0", grid="#e8eaee",
    blue="#0068b3", red="#c94f00", green="#007f5f", purple="#a3508a", sky="#2e8fc4",
    amber="#a87400", cold="#6fabd8", warm="#e5a27a",
)  # fmt: skip
DARK = Palette(
    paper="#12151b", ink="#e7eaf0", muted="#a3acba", faint="#6c7686", grid="#272c36",
    blue="#5cb3ff", red="#ff9152", green="#2fcf9f", purple="#e59bcb", sky="#8fd3f7",
    amber="#f0c04a", cold="#356a99", warm="#98583a",
)  # fmt: skip
PALETTES: dict[str, Palette] = {"light": LIGHT, "dark": DARK}


def palette(theme: Theme) -> Palette:
    """The colours of a theme.

    Raises:
        InputError: if there is no such theme, or plotly is not installed.
    """
    with needed_for("a figure", "plots"):
        import plotly  # noqa: F401
    if theme not in PALETTES:
        raise InputError(f"theme {theme!r} is unknown; use light or dark")
    return PALETTES[theme]


def soft(colour: str, opacity: float) -> str:
    """A colour made transparent.

    Examples:
        >>> soft("#0068b3", 0.2)
        'rgba(0, 104, 179, 0.2)'
    """
    return f"{_opaque(colour)}{opacity:g})"


def exchanged() -> list[tuple[str, str]]:
    """What to replace in the JSON of a light figure to make it a dark one.

    The colours of the two palettes, as they are written and as `soft` writes them.
    """
    pairs = [(getattr(LIGHT, f.name), getattr(DARK, f.name)) for f in fields(Palette)]
    return pairs + [(_opaque(a), _opaque(b)) for a, b in pairs]


def panels(rows: int = 1, cols: int = 1, titles: Sequence[str] = (), **options: Any) -> Figure:
    """An empty figure of panels, with titles if there are several; options of plotly's."""
    from plotly.graph_objects import Figure

    names = tuple(shown(title, 40) for title in titles) if len(titles) > 1 else None
    known = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
    return Figure(_empty_panels(rows, cols, names, tuple(known.items())))


@lru_cache(maxsize=32)
def _empty_panels(
    rows: int, cols: int, titles: tuple[str, ...] | None, options: tuple[tuple[str, Any], ...]
) -> Figure:
    """Kept, since plotly takes ten times as long to make panels as to copy them."""
    from plotly.subplots import make_subplots

    known = {key: list(v) if isinstance(v, tuple) else v for key, v in options}
    figure = make_subplots(rows=rows, cols=cols, subplot_titles=titles, **known)
    return figure.update_layout(template="none")


def add_points(figure: Figure, n: int, **options: Any) -> None:
    """Add a trace of n points, drawn the way that suits their number."""
    add = figure.add_scatter if n <= MAX_SVG_POINTS else figure.add_scattergl
    add(mode="markers", hovertemplate="%{text}<extra></extra>", **options)


def styled(figure: Figure, colours: Palette, **layout: Any) -> Figure:
    """The figure in the style of all figures, with further settings of its layout."""
    if figure.layout.annotations:
        figure.update_annotations(font={"color": colours.muted, "size": 13})
    layout["margin"] = {"t": 30, "r": 20, "b": 52, "l": 64} | layout.get("margin", {})
    return figure.update_layout(template=_template(colours), font={"size": 13}, **layout)


@cache
def _template(colours: Palette) -> Any:
    """What all figures have in common; plotly is slow where it is set figure by figure."""
    from plotly.graph_objs.layout import Template

    axis = {
        "gridcolor": colours.grid, "zerolinecolor": colours.grid, "linecolor": colours.faint,
        "tickcolor": colours.faint, "ticks": "outside", "ticklen": 4, "automargin": True,
        "title": {"standoff": 10, "font": {"color": colours.muted, "size": 13}},
        "tickfont": {"color": colours.muted, "size": 12},
    }  # fmt: skip
    words = {"family": FONT, "color": colours.ink}
    return Template(layout={
        "xaxis": axis, "yaxis": axis, "font": words | {"size": 13}, "hovermode": "closest",
        "paper_bgcolor": colours.paper, "plot_bgcolor": colours.paper,
        "hoverlabel": {
            "bgcolor": colours.paper, "bordercolor": colours.faint, "align": "left",
            "font": words | {"size": 13},
        },
        "legend": {"font": {"color": colours.ink, "size": 12}},
    })  # fmt: skip


def _opaque(colour: str) -> str:
    """The beginning of a colour's rgba form, up to the opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, "
