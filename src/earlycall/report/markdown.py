"""A report as Markdown, for an issue, a pull request or a chat."""

from __future__ import annotations

import re

from earlycall.report.model import ReportContents
from earlycall.report.run_table import RunTable

MAX_ROWS = 30
_MARKS = re.compile(r"([\\`*_\[\]<>#|~&@])")


def markdown(report: ReportContents) -> str:
    """The words and the first 30 rows of the table of a report, as GitHub's Markdown."""
    lines = [f"# {escaped(report.title)}", ""]
    if report.problem is not None:
        lines += [escaped(report.problem), ""]
    for verdict in report.verdicts:
        if len(report.verdicts) > 1:
            lines += [f"## {escaped(verdict.group)}", ""]
        lines += [*(f"- {escaped(sentence)}" for sentence in verdict.sentences), ""]
    lines += [f"> {escaped(warning)}" for warning in report.warnings]
    lines += ["", "## Runs", "", *_table(report.runs.compact()), "", "## How it was computed", ""]
    lines += [f"- {escaped(term)}: {escaped(text)}" for term, text in report.how]
    made = f"{report.made:%Y-%m-%d %H:%M} UTC"
    lines += [f"- earlycall {escaped(report.version)}, {made}", ""]
    return "\n".join(lines)


def escaped(words: str) -> str:
    r"""A text in which Markdown finds no marks.

    Examples:
        >>> escaped("<b>a_b|c\nd")
        '\\<b\\>a\\_b\\|c d'
    """
    return _MARKS.sub(r"\\\1", " ".join(words.split()))


def _table(runs: RunTable) -> list[str]:
    lines = [
        [escaped(column.title) for column in runs.columns],
        ["---:" if column.numeric else "---" for column in runs.columns],
        *(map(escaped, texts) for texts in runs.head(MAX_ROWS).rows()),
    ]
    table = [f"| {' | '.join(cells)} |" for cells in lines]
    if len(runs) > MAX_ROWS:
        table += ["", f"… and {len(runs) - MAX_ROWS} more."]
    return table
