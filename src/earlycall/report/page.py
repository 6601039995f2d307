"""A report as one page: all that it needs is in it, so that it opens offline and can be sent.

The library that draws the figures and the figures themselves are compressed (gzip, base64), which
the browser undoes: a page has about 2 MB rather than 5 and more.
"""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earlycall.plots.theme import exchanged
from earlycall.report.templating import own, template

if TYPE_CHECKING:
    from earlycall.report.report import Report


def page(report: Report) -> str:
    """The page of a report.

    Raises:
        InputError: if Jinja2 is not installed.
    """
    figures = {section.key: section.figure.to_plotly_json() for section in report.sections}
    return template("report.html.j2").render(
        report=report,
        style=own("style.css"),
        script=own("page.js"),
        rows=list(zip(*(column.cells for column in report.columns), strict=True)),
        heights={s.key: int(s.figure.layout.height or 450) for s in report.sections},
        widths={s.key: 300 * _across(s.figure) for s in report.sections},
        figures=_packed(_json(figures).encode()),
        library=_library() if figures else "",
        colours=_packed(json.dumps(exchanged()).encode()),
    )


def _json(figures: dict[str, Any]) -> str:
    from plotly.io.json import to_json_plotly

    return str(to_json_plotly(figures))


def _across(figure: Any) -> int:
    """How many panels stand side by side."""
    lefts = {round(axis.domain[0], 3) for axis in figure.select_xaxes() if axis.domain}
    return max(len(lefts), 1)


def _packed(content: bytes) -> str:
    """Compressed, in letters that mean nothing in HTML; the same for the same content."""
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode("ascii")


@cache
def _library() -> str:
    import plotly

    return _packed(
        Path(plotly.__file__).with_name("package_data").joinpath("plotly.min.js").read_bytes()
    )
