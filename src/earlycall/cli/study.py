"""``earlycall study``: train a declared grid of models, and compare early scores with the ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earlycall.cli import COMMANDS, options, output
from earlycall.cli.lazy import Verbose, show_help_alone
from earlycall.errors import InputError
from earlycall.formatting import number

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType

    from earlycall.curves import CurveSet
    from earlycall.evaluation.by_epochs import Comparison
    from earlycall.study.folder import EarlyStopping, State, StudyFolder
    from earlycall.study.ray_cluster import Resources

app = typer.Typer(
    name="study", help=COMMANDS["study"], add_completion=False, rich_markup_mode="rich"
)
app.callback(invoke_without_command=True)(show_help_alone)

Folder = Annotated[Path, typer.Argument(help="The study's folder.", show_default=False)]
Cpus = Annotated[float, typer.Option(help="CPU cores and threads per run.")]
Gpus = Annotated[
    float, typer.Option(help="GPUs per run (0 = CPU only; with 0.25, four runs share a GPU).")
]
AtOnce = Annotated[
    int | None,
    typer.Option(help="Maximum number of concurrent runs (default: as many as fit)."),
]
Retries = Annotated[
    int, typer.Option(help="How often to retry a failed run, from its last checkpoint.")
]
Energy = Annotated[
    bool,
    typer.Option(
        "--energy", help="Measure the joules of each run, by CodeCarbon or the GPU's own counters."
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust", help="Run the code that the study imports, although it was not made here."
    ),
]


@app.command("run")
def run(
    plan: Annotated[Path, typer.Argument(help="The plan, a YAML file.", show_default=False)],
    folder: Annotated[
        Path, typer.Option("-o", "--output", help="The study's folder.", show_default=False)
    ],
    address: options.Address = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    at_once: AtOnce = None,
    retries: Retries = 3,
    energy: Energy = False,
    stop: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Stop each run by a rule on its validation loss, e.g. gain:0.02.",
        ),
    ] = None,
    halving: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE[:EPOCHS[:FACTOR]]",
            help="Successive halving by a score of the validation losses, e.g. outlook:3:3: "
            "one run in 3 continues, first after 3 epochs.",
        ),
    ] = None,
) -> None:
    """Train all runs of a plan; finished runs are not trained again.

    Add architectures or settings to the plan and run it into the same folder again: only the new
    runs are trained.

    Examples:
      earlycall study run plan.yaml -o study/

      earlycall study run plan.yaml -o study/ --address auto --gpus 0.25
    """
    from earlycall.study.folder import StudyFolder
    from earlycall.study.plan import Plan, imports_beside
    from earlycall.study.ray_cluster import Resources
    from earlycall.study.run import check

    resources = Resources(address, cpus, gpus, at_once, retries, energy)
    imports, stopping = imports_beside(plan), _stopping(stop, halving)
    study = StudyFolder(folder, Plan.load(plan), imports, stopping)
    with output.working("checking the plan"):
        check(study)
    _train(StudyFolder.make(folder, study.plan, imports=imports, stopping=stopping), resources)


@app.command("resume")
def resume(
    folder: Folder,
    address: options.Address = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    at_once: AtOnce = None,
    retries: Retries = 3,
    energy: Energy = False,
    trust: Trust = False,
) -> None:
    """Resume a study that was interrupted or killed, from the last epoch of each run.

    On a CPU the losses are the same as without the interruption.

    Examples:
      earlycall study resume study/
    """
    from earlycall.study.folder import StudyFolder
    from earlycall.study.ray_cluster import Resources

    study = StudyFolder.open(folder, trusted=trust)
    _train(study, Resources(address, cpus, gpus, at_once, retries, energy))


def _stopping(rule: str | None, halving: str | None) -> EarlyStopping:
    from earlycall.ranking.halving import Halving
    from earlycall.stopping import parse_rule
    from earlycall.study.folder import EarlyStopping

    if rule is not None:
        parse_rule(rule)
    if halving is None:
        return EarlyStopping(rule)
    score, *numbers = halving.split(":")
    try:
        epochs, factor = (int(numbers[0]) if numbers else 3), float((numbers[1:] or ["3"])[0])
    except ValueError:
        raise InputError(
            f"--halving {halving!r} is not SCORE[:EPOCHS[:FACTOR]], such as outlook:3:3"
        ) from None
    Halving(score, epochs, factor)
    return EarlyStopping(rule, score, epochs, factor)


def _train(study: StudyFolder, resources: Resources) -> None:
    from earlycall.study.progress import StudyProgress
    from earlycall.study.run import run_study

    out = output.errors()
    try:
        with StudyProgress(out) as progress:
            states = run_study(study, resources, progress)
    except KeyboardInterrupt:
        out.print(
            f"interrupted; earlycall study resume {study.path} resumes from the last epochs",
            markup=False,
            soft_wrap=True,
        )
        raise
    failed = [state for state in states if state.status == "failed"]
    if failed:
        raise InputError(
            f"{len(failed)} of {len(states)} runs failed, {failed[0].plan.name} among them: "
            f"{failed[0].why}; the others are kept, and earlycall study resume {study.path} "
            "retries these"
        )
    out.print(
        f"all {len(states)} runs are done; next: earlycall study report {study.path}",
        markup=False,
        soft_wrap=True,
    )


@app.command("list")
def listed(
    folder: Folder, fmt: options.Output = options.Format.table, verbose: Verbose = False
) -> None:
    """Show the state of each run.

    Examples:
      earlycall study list study/ --format csv
    """
    from earlycall.study.folder import StudyFolder

    study = StudyFolder.open(folder)
    states = study.states()
    rows = [_row(state) for state in states]
    if fmt is options.Format.json:
        output.print_json({"study": study.plan.name, "runs": rows})
    elif fmt is options.Format.csv:
        import polars as pl

        output.print_csv(pl.DataFrame(rows, infer_schema_length=None))
    else:
        out = output.console()
        counts = Counter(state.status for state in states)
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        out.print(f"{study.plan.name}: {summary}", style="bold", markup=False)
        out.print(_states_table(states))


def _row(state: State) -> dict[str, object]:
    result = state.result or {}
    return {
        "run": state.plan.name,
        "architecture": state.plan.architecture,
        "setting": state.plan.setting,
        "seed": state.plan.seed,
        "status": state.status,
        "epochs": state.epochs,
        "planned_epochs": state.plan.epochs,
        "val_accuracy": state.val_accuracy,
        "test_accuracy": result.get("test_accuracy"),
        "seconds": state.seconds,
        "why": state.why,
    }


def _states_table(states: list[State]) -> RenderableType:
    from earlycall.cli.fitted import FittedTable, TableColumn, names
    from earlycall.formatting import duration

    colours = {"finished": "green", "diverged": "red", "failed": "red", "stopped": "yellow"}
    status = [state.status for state in states]
    tests = [number((state.result or {}).get("test_accuracy")) for state in states]
    columns = [
        names((state.plan.name for state in states), ending=""),
        TableColumn("status", status, "text", styles=[colours.get(s, "") for s in status]),
        TableColumn("epochs", [f"{state.epochs}/{state.plan.epochs}" for state in states]),
        TableColumn("validation", [number(state.val_accuracy) for state in states]),
        TableColumn("test", tests),
        TableColumn("time", [duration(state.seconds or None) for state in states]),
    ]
    if any(state.why for state in states):
        reasons = [output.shown(state.why or "") for state in states]
        columns.append(TableColumn("because", reasons, "note"))
    return FittedTable(columns)


@app.command("export")
def export(
    folder: Folder,
    to: Annotated[
        Path, typer.Option("-o", "--output", help="The curve set's folder.", show_default=False)
    ],
    trust: Trust = False,
) -> None:
    """Write a study's curves, finished or not, as a curve set for all other commands.

    Examples:
      earlycall study export study/ -o curves/ && earlycall rank curves/ --epochs 3
    """
    from earlycall.study.export import curve_set
    from earlycall.study.folder import StudyFolder

    study = StudyFolder.open(folder, trusted=trust)
    if to.resolve() == folder.resolve():
        raise InputError(f"{to}: is the study's own folder; give the curve set another")
    with output.working("exporting"):
        curves = curve_set(study)
        curves.write(to)
    missing = len(study.plan.runs()) - len(curves)
    also = f"; {missing} have not finished an epoch yet" if missing else ""
    output.errors().print(f"{to}: {len(curves)} runs{also}", markup=False, soft_wrap=True)


@app.command("report")
def report(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Study folders, or curve sets exported from them.", show_default=False),
    ],
    epochs: Annotated[
        str, typer.Option(help="Rank after these numbers of epochs, separated by commas.")
    ] = "1,2,3,5,10",
    axis: options.Axis = options.AxisName.observation,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a figure (.html, .png, .svg or .pdf)."),
    ] = None,
    fmt: options.Output = options.Format.table,
    verbose: Verbose = False,
) -> None:
    """Compare early scores with the final test accuracies: LCGA, TSE, simple ones, the default.

    For all runs, for the architectures under one setting, and for the settings of one
    architecture; from the loss of each step and of each epoch.

    Examples:
      earlycall study report study/

      earlycall study report curves/ --epochs 1,5 --format csv
    """
    from earlycall.evaluation.by_epochs import compare

    sets = [_curves(path) for path in paths]
    with output.progress("scores × budgets") as progress:
        comparison = compare(sets, epochs=_epochs(epochs), axis=axis.value, progress=progress)
    if plot is not None:
        from earlycall import plots

        plots.write(comparison.plot(), plot)
    if fmt is options.Format.json:
        output.print_json(
            {"rows": comparison.table.to_dicts(), "savings": comparison.savings.to_dicts()}
        )
    elif fmt is options.Format.csv:
        output.print_csv(comparison.table)
    else:
        out = output.console()
        for title, table in (*_agreement_tables(comparison), *_savings_tables(comparison)):
            out.print(title, style="bold", markup=False)
            out.print(table)
            out.print()


def _curves(path: Path) -> CurveSet:
    """The curves of a study's folder, or a curve set."""
    from earlycall.readers.formats.study_folder import PLAN
    from earlycall.study.export import curve_set
    from earlycall.study.folder import StudyFolder

    if (path / PLAN).exists():
        return curve_set(StudyFolder.open(path), graphs=False)
    from earlycall.readers import read

    return read(path)


