"""A figure as a page that opens offline, or as a picture for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earlycall.atomic import write_whole
from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.plots.theme import Figure

PICTURES = (".png", ".svg", ".pdf")
PAGES = (".html", ".htm")
# Nothing is sent anywhere: plotly's own buttons would offer to upload the figure to its makers.
CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "responsive": True,
    "plotlyServerURL": "",
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
}
PNG_SCALE = 2  # pixels of a PNG for each of the figure


def write(figure: Figure, path: str | Path, *, width: int = 900, height: int | None = None) -> Path:
    """Write a figure, whole or not at all: a page (.html) or a picture (.png, .svg, .pdf).

    A page opens offline. A picture is drawn by an installed Chrome or Chromium; set the environment
    variable ``BROWSER_PATH`` if it is in an unusual place.

    Args:
        figure: of any function of `earlycall.plots`.
        path: the file; its ending decides the format.
        width: of a picture, in pixels (of 1/96 inch).
        height: likewise; by default the figure's own.

    Raises:
        InputError: if the ending is another, there is no browser, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in PAGES:
        page = figure.to_html(include_plotlyjs=True, default_height="96vh", config=CONFIG)
        return write_whole(path, page)
    if suffix not in PICTURES:
        ends = ", ".join((*PAGES[:1], *PICTURES))
        raise InputError(f"{path}: a figure is written as one of: {ends}")
    return write_whole(path, picture(figure, suffix[1:], width=width, height=height))


def picture(figure: Figure, kind: str, *, width: int = 900, height: int | None = None) -> bytes:
    """A figure as the bytes of a PNG, SVG or PDF file; arguments and errors as of `write`."""
    with needed_for("a picture", "plots"):
        import kaleido
        from kaleido import errors as failures
    options = {
        "format": kind, "width": width, "height": height or figure.layout.height or 520,
        "scale": PNG_SCALE if kind == "png" else 1,
    }  # fmt: skip
    try:
        # No formulas: MathJax would be fetched from the network.
        drawn = kaleido.calc_fig_sync(figure, opts=options, kopts={"mathjax": False})
    except failures.ChromeNotFoundError:
        raise InputError(
            "a picture is drawn by Chrome or Chromium, and none was found: install one, or set "
            "BROWSER_PATH to where it is; a page (.html) needs none"
        ) from None
    except (
        failures.BrowserFailedError, failures.BrowserClosedError, failures.JavascriptError,
        failures.KaleidoError,
    ) as error:  # fmt: skip
        raise InputError(f"the browser could not draw the picture: {error}") from None
    return bytes(drawn)
