"""The templates of pages, which escape all that they are given."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earlycall.extras import needed_for
from earlycall.formatting import percent

if TYPE_CHECKING:
    from jinja2 import Template

PAGES = Path(__file__).parent / "pages"


@cache
def template(name: str, folder: Path = PAGES) -> Template:
    """A template of the project; those of other folders can use the report's.

    Raises:
        InputError: if Jinja2 is not installed.
    """
    with needed_for("a report", "plots"):
        import jinja2
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(list({folder, PAGES})), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["percent"] = percent
    environment.globals["asset"] = asset
    return environment.get_template(name)


def asset(name: str) -> Any:
    """A style or script of the project that stands in a page as it is."""
    from markupsafe import Markup

    return Markup((PAGES / name).read_text(encoding="utf-8"))  # noqa: S704  # not a user's text
