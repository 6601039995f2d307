"""``earlycall nas search``: what to train next, and with a budget its training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import options, output
from earlycall.cli.nas.rank import Top, read_architectures, scores
from earlycall.errors import InputError
from earlycall.formatting import csv_of, number

if TYPE_CHECKING:
    import polars as pl

    from earlycall.nas.search import SearchResult
    from earlycall.nas.spaces import Space
    from earlycall.nas.training_search import Budget, Progress

_PLANS = (".yaml", ".yml")
_UNITS = {
    "": ("runs", 1), "s": ("seconds", 1), "m": ("seconds", 60), "h": ("seconds", 3600),
    "J": ("joules", 1), "kJ": ("joules", 1000),
}  # fmt: skip


def command(
    space: Annotated[
        Path,
        typer.Argument(
            help="Space to search: a YAML file with data, epochs and families of models, or a "
            "table with graphs (arch.graph) to mutate.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(help="Only propose, by a predictor written by 'earlycall nas fit'."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="Also train: the experiment store to learn from and add to.",
            envvar="EARLYCALL_STORE",
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Training budget: 2 (runs), 10m (of training) or 500J.")
    ] = "2",
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Output table of proposals, or output folder of the training."
        ),
    ] = None,
    sampler: Annotated[
        str, typer.Option(help="random, tpe, evolution or nsga2 (always with --cost).")
    ] = "evolution",
    trials: Annotated[int, typer.Option(help="Candidates per round, at most.", min=1)] = 200,
    train: Annotated[int, typer.Option(help="Candidates to train per round.", min=1)] = 2,
    cost: Annotated[
        str | None, typer.Option(help="Also minimise this column, e.g. arch.params.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    device: Annotated[str, typer.Option(help="Training device: cpu, cuda, mps …")] = "cpu",
    top: Top = 10,
    fmt: options.Output = options.Format.table,
) -> None:
    """Search a space of architectures: propose what to train, or train within a budget.

    Each round predicts many candidates, trains the most promising for a few epochs, adds their
    losses to the store and fits the predictor again. An interrupted search resumes when it is
    started again with the same folder.

    Examples:
      earlycall nas search space.yaml --model model --cost arch.params -o proposals.parquet

      earlycall nas search space.yaml --store experiments.db --budget 30m -o search/
    """
    if (model is None) == (store is None):
        raise InputError("give --model to propose architectures, or --store to train them")
    if space.suffix in _PLANS:
        from earlycall.study.models import add_import_folders
        from earlycall.study.plan import imports_beside

        add_import_folders(imports_beside(space))  # its MODULE:FUNCTION
    if model is not None:
        from earlycall.nas.model_file import load
        from earlycall.nas.search import search

        predictor, choices = load(model), _space(space)
        with output.working(f"predicting {trials} candidates"):
            result = search(
                choices, predictor, trials=trials, sampler=sampler, cost=cost, seed=seed
            )
        if out is not None:
            _write(result.table, out)
        _show_proposals(result, top, fmt)
        return
    from earlycall.nas.store import Store
    from earlycall.nas.training_search import Loop, SearchPlan

    limits = budget_of(budget)

    def log(sentence: str) -> None:
        output.errors().print(sentence, markup=False, soft_wrap=True)

    with Store(str(store)) as opened:
        loop = Loop(
            SearchPlan.load(space), opened, out or Path("search"), sampler=sampler, trials=trials,
            train=train, seed=seed, device=device, log=log,
        )  # fmt: skip
        with output.working("searching"):
            progress = loop.run(limits)
    _show_progress(progress, fmt)


def budget_of(text: str) -> Budget:
    """A budget: a number of runs, seconds (s, m or h) or joules (J, kJ).

    Raises:
        InputError: if it is none of these.

    Examples:
        >>> budget_of("10m").seconds, budget_of("3").runs, budget_of("2kJ").joules
        (600.0, 3, 2000.0)
    """
    from earlycall.nas.training_search import Budget

    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|J|kJ|)", text.strip())
    if match is None or float(match[1]) <= 0 or (not match[2] and "." in match[1]):
        raise InputError(f"budget {text!r} is none; write 2 (runs), 30s, 10m, 2h, 500J or 2kJ")
    unit, size = _UNITS[match[2]]
    number = float(match[1]) * size
    if unit == "runs":
        return Budget(runs=int(number))
    return Budget(seconds=number) if unit == "seconds" else Budget(joules=number)


def _space(path: Path) -> Space:
    from earlycall.nas.features import Graph
    from earlycall.nas.spaces import GraphSpace, ModelSpace

    if path.suffix in _PLANS:
        from earlycall.nas.training_search import SearchPlan
        from earlycall.study.data import splits

        plan = SearchPlan.load(path)
        data = splits(**plan.data)
        return ModelSpace(plan.space, data.in_chans, data.num_classes, data.image_size)
    table = read_architectures(path)
    if "arch.graph" not in table.columns:
        raise InputError(f"{path}: has no column 'arch.graph' with graphs to mutate")
    return GraphSpace([Graph.of(g) for g in table["arch.graph"].drop_nulls()])


def _write(table: pl.DataFrame, path: Path) -> None:
    import io

    from earlycall.atomic import write_whole

    if path.suffix == ".csv":
        write_whole(path, csv_of(table))
        return
    content = io.BytesIO()
    table.write_parquet(content)
    write_whole(path, content.getvalue())


def _show_proposals(result: SearchResult, top: int, fmt: options.Format) -> None:
    from earlycall.cli.fitted import FittedTable, TableColumn, names

    if fmt is options.Format.json:
        output.print_json({"tried": result.tried, "candidates": result.table.to_dicts()})
        return
    if fmt is options.Format.csv:
        output.print_csv(result.table)
        return
    rows = result.table.head(top) if top > 0 else result.table
    columns = [names(rows["run"]), *scores(rows)]
    if "cost" in rows.columns:
        front = ["yes" if front else "" for front in rows["front"]]
        columns += [
            TableColumn("cost", [number(cost, 4) for cost in rows["cost"]]),
            TableColumn("front", front, "text"),
        ]
    out = output.console()
    for line in output.words(f"{result.table.height} different of {result.tried} candidates."):
        out.print(line)
    out.print(FittedTable(columns))


def _show_progress(progress: Progress, fmt: options.Format) -> None:
    if fmt is options.Format.json:
        waiting = [candidate["name"] for candidate in progress.waiting]
        output.print_json(vars(progress) | {"waiting": waiting})
        return
    said = [f"round {place} ({made['by']}): {', '.join(made['chosen'])}"
            for place, made in enumerate(progress.rounds, start=1)]  # fmt: skip
    said.append(f"trained {len(progress.trained)} runs in {progress.seconds:.0f} s")
    out = output.console()
    for sentence in said:
        out.print(output.Sentences(sentence))
