"""A report as one page: all that it needs is in it, so that it opens offline and can be sent.

The library that draws the figures and the figures themselves are compressed (gzip, base64), which
the browser undoes: a page has about 2 MB rather than 5 and more.
"""

from __future__ import annotations

import base64
import gzip
from functools import cache
from pathlib import Path
from typing import Any

from earlycall.plots.theme import exchanged
from earlycall.plots.write import CONFIG
from earlycall.report.model import ReportContents
from earlycall.report.templating import template

PANEL_WIDTH = 300  # pixels that each of several panels side by side needs


def page(report: ReportContents) -> str:
    """The page of a report.

    Raises:
        InputError: if Jinja2 is not installed.
    """
    from plotly.io.json import to_json_plotly

    figures = {section.key: section.figure for section in report.sections}
    return template("report.html.j2").render(
        report=report,
        runs=report.runs.compact(),
        sizes={key: _size(figure) for key, figure in figures.items()},
        figures=_compressed(to_json_plotly(figures).encode()),
        library=_library() if figures else "",
        colours=exchanged(),
        config=CONFIG,
    )


def plotly_script() -> Path:
    """The library that draws the figures."""
    import plotly

    return Path(plotly.__file__).with_name("package_data") / "plotly.min.js"


def _size(figure: Any) -> tuple[int, int]:
    """The height of a figure, and the least width that three panels and more need, in pixels."""
    lefts = {round(axis.domain[0], 3) for axis in figure.select_xaxes() if axis.domain}
    width = PANEL_WIDTH * len(lefts)
    return int(figure.layout.height or 450), width if width > 2 * PANEL_WIDTH else 0


def _compressed(content: bytes) -> str:
    """In letters that mean nothing in HTML; the same for the same content."""
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode("ascii")


@cache
def _library() -> str:
    return _compressed(plotly_script().read_bytes())
