"""The pages' templates, which escape all that they are given."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from earlycall.extras import needed_for

if TYPE_CHECKING:
    from jinja2 import Template

PAGES = Path(__file__).parent / "pages"


@cache
def template(name: str) -> Template:
    """One of the project's templates.

    Raises:
        InputError: if Jinja2 is not installed.
    """
    with needed_for("a report", "plots"):
        import jinja2
    loader = jinja2.FileSystemLoader(PAGES)
    made = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return made.get_template(name)


def own(name: str) -> str:
    """A file of the project that stands in a page as it is: a style, a script."""
    from markupsafe import Markup

    return Markup((PAGES / name).read_text(encoding="utf-8"))  # noqa: S704  # not a user's text
