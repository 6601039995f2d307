"""Results as notebooks show them: words, and a table whose bars need no script."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from earlycall.formatting import common_ending, number, plain
from earlycall.report.model import ReportContents
from earlycall.report.run_table import MAX_CELL, run_table
from earlycall.report.templating import template

if TYPE_CHECKING:
    from earlycall.evaluation.evaluate import Evaluation
    from earlycall.ranking.rank import Ranking
    from earlycall.results import Result
    from earlycall.stopping.replay import Replay

MAX_ROWS = 40
MAIN = {  # the columns of results that are too wide for a line
    "Elasticities": ("group", "run", "loss", "gain", "advice"),
    "Energy": ("group", "run", "kwh", "usd", "gco2e", "seconds", "mean_watts", "source", "reason"),
    "Fits": ("group", "run", "n", "b1", "b2", "b3", "status", "lcga_d1", "tse"),
    "SettingRanking": ("group", "rank", "run", "score", "low", "high", "n", "reason"),
}

Cell = dict[str, Any]  # text, and bar (the part of the cell that is filled, from 0 to 1)
Table = tuple[list[str], list[list[Cell]]]  # headings, and rows


def result_html(result: Result) -> str | None:
    """A result's verdict and table."""
    tables: dict[str, Any] = {
        "Ranking": _ranking_table, "Evaluation": _evaluation_table, "Replay": _replay_table
    }  # fmt: skip
    heads, rows = tables.get(type(result).__name__, _any_table)(result)
    return _html([*result.summary().splitlines(), *result.notes], heads, rows)


def report_html(report: ReportContents) -> str | None:
    """The verdict of a report, and its ranking."""
    sentences = [s for verdict in report.verdicts for s in verdict.sentences]
    sentences += [report.problem] if report.problem is not None else []
    heads, rows = ([], []) if report.ranking is None else _ranking_table(report.ranking)
    return _html([report.title, *sentences, *report.warnings], heads, rows)


def _any_table(result: Result) -> Table:
    """The columns that matter most and hold something, a line a run; ``.table`` has all."""
    table = result.table
    wanted = [c for c in MAIN.get(type(result).__name__, table.columns) if table[c].count()]
    if "group" in wanted and table["group"].n_unique() == 1:
        wanted.remove("group")
    if "status" in wanted and (table["status"] == "ok").all():
        wanted.remove("status")
    ending = common_ending(table["run"].to_list()) if "run" in wanted else ""
    rows = [
        [_cell(number(v, 3) if isinstance(v, float | None) else str(v).removesuffix(ending))
         for v in row]
        for row in table.select(wanted).iter_rows()
    ]  # fmt: skip
    return wanted, rows


def _ranking_table(ranking: Ranking) -> Table:
    """The runs, with their chances as bars."""
    table = run_table(ranking).select(
        "rank", "group", "run", "p_top", "p_first", "verdict", "score", "se", "moved"
    )
    cells = [
        [_cell(text, value if column.kind == "percent" else None)
         for text, value in zip(column.texts, column.values, strict=True)]
        for column in table.columns
    ]  # fmt: skip
    return [column.title for column in table.columns], [
        list(row) for row in zip(*cells, strict=True)
    ]


def _evaluation_table(evaluation: Evaluation) -> Table:
    """Mean Spearman correlations: scores down, budgets across, the best first."""
    means = evaluation.means()
    budgets = means["budget"].unique().sort().to_list()
    names = ["set", "score"] if means["set"].n_unique() > 1 else ["score"]
    wide = means.pivot("budget", index=["set", "score"], values="spearman")
    wide = wide.sort("set", str(budgets[-1]), descending=[False, True], nulls_last=True)
    rows = [
        [*(_cell(row[name]) for name in names), *(_correlation(row[str(b)]) for b in budgets)]
        for row in wide.iter_rows(named=True)
    ]
    return [*names, *(f"{100 * b:.3g} %" for b in budgets)], rows


def _replay_table(replay: Replay) -> Table:
    """What stop rules cost and lose, the cheapest first."""
    means = replay.means().sort("set", "cost_pct")
    names = ["set", "rule"] if means["set"].n_unique() > 1 else ["rule"]
    rows = [
        [
            *(_cell(row[name]) for name in names),
            _cell(f"{row['cost_pct']:.1f} %", row["cost_pct"] / 100),
            _cell(f"{row['regret_pct']:.2f} %"),
            _cell(replay.winner(row)),
        ]
        for row in means.iter_rows(named=True)
    ]
    return [*names, "cost", "regret", "winner kept"], rows


def _cell(text: str, bar: float | None = None) -> Cell:
    return {"text": plain(text, MAX_CELL), "bar": bar}


def _correlation(rho: float | None) -> Cell:
    return _cell("–") if rho is None else _cell(f"{rho:+.2f}", min(max(rho, 0.0), 1.0))


def _html(sentences: list[str], heads: list[str], rows: list[list[Cell]]) -> str | None:
    if find_spec("jinja2") is None:
        return None
    return template("notebook.html.j2").render(
        sentences=[plain(sentence, 600) for sentence in sentences],
        heads=heads, rows=rows[:MAX_ROWS], more=max(len(rows) - MAX_ROWS, 0),
    )  # fmt: skip
