"""Names and numbers as people read them, in the terminal, in figures and on pages."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

MAX_NAME = 64
_DIRECTIONS = "\u202a-\u202e\u2066-\u2069"  # would turn round the text that follows
_UNSEEN = re.compile(f"[\x00-\x1f\x7f-\x9f{_DIRECTIONS}\u2028\u2029\ud800-\udfff]+")
_FORMULA = "^'*[=+\\-@\t\r\n＝＋－＠]"  # as OWASP lists what spreadsheets compute
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"

_NAME_PARTS = re.compile(r"[^/_\-, ]*[/_\-, ]+|[^/_\-, ]+")


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


def short_names(names: Sequence[str], most: int) -> list[str]:
    """Names of at most so many characters, shortened by what they share; never two alike.

    Examples:
        >>> short_names(["sweep/resnet50-lr0.1-seed1", "sweep/resnet50-lr0.3-seed1"], 14)
        ['sw…lr0.1-seed1', 'sw…lr0.3-seed1']
        >>> short_names(["aaaaaaaaaa1bbbbbbbbbb", "aaaaaaaaaa2bbbbbbbbbb"], 5)
        ['aa…bb', 'aa…~2']
        >>> short_names(["short", "longer-than-that"], 16)
        ['short', 'longer-than-that']
    """
    if max(map(len, names), default=0) <= most:
        return list(names)
    parts = [_NAME_PARTS.findall(name) for name in names]
    head = _shared(parts) if len(names) > 1 else 0
    tail = _shared([p[head:][::-1] for p in parts]) if len(names) > 1 else 0
    before = "".join(parts[0][:head])
    after = "".join(parts[0][len(parts[0]) - tail :])
    own = ["".join(p[head : len(p) - tail]) for p in parts]
    room = max(most - max(map(len, own)), 0)
    left = _cut(before, room - (len(after) if len(after) < room else bool(after)))
    right = after if len(after) <= room - len(left) else "…"
    found = [f"{left}{middle}{right}" for middle in own]
    if max(map(len, found)) > most or len(set(found)) < len(set(names)):
        tries = [[cut(name, most) for name in own] for cut in (plain, _end_of, _cut)]
        found = max(tries, key=lambda shortened: len(set(shortened)))
    return _told_apart(names, found, most)


def _shared(parts: Sequence[Sequence[str]]) -> int:
    """How many first parts all names have in common, without the last of any."""
    count = 0
    for together in zip(*(p[:-1] for p in parts), strict=False):
        if len(set(together)) > 1:
            break
        count += 1
    return count


def _cut(text: str, most: int) -> str:
    """The beginning of a text."""
    return text if len(text) <= most else f"{text[: max(most - 1, 0)]}…"


def _end_of(text: str, most: int) -> str:
    return text if len(text) <= most else f"…{text[len(text) - most + 1 :]}"


def _told_apart(names: Sequence[str], found: list[str], most: int) -> list[str]:
    """Different names that came out alike, counted."""
    first: dict[str, str] = {}
    for i, (name, short) in enumerate(zip(names, found, strict=True)):
        unlike, count = short, 1
        while first.setdefault(unlike, name) != name:
            count += 1
            mark = f"~{count}"
            unlike = short[: max(most - len(mark), 0)] + mark
        found[i] = unlike
    return found


def labels(runs: Sequence[str], most: int = MAX_NAME) -> list[str]:
    """The names of runs for plotly, without the ending that they share."""
    ending = common_ending(runs)
    return [shown(run.removesuffix(ending), most) for run in runs]


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits; whole numbers and thousands in full.

    Examples:
        >>> number(0.123456), number(1140.0), number(12345.678), number(3e-7, 2), number(None)
        ('0.1235', '1,140', '12,346', '3e-07', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    size = abs(value)
    if size < 1e9 and (size >= 10**digits or float(value).is_integer()):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def percent(part: float | None) -> str:
    """A part of a whole in percent.

    Examples:
        >>> percent(0.618), percent(0.001), percent(0), percent(None)
        ('62 %', '<1 %', '0 %', '–')
    """
    if part is None or math.isnan(part):
        return "–"
    return "<1 %" if 0 < part < 0.005 else f"{100 * part:.0f} %"


def duration(seconds: float | None) -> str:
    """A time in its two largest units.

    Examples:
        >>> duration(0.42), duration(42.4), duration(95), duration(7300), duration(400_000)
        ('0.4 s', '42 s', '1 min 35 s', '2 h 1 min', '4 days 15 h')
    """
    if seconds is None or math.isnan(seconds):
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} day{'' if days == 1 else 's'} {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def listed(names: Sequence[str], limit: int = 3) -> str:
    """Some names in a sentence, the others counted.

    Examples:
        >>> listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
        ('a and b', 'a, b, c and 2 more')
    """
    first = [plain(name, 48) for name in names[:limit]]
    last = f"{len(names) - limit} more" if len(names) > limit else first.pop()
    return f"{', '.join(first)} and {last}" if first else last


def capitalised(sentence: str) -> str:
    """A sentence that begins with a capital, its other letters as they are.

    Examples:
        >>> capitalised("the first 3 of TSE")
        'The first 3 of TSE'
    """
    return sentence[:1].upper() + sentence[1:]


def json_of(document: dict[str, Any] | list[Any]) -> str:
    """A document as one line of JSON; what is not finite becomes null.

    Examples:
        >>> json_of({"losses": [1.5, float("nan")]})
        '{"losses": [1.5, null]}'
    """
    return json.dumps(_finite(document), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv_of(table: pl.DataFrame) -> str:
    r"""A table as CSV, in which no cell of text is a formula to a spreadsheet.

    What begins as one does (``=``, ``+``, ``-``, ``@``, tab, a line's end) gets an apostrophe
    before it, as OWASP advises: a tab would be as safe, but unseen, and is trimmed by most readers.
    Numbers, also those in text, stay as they are. Text that begins so after apostrophes of its own
    gets one more, so that `csv_read` gives every name back.

    Examples:
        >>> import polars as pl
        >>> csv_of(pl.DataFrame({"run": ["=1+1", "-1", "a=b"], "loss": [-0.5, 1.0, 2.0]}))
        "run,loss\n'=1+1,-0.5\n-1,1.0\na=b,2.0\n"
    """
    import polars as pl

    text = pl.col(pl.String, pl.Categorical, pl.Enum).cast(pl.String)
    harmless = ~text.str.contains(_FORMULA) | text.str.contains(_NUMBER)
    cells = table.with_columns(pl.when(harmless).then(text).otherwise("'" + text))
    cells.columns = [f"'{n}" if re.match(_FORMULA, n) else n for n in cells.columns]
    return cells.write_csv()


def csv_read(table: pl.DataFrame) -> pl.DataFrame:
    """The cells and names of columns as they were before `csv_of` wrote them.

    Examples:
        >>> import polars as pl
        >>> csv_read(pl.DataFrame({"run": ["'=1+1", "'a'"]}))["run"].to_list()
        ['=1+1', "'a'"]
    """
    import polars as pl

    text = pl.col(pl.String)
    kept = text.str.contains("^'") & text.str.contains(_FORMULA)
    cells = table.with_columns(pl.when(kept).then(text.str.slice(1)).otherwise(text))
    cells.columns = [
        n[1:] if n.startswith("'") and re.match(_FORMULA, n) else n for n in cells.columns
    ]
    return cells
