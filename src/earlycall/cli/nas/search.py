"""``earlycall nas search``: what to train next, and with a budget its training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earlycall.cli import output
from earlycall.cli.options import Format, Output
from earlycall.errors import InputError

if TYPE_CHECKING:
    from earlycall.nas.search import Found
    from earlycall.nas.spaces import Space
    from earlycall.nas.training_search import Budget, Progress

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def command(
    space: Annotated[
        Path,
        typer.Argument(
            help="Where to look: a YAML file with data, epochs and a space of models, or a table "
            "with graphs (arch.graph) to mutate.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(help="Only propose, by what 'earlycall nas fit' wrote.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="Train too: the experiment store to learn from and add to.",
            envvar="EARLYCALL_STORE",
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="How much to train: 2 (runs), 10m (of training) or 500J.")
    ] = "2",
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A table for proposals, or the folder of trainings."),
    ] = None,
    sampler: Annotated[
        str, typer.Option(help="random, tpe, evolution or nsga2 (taken with --cost).")
    ] = "evolution",
    trials: Annotated[int, typer.Option(help="Candidates to look at (in a round).", min=1)] = 200,
    train: Annotated[int, typer.Option(help="Candidates to train in a round.", min=1)] = 2,
    cost: Annotated[
        str | None, typer.Option(help="Also keep this column small, such as arch.params.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seeds all that is random.")] = 0,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, mps …")] = "cpu",
    top: Annotated[int, typer.Option(help="Rows of the table; 0 for all.")] = 10,
    fmt: Output = Format.table,
) -> None:
    """Search a space of architectures: propose what to train, or train it within a budget.

    Each round looks at many candidates on the predictor, trains the most promising for a few
    epochs, adds their losses to the store and learns again. A search that was interrupted goes
    on when it is started again with the same folder.

    Examples:
      earlycall nas search space.yaml --model model --cost arch.params -o proposals.parquet

      earlycall nas search space.yaml --store experiments.db --budget 30m -o search/
    """
    if (model is None) == (store is None):
        raise InputError("give --model to propose architectures, or --store to train them")
    if model is not None:
        _propose(space, model, out, sampler, trials, cost, seed, top, fmt)
        return
    from earlycall.nas.store import Store
    from earlycall.nas.training_search import Loop, SearchPlan

    wanted = budget_of(budget)
    with Store(str(store)) as opened:
        loop = Loop(
            SearchPlan.load(space), opened, out or Path("search"), sampler=sampler, trials=trials,
            train=train, seed=seed, device=device, tell=lambda said: output.errors().print(
                said, markup=False, soft_wrap=True),
        )  # fmt: skip
        with output.working("searching"):
            progress = loop.run(wanted)
    _tell(progress, fmt)


def budget_of(text: str) -> Budget:
    """A budget: a number of runs, seconds (s, m or h) or joules (J, kJ).

    Raises:
        InputError: if it is none of these.

    Examples:
        >>> budget_of("10m").seconds, budget_of("3").runs, budget_of("2kJ").joules
        (600.0, 3, 2000.0)
    """
    from earlycall.nas.training_search import Budget

    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|J|kJ)?", text.strip())
    if match is None or float(match[1]) <= 0 or (match[2] is None and "." in match[1]):
        raise InputError(f"budget {text!r} is none; write 2 (runs), 30s, 10m, 2h, 500J or 2kJ")
    number, unit = float(match[1]), match[2]
    if unit is None:
        return Budget(runs=int(number))
    if unit in _UNITS:
        return Budget(seconds=number * _UNITS[unit])
    return Budget(joules=number * (1000 if unit == "kJ" else 1))


def _propose(
    where: Path,
    model: Path,
    out: Path | None,
    sampler: str,
    trials: int,
    cost: str | None,
    seed: int,
    top: int,
    fmt: Format,
) -> None:
    from earlycall.nas.model_file import load
    from earlycall.nas.search import search

    predictor = load(model)
    with output.working(f"looking at {trials} candidates"):
        found = search(
            _space(where), predictor, trials=trials, sampler=sampler, cost=cost, seed=seed
        )
    if out is not None:
        _write(found, out)
    if fmt is Format.json:
        output.print_json({"tried": found.tried, "candidates": found.table.to_dicts()})
    elif fmt is Format.csv:
        output.print_csv(found.table)
    else:
        _print(found, top)


def _space(where: Path) -> Space:
    from earlycall.nas.features import Graph
    from earlycall.nas.spaces import GraphSpace, ModelSpace

    if where.suffix in (".yaml", ".yml"):
        from earlycall.nas.training_search import SearchPlan
        from earlycall.study.data import splits

        plan = SearchPlan.load(where)
        data = splits(**plan.data)
        return ModelSpace(plan.space, data.in_chans, data.num_classes, data.image_size)
    from earlycall.cli.nas.rank import described

    table = described(where)
    if "arch.graph" not in table.columns:
        raise InputError(f"{where}: has no column 'arch.graph' with graphs to mutate")
    return GraphSpace([Graph.of(g) for g in table["arch.graph"].drop_nulls()])


def _write(found: Found, out: Path) -> None:
    import io

    from earlycall.atomic import write_whole

    content = io.BytesIO()
    if out.suffix == ".csv":
        found.table.write_csv(content)
    else:
        found.table.write_parquet(content)
    write_whole(out, content.getvalue())


def _print(found: Found, top: int) -> None:
    from rich.table import Table
    from rich.text import Text

    shown = found.table.head(top) if top > 0 else found.table
    costs = "cost" in shown.columns
    table = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold")
    for name in ("score", "±", *(("cost", "front") if costs else ())):
        table.add_column(name, justify="right")
    for row in shown.iter_rows(named=True):
        cells = [output.number(row["score"], 3), output.number(row["se"], 2)]
        if costs:
            cells += [output.number(row["cost"], 4), "yes" if row["front"] else ""]
        table.add_row(Text(row["run"]), *cells)
    out = output.console()
    out.print(table)
    out.print(f"{found.table.height} different of {found.tried} candidates", style="dim")


def _tell(progress: Progress, fmt: Format) -> None:
    document: dict[str, Any] = {
        "trained": progress.trained, "waiting": [w["name"] for w in progress.waiting],
        "seconds": progress.seconds, "joules": progress.joules, "rounds": progress.rounds,
    }  # fmt: skip
    if fmt is Format.json:
        output.print_json(document)
        return
    for number, made in enumerate(progress.rounds, start=1):
        print(f"round {number} ({made['by']}): {', '.join(made['chosen'])}")
    print(f"trained {len(progress.trained)} runs in {progress.seconds:.0f} s")
