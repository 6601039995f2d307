"""Names as figures show them: as text, whatever they hold, and no longer than there is room."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

MAX_NAME = 64
_DIRECTIONS = "\u202a-\u202e\u2066-\u2069"  # would turn round the text that follows
_UNSEEN = re.compile(f"[\x00-\x1f\x7f-\x9f{_DIRECTIONS}\u2028\u2029\ud800-\udfff]+")


def plain(name: str, most: int = MAX_NAME) -> str:
    r"""A name on one line, shortened in the middle, with nothing that acts on its surroundings.

    Examples:
        >>> plain("a\nb"), plain("lr0.1-width128-seed3", 12)
        ('a b', 'lr0.1-…seed3')
    """
    text = _UNSEEN.sub(" ", name).strip() or "(no name)"
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def shown(name: str, most: int = MAX_NAME) -> str:
    """A name for plotly, which takes <b>, <a> and entities for markup.

    Examples:
        >>> shown("<b>x</b>")
        '&lt;b&gt;x&lt;/b&gt;'
    """
    # Two dollars would be mathematics where the page has MathJax.
    return html.escape(plain(name, most), quote=False).replace("$", "&#36;")


def common_ending(runs: Sequence[str]) -> str:
    """The ending that all runs' names share, where it is that of a file; else nothing.

    Examples:
        >>> common_ending(["a.csv", "b.csv"]), common_ending(["a.csv", "b"])
        ('.csv', '')
    """
    endings = {run[run.rfind(".") :] for run in runs if "." in run}
    ending = endings.pop() if len(endings) == 1 else ""
    shared = ending.isascii() and ending[1:].isalpha() and all(r.endswith(ending) for r in runs)
    return ending if shared else ""


def labels(runs: Sequence[str], most: int = MAX_NAME) -> list[str]:
    """The names of runs for plotly, without the ending that they share."""
    ending = common_ending(runs)
    return [shown(run.removesuffix(ending), most) for run in runs]


def percent(part: float) -> str:
    """A chance or another part of a whole.

    Examples:
        >>> percent(0.314)
        '31 %'
    """
    return f"{100 * part:.0f} %"


def capitalised(sentence: str) -> str:
    """A sentence that begins with a capital, its other letters as they are.

    Examples:
        >>> capitalised("the first 3 of TSE")
        'The first 3 of TSE'
    """
    return sentence[:1].upper() + sentence[1:]
