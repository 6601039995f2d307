"""``earlycall rank``: the runs of each group, the best first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from earlycall.cli import options, output
from earlycall.cli.watch import EVERY, Every, OnVerdictCommand, Watch, watch
from earlycall.errors import InputError
from earlycall.formatting import common_ending, number

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType

    from earlycall.cli.fitted import FittedTable, TableColumn
    from earlycall.curves import CurveSet, Prefixes
    from earlycall.ranking.over import SettingRanking
    from earlycall.ranking.rank import Ranking
    from earlycall.report.run_table import RunTable

HOW_TO_STOP = 'To do it: end their jobs, which --format json lists under "stop".'


def command(
    paths: options.Paths,
    score: options.ScoreName = None,
    burn_in: options.BurnIn = None,
    finished: options.Finished = None,
    outcome: options.Outcome = None,
    over: Annotated[
        str | None,
        typer.Option(
            help="Rank settings by the mean over their runs that differ in this alone, such as "
            "hp.seed.",
            show_default=False,
        ),
    ] = None,
    metric: options.Metric = None,
    maximize: options.Maximize = None,
    budget: options.Budget = None,
    steps: Annotated[float | None, typer.Option(help="Use the first steps only.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Use the first epochs only.")] = None,
    horizon: options.Horizon = None,
    group: options.Group = None,
    axis: options.Axis = options.AxisName.observation,
    cost: Annotated[
        options.CostName,
        typer.Option(
            help="What the budget is a part of: with joules or usd, runs are compared at the same "
            "energy or money."
        ),
    ] = options.CostName.step,
    top: options.Top = options.TOP,
    best: Annotated[
        int, typer.Option(help="K: show each run's chance to end among the best K.", min=1)
    ] = 3,
    svg: Annotated[
        Path | None, typer.Option(help="Also write the table as a picture, for a page or a paper.")
    ] = None,
    pattern: options.Pattern = None,
    watching: Watch = False,
    every: Every = EVERY,
    on_verdict: OnVerdictCommand = None,
    power: options.Power = None,
    price: options.Price = None,
    power_offset: options.PowerOffset = None,
    zone: options.Zone = None,
    address: options.Address = None,
    fmt: options.Output = options.Format.table,
) -> None:
    """Rank runs from the first part of their loss curves.

    The best run of each group stands first.

    Examples:
      earlycall rank runs/ --budget 10%

      earlycall rank runs/ --score lcga_d1 --epochs 10 --format json

      earlycall rank runs/ --watch --metric val_loss

      earlycall rank runs/ --watch --on-verdict "python notify.py"

      earlycall rank runs/ --budget 10% --cost joules

      earlycall rank runs/ --finished last-sweep/

      earlycall rank runs/ --over hp.seed

      earlycall rank s3://bucket/benchmark --budget 10% --address auto
    """
    from earlycall.ranking.over import by_setting
    from earlycall.ranking.rank import DEFAULT_SCORE, rank

    if on_verdict is not None and not watching:
        raise InputError("--on-verdict tells what changes while runs are watched; add --watch")
    told = None
    if on_verdict is not None:
        from earlycall.ranking.on_verdict import OnVerdict

        told = OnVerdict(on_verdict)
    past = output.read_finished(finished, outcome)
    how: dict[str, Any] = {
        "score": score or DEFAULT_SCORE, "budget": budget, "steps": steps, "epochs": epochs,
        "horizon": horizon, "group": group, "axis": axis.value, "cost": cost.value, "top": best,
        "direction": options.direction(maximize), "outcome": outcome, "burn_in": burn_in,
    }  # fmt: skip

    def ranked(curves: CurveSet, name: str | None = metric) -> Ranking | SettingRanking:
        ranking = rank(curves, metric=name, finished=past, **how)
        return ranking if over is None else by_setting(ranking, curves, over)

    if address is not None:
        from earlycall.integrations import ray_groups

        ray_groups.need_groups_apart(watch=watching, finished=past, over=over)
    if watching:
        output.joined_once(power, price, power_offset, zone)
        if svg is not None:
            raise InputError("--svg draws one table; leave out --watch")
        watch(paths, pattern, ranked, tables, every=every, top=top, fmt=fmt, told=told)
        return
    needed = axis.value if cost is options.CostName.step else cost.value
    at_once = (finished, over, svg, pattern, power, address)
    alone = len(paths) == 1 and needed not in ("joules", "usd") and not any(at_once)
    if alone and _shown_in_parts(paths[0], metric, how, top, fmt):
        return
    curves = output.read_with_cost(
        paths, pattern, needed, power=power, price=price, power_offset=power_offset, zone=zone
    )
    name = output.chosen_metric(curves, metric)
    if address is None:
        ranking = ranked(curves, name)
    else:
        with output.progress("ranking groups") as progress:
            ranking = ray_groups.rank(
                curves, address=address, progress=progress, metric=name, **how
            )
    title = f"earlycall rank {' '.join(map(str, paths))}"
    output.show(ranking, fmt, lambda: tables(ranking, top, curves), svg=svg, title=title)


def _shown_in_parts(
    path: Path, metric: str | None, how: dict[str, Any], top: int, fmt: options.Format
) -> bool:
    """Rank a large curve set group by group, and show each as it comes; whether it was one."""
    from earlycall.ranking.in_parts import ranked_parts
    from earlycall.ranking.rank import joined
    from earlycall.readers.scan import UnsuitableError, scanned

    scan = scanned(path)
    if scan is None:
        return False
    name = output.chosen_metric(scan.sample, metric)
    with output.working("reading where runs end"):
        parts = ranked_parts(scan, metric=name, **how)
    if parts is None:
        return False
    out = output.console()
    results_show_progress = fmt != "json" and out.is_terminal
    rankings = []
    with output.progress("ranking groups", shown=not results_show_progress) as progress:
        try:
            for i, (ranking, curves) in enumerate(parts):
                if fmt == "json":
                    rankings.append(ranking)
                elif fmt == "csv":
                    output.print_csv(ranking.table, header=not i)
                else:
                    for shown in chain([""] if i else [], tables(ranking, top, curves)):
                        out.print(shown)
                progress(i + 1, len(parts))
        except UnsuitableError:
            return False
    if fmt == "json":
        whole = joined(rankings, parts.notes)
        output.print_json_rows(whole.facts(), "runs", whole.table)
    for sentence in parts.notes:
        output.note(sentence)
    parts.survey.warn()
    return True


def tables(
    ranking: Ranking | SettingRanking, top: int, curves: CurveSet | None = None
) -> Iterator[RenderableType]:
    """The verdict on each group, and its table below.

    Args:
        ranking: of the runs.
        top: rows per group, 0 for all.
        curves: the runs with all that was logged, where some may have ended.
    """
    from earlycall.ranking.over import SettingRanking

    if isinstance(ranking, SettingRanking):
        yield from _setting_tables(ranking, top)
    else:
        yield from _run_tables(ranking, top, curves)


def _setting_tables(found: SettingRanking, top: int) -> Iterator[RenderableType]:
    from earlycall.cli.fitted import FittedTable, TableColumn, names

    score = found.ranking.score

    def title(group: str) -> str:
        where = "" if group == "all" else f"{group}: "
        count = found.table.filter(found.table["group"] == group).height
        return f"{where}{count} settings by the mean {score} of {found.ranking.metric}"

    def body(group: str, rows: pl.DataFrame) -> Iterator[RenderableType]:
        yield from output.words(found.sentence(group))
        bounds = zip(rows["low"], rows["high"], strict=True)
        columns = [
            TableColumn("rank", [number(rank) for rank in rows["rank"]]),
            names(rows["run"], "setting", ending=""),
            TableColumn(f"mean {score}", [number(value, 3) for value in rows["score"]]),
            TableColumn("95 %", ["–" if a is None else f"{number(a, 3)} to {number(b, 3)}"
                                 for a, b in bounds]),
            TableColumn("runs", [number(n) for n in rows["n"]]),
        ]  # fmt: skip
        if rows["reason"].count():
            reasons = [output.shown(reason or "") for reason in rows["reason"]]
            columns.append(TableColumn("note", reasons, "note", style="yellow"))
        styles = ["bold green" if rank == 1 else "" for rank in rows["rank"]]
        yield FittedTable(columns, styles)

    yield from output.by_group(found.table, top, title, body)


def _run_tables(ranking: Ranking, top: int, curves: CurveSet | None) -> Iterator[RenderableType]:
    from earlycall.report.run_table import run_table
    from earlycall.report.verdict import verdicts

    prefixes = {p.group: p for p in ranking.prefixes}
    sentences = {verdict.group: " ".join(verdict.sentences) for verdict in verdicts(ranking)}
    table = run_table(ranking, first=top)

    def body(group: str, rows: pl.DataFrame) -> Iterator[RenderableType]:
        how = f" {HOW_TO_STOP}" if _can_be_stopped(ranking, group, curves) else ""
        yield from output.words(sentences[group] + how)
        yield run_grid(table.group(group), prefixes[group], ranking.stop(group))

    yield from output.by_group(ranking.table, top, lambda g: _title(ranking, prefixes[g]), body)


def _can_be_stopped(ranking: Ranking, group: str, curves: CurveSet | None) -> bool:
    """Whether any run of a group that is to stop has, for all that was logged, not ended yet."""
    stop = ranking.stop(group)
    if not stop or curves is None:
        return bool(stop)
    end = ranking.horizons[group] if ranking.horizon_from.get(group) else None
    if end is None and "ended" not in curves.runs.columns:
        return True
    named = curves.select(group=group, runs=stop).directed(ranking.metric, ranking.direction)
    whole = named.prefix(horizon=end, metric=ranking.metric)
    return not whole.prefixes(metric=ranking.metric)[0].ended.all()


def run_grid(table: RunTable, prefixes: Prefixes, stop: Collection[str] = ()) -> FittedTable:
    """The runs of a group as a terminal shows them, each with its curve.

    Args:
        table: of `earlycall.report.run_table`, runs of the group.
        prefixes: of the group.
        stop: the runs to stop, which are dim.
    """
    import numpy as np

    from earlycall.cli.fitted import FittedTable, Need, TableColumn, names

    ending = common_ending(prefixes.runs)
    last_steps = np.unique(prefixes.step.last())
    chances = "p_top" in table
    low, high = _heights(prefixes)
    runs = table["run"].values
    row = {run: i for i, run in enumerate(prefixes.runs)}
    values = {run: prefixes.values[row[run]] for run in runs}
    stop = set(stop)

    def column(key: str, need: Need = "where it fits") -> list[TableColumn]:
        if key not in table:
            return []
        found = table[key]
        styles: tuple[str, ...] = ()
        if key == "verdict":
            styles = tuple({"keep": "green", "stop": "red"}.get(v, "") for v in found.values)
        kind: Literal["number", "text"] = "number" if found.numeric else "text"
        return [TableColumn(output.shown(found.title), found.texts, kind, need, styles=styles)]

    columns = [
        *column("rank", "always"),
        names(runs, ending=ending),
        *column("p_top", "always"),
        *column("p_first", "details"),
        *column("verdict"),
        TableColumn("seen", [output.sparkline(values[r].tolist(), low, high) for r in runs],
                    "text", "where it fits"),
        *column("score", "details" if chances else "always"),
        *column("se", "details" if chances else "where it fits"),
        *column("moved"),
        *column("last"),
        *column("step", "where it fits" if len(last_steps) > 1 else "details"),
        *_notes(table),
    ]  # fmt: skip
    ranks = table["rank"].values
    styles = [
        "bold green" if rank == 1 else "dim" if run in stop else ""
        for run, rank in zip(runs, ranks, strict=True)
    ]
    return FittedTable(columns, styles)


def _notes(table: RunTable) -> list[TableColumn]:
    """What to know of single runs; with -v, also which finished runs they are like."""
    from earlycall.cli.fitted import TableColumn

    notes = [""] * len(table)
    for key, before in (("note", ""), ("like", "like ")):
        if key in table and (key == "note" or output.verbose):
            found = zip(notes, table[key].values, strict=True)
            notes = [n or (f"{before}{output.shown(v)}" if v else "") for n, v in found]
    return [TableColumn("note", notes, "note", style="yellow")] if any(notes) else []


def _title(ranking: Ranking, prefixes: Prefixes) -> str:
    from earlycall.curves.horizon import UNKNOWN_END

    where = "" if prefixes.group == "all" else f"{prefixes.group}: "
    seen = "all of the log"
    if ranking.budget is not None:
        seen = f"the first {100 * ranking.budget:.3g} % of "
        seen += (
            f"{prefixes.horizon:g} steps" if ranking.cost == "step" else f"the usual {ranking.cost}"
        )
    if learned := ranking.learned_from.get(prefixes.group, 0):
        seen += f", and {learned} finished run{'' if learned == 1 else 's'}"
    end = "" if prefixes.horizon_from else f"; {UNKNOWN_END}"
    return f"{where}{len(prefixes)} runs by {ranking.score} of {ranking.metric}, {seen}{end}"


def _heights(prefixes: Prefixes) -> tuple[float, float]:
    """The values of the lowest and the highest bar, the same for all runs of a group."""
    import numpy as np

    finite = prefixes.values.values[np.isfinite(prefixes.values.values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.quantile(finite, [0.0, 0.95] if prefixes.sign > 0 else [0.05, 1.0])
    return float(low), float(high)
