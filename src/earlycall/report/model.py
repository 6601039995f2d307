"""What a report holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from earlycall.ranking.rank import Ranking
from earlycall.report.run_table import RunTable
from earlycall.report.verdict import GroupVerdict

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class Section:
    """A figure with its words.

    Attributes:
        key: for links.
        title: a few words.
        words: what the figure shows, in a sentence or two.
        figure: light.
    """

    key: str
    title: str
    words: str
    figure: Figure


@dataclass(frozen=True)
class ReportContents:
    """What curves say: a verdict, figures, a table of the runs, and how it was computed.

    Attributes:
        title: what the report is about.
        verdicts: of each group; empty where the runs cannot be ranked.
        problem: why they cannot, in a sentence.
        warnings: what makes runs hard to compare, a sentence each.
        sections: the figures with their words.
        runs: the table of the runs.
        how: pairs of a term and a text on how it was computed.
        version: of earlycall.
        made: when, in UTC.
        ranking: the ranking, None where there is none.
    """

    title: str
    verdicts: tuple[GroupVerdict, ...]
    problem: str | None
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    runs: RunTable
    how: tuple[tuple[str, str], ...]
    version: str
    made: datetime
    ranking: Ranking | None = field(repr=False)