def _epochs(text: str) -> list[int]:
    epochs = [int(word) if word.isdecimal() else 0 for word in options.words(text)]
    if not epochs or min(epochs) < 1:
        raise InputError(f"--epochs {text!r} must be whole numbers from 1 on, such as 1,2,3,5,10")
    return epochs


def _agreement_tables(comparison: Comparison) -> Iterator[tuple[str, RenderableType]]:
    import polars as pl

    views = {
        "overall": "all runs",
        "architectures": "architectures under one setting",
        "settings": "settings of one architecture",
    }
    for (name, level, view), rows in comparison.table.group_by(
        "set", "level", "view", maintain_order=True
    ):
        groups, excluded = rows["groups"][0], rows.select("excluded").min().item()
        title = (
            f"{name}, {views[str(view)]}, a loss per {level}: "
            f"Spearman{' [95 %]' if output.verbose else ''} (points of accuracy lost) of "
            f"{rows['n'][0]} runs"
            + ("" if groups == 1 else f", mean over {groups} groups")
            + (f"; {excluded} left out" if excluded else "")
        )
        best = pl.col("spearman") == pl.col("spearman").max().over("epochs")
        yield title, _score_table(rows.with_columns(best=best), _agreement_cell, "best")


def _savings_tables(comparison: Comparison, kept: int = 3) -> Iterator[tuple[str, RenderableType]]:
    """What training all runs for a while, and only the best few to the end, costs and loses."""
    if not comparison.savings.height:
        return
    rows_kept = comparison.savings.filter(comparison.savings["kept"] == kept)
    for (name,), rows in rows_kept.group_by("set", maintain_order=True):
        title = (
            f"{name}, all runs for a number of epochs, the best {kept} to the end: points of "
            "accuracy lost (seconds, % of training all)"
        )
        yield title, _score_table(rows, "{points_lost:.1f} ({cost_pct:.0f} %)".format_map)


