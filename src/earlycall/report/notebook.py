"""Results as notebooks show them: words, and a table whose bars need no script."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from earlycall.formatting import capitalised, number, percent, plain
from earlycall.report.model import ReportContents
from earlycall.report.run_table import run_table
from earlycall.report.templating import template

if TYPE_CHECKING:
    from earlycall.evaluation.evaluate import Evaluation
    from earlycall.ranking.rank import Ranking
    from earlycall.results import Result
    from earlycall.stopping.replay import Replay

MAX_ROWS = 20

Cell = dict[str, Any]  # text, and bar (the part of the cell that is filled, from 0 to 1)


def result_html(result: Result) -> str | None:
    """A result's verdict and table."""
    views = {"Ranking": ranking_html, "Evaluation": evaluation_html, "Replay": replay_html}
    view: Any = views.get(type(result).__name__, _any_html)
    html: str | None = view(result)
    return html


def _any_html(result: Result) -> str | None:
    rows = [
        [_cell(number(v, 3) if isinstance(v, float | None) else str(v)) for v in row]
        for row in result.table.head(MAX_ROWS).iter_rows()
    ]
    sentences = [*result.summary().splitlines(), *result.notes]
    return _html(sentences, result.table.columns, rows, max(result.table.height - MAX_ROWS, 0))


def ranking_html(ranking: Ranking) -> str | None:
    """The verdict of a ranking, and its first runs with their chances as bars."""
    verdicts = [f"{'' if g == 'all' else f'{g}: '}{v}." for g, v in ranking.verdicts.items()]
    sentences = [capitalised(sentence) for sentence in verdicts[:MAX_ROWS]]
    return _html([_caption(ranking), *sentences, *ranking.warnings], *_ranked(ranking))


def report_html(report: ReportContents) -> str | None:
    """The verdict of a report, and its ranking."""
    sentences = [s for verdict in report.verdicts for s in verdict.sentences]
    sentences += [report.problem] if report.problem is not None else []
    heads, rows, more = ([], [], 0) if report.ranking is None else _ranked(report.ranking)
    return _html([report.title, *sentences, *report.warnings], heads, rows, more)


def evaluation_html(evaluation: Evaluation) -> str | None:
    """Mean Spearman correlations: scores down, budgets across, the best first."""
    summary = evaluation.means()
    budgets = summary["budget"].unique().sort().to_list()
    several = summary["set"].n_unique() > 1
    heads = [*(["set"] if several else []), "score", *(f"{100 * b:.3g} %" for b in budgets)]
    found = [
        (name, {row["budget"]: row["spearman"] for row in rows.iter_rows(named=True)})
        for name, rows in summary.group_by("set", "score", maintain_order=True)
    ]
    found.sort(key=lambda item: (str(item[0][0]), -(item[1].get(budgets[-1]) or -2.0)))
    rows = [
        [_cell(str(n)) for n in (name if several else name[1:])]
        + [_correlation(by.get(b)) for b in budgets]
        for name, by in found
    ]
    caption = "Agreement of scores with outcomes (Spearman), by the part of training seen"
    return _html([caption], heads, rows[: 2 * MAX_ROWS], max(len(rows) - 2 * MAX_ROWS, 0))


def replay_html(replay: Replay) -> str | None:
    """What stop rules cost and lose, the cheapest first."""
    summary = replay.means().sort("set", "cost_pct")
    several = summary["set"].n_unique() > 1
    rows = [
        [
            *([_cell(row["set"])] if several else []),
            _cell(row["rule"]),
            _cell(f"{row['cost_pct']:.1f} %", row["cost_pct"] / 100),
            _cell(f"{row['regret_pct']:.2f} %"),
            _cell(percent(row["winner_kept"])),
        ]
        for row in summary.iter_rows(named=True)
    ]
    heads = [*(["set"] if several else []), "rule", "cost", "regret", "winner kept"]
    caption = "Stop rules on finished runs: the part of the full cost, and of the gain lost"
    return _html([caption], heads, rows[: 2 * MAX_ROWS], max(len(rows) - 2 * MAX_ROWS, 0))


def _caption(ranking: Ranking) -> str:
    seen = "all that was logged"
    if ranking.budget is not None:
        seen = f"the first {100 * ranking.budget:.3g} % of training"
    return f"{ranking.table.height} runs by {ranking.score} of {ranking.metric}, from {seen}"


def _ranked(ranking: Ranking) -> tuple[list[str], list[list[Cell]], int]:
    table = run_table(ranking).select("rank", "group", "run", "score", "se", "p_first", "p_top")
    cells = [
        [_cell(text, value if column.kind == "percent" else None)
         for text, value in zip(column.texts, column.values, strict=True)]
        for column in table.head(MAX_ROWS).columns
    ]  # fmt: skip
    rows = [list(row) for row in zip(*cells, strict=True)]
    return [column.title for column in table.columns], rows, max(len(table) - MAX_ROWS, 0)


def _cell(text: str, bar: float | None = None) -> Cell:
    return {"text": plain(text, 80), "bar": bar}


def _correlation(rho: float | None) -> Cell:
    return _cell("–") if rho is None else _cell(f"{rho:+.2f}", min(max(rho, 0.0), 1.0))


def _html(sentences: list[str], heads: list[str], rows: list[list[Cell]], more: int) -> str | None:
    if find_spec("jinja2") is None:
        return None
    paragraphs = [plain(sentence, 600) for sentence in sentences]
    return template("notebook.html.j2").render(
        sentences=paragraphs, heads=heads, rows=rows, more=more
    )
