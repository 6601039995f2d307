"""A report as Markdown, for an issue, a pull request or a chat."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earlycall.report.report import Report

MOST = 30  # rows
_MARKS = re.compile(r"([\\`*_\[\]<>#|~&@])")


def text(report: Report) -> str:
    """The words and the first 30 rows of the table of a report, as GitHub's Markdown."""
    lines = [f"# {plain(report.title)}", ""]
    if report.problem is not None:
        lines += [plain(report.problem), ""]
    for verdict in report.verdicts:
        if len(report.verdicts) > 1:
            lines += [f"## {plain(verdict.group)}", ""]
        lines += [*(f"- {plain(sentence)}" for sentence in verdict.sentences), ""]
    lines += [f"> {plain(warning)}" for warning in report.warnings]
    lines += ["", "## Runs", "", *_table(report), "", "## How it was computed", ""]
    lines += [f"- {plain(term)}: {plain(said)}" for term, said in report.how]
    made = f"{report.made:%Y-%m-%d %H:%M} UTC"
    lines += [f"- earlycall {plain(report.version)}, {made}", ""]
    return "\n".join(lines)


def plain(words: str) -> str:
    r"""A text in which Markdown finds no marks.

    Examples:
        >>> plain("<b>a_b|c\nd")
        '\\<b\\>a\\_b\\|c d'
    """
    return _MARKS.sub(r"\\\1", " ".join(words.split()))


def _table(report: Report) -> list[str]:
    columns = report.columns
    rows = list(zip(*(column.cells for column in columns), strict=True))
    out = [
        "| " + " | ".join(plain(column.title) for column in columns) + " |",
        "|" + "|".join("---:" if column.numeric else "---" for column in columns) + "|",
    ]
    out += ["| " + " | ".join(plain(shown) for shown, _ in row) + " |" for row in rows[:MOST]]
    if len(rows) > MOST:
        out += ["", f"… and {len(rows) - MOST} more."]
    return out