def _score_table(
    rows: pl.DataFrame, cell: Callable[[dict[str, Any]], str], best: str | None = None
) -> RenderableType:
    """A row per score, a column per number of epochs; what is the best of a column is marked."""
    from earlycall.cli.fitted import FittedTable, TableColumn, names

    parts = rows.partition_by("from", "score", maintain_order=True)
    found = [{row["epochs"]: row for row in part.iter_rows(named=True)} for part in parts]
    sources = [(str(part["from"][0]), str(part["score"][0])) for part in parts]
    labels = [
        f"{score} (val)" if source != "training" and ("training", score) in sources else score
        for source, score in sources
    ]
    columns = [names(labels, "score", ending="")]
    for budget in rows["epochs"].unique().sort():
        cells = [of.get(budget) for of in found]
        columns.append(
            TableColumn(
                f"{budget} epoch{'s' if budget > 1 else ''}",
                ["–" if row is None else cell(row) for row in cells],
                styles=["bold green" if best and row and row[best] else "" for row in cells],
            )
        )
    return FittedTable(columns)


def _agreement_cell(row: dict[str, Any]) -> str:
    """The correlation and the points lost; with -v also the interval."""
    if row["spearman"] is None:
        return "–"
    low, high = row["spearman_low"], row["spearman_high"]
    interval = f" [{low:+.2f}, {high:+.2f}]" if output.verbose and low is not None else ""
    return f"{row['spearman']:+.2f}{interval} ({row['points_lost']:.1f})"
