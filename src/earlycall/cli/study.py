"""``earlycall study``: train a declared grid of models, and compare early scores with the ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earlycall.cli import COMMANDS, output
from earlycall.cli.lazy import show_help_alone
from earlycall.cli.options import Axis, AxisName, Format, Output, words
from earlycall.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from earlycall.curves import CurveSet
    from earlycall.evaluation.by_epochs import Comparison
    from earlycall.study.folder import State, Stopping, StudyFolder
    from earlycall.study.ray_cluster import Resources

app = typer.Typer(
    name="study",
    help=COMMANDS["study"],
    add_completion=False,
    rich_markup_mode="rich",
)
app.callback(invoke_without_command=True)(show_help_alone)

Folder = Annotated[Path, typer.Argument(help="The study's folder.", show_default=False)]
Address = Annotated[
    str | None,
    typer.Option(help="A Ray cluster (auto, or host:port); by default this machine alone."),
]
Cpus = Annotated[float, typer.Option(help="Cores (and threads) for each run.")]
Gpus = Annotated[
    float, typer.Option(help="GPUs for each run; 0.25 lets four runs share one. 0: on the CPU.")
]
AtOnce = Annotated[
    int | None, typer.Option(help="Train so many runs at a time at most; by default all that fit.")
]
Retries = Annotated[
    int, typer.Option(help="How often a run that fails is tried again, from its last checkpoint.")
]
Energy = Annotated[
    bool,
    typer.Option(
        "--energy",
        help="Count the joules of each run, by CodeCarbon or the GPUs' own counters.",
    ),
]


@app.command("run")
def run(
    plan: Annotated[Path, typer.Argument(help="The plan, a YAML file.", show_default=False)],
    folder: Annotated[
        Path, typer.Option("-o", "--output", help="The study's folder.", show_default=False)
    ],
    address: Address = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    at_once: AtOnce = None,
    retries: Retries = 3,
    energy: Energy = False,
    stop: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="End each run by a stop rule on its validation loss, such as gain:0.1.",
        ),
    ] = None,
    halving: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE[:EPOCHS[:FACTOR]]",
            help="Successive halving by a score of the validation losses, such as outlook:3:3: "
            "first after 3 epochs, one run in 3 goes on.",
        ),
    ] = None,
) -> None:
    """Train all runs of a plan; runs that the folder has already are kept.

    Add architectures or settings to the plan and run it into the same folder again: only the new
    ones are trained.

    Examples:
      earlycall study run plan.yaml -o study/

      earlycall study run plan.yaml -o study/ --address auto --gpus 0.25
    """
    from earlycall.study.folder import StudyFolder
    from earlycall.study.plan import Plan
    from earlycall.study.ray_cluster import Resources
    from earlycall.study.run import check

    resources = Resources(address, cpus, gpus, at_once, retries, energy)
    study = StudyFolder(
        folder, Plan.load(plan), (str(plan.resolve().parent),), _stopping(stop, halving)
    )
    with output.working("checking the plan"):
        check(study)
    _train(
        StudyFolder.make(folder, study.plan, imports=study.imports, stopping=study.stopping),
        resources,
    )


@app.command("resume")
def resume(
    folder: Folder,
    address: Address = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    at_once: AtOnce = None,
    retries: Retries = 3,
    energy: Energy = False,
) -> None:
    """Go on with a study that was interrupted or killed, from the last epoch of each run.

    On a CPU the losses are those of a study that was never disturbed.

    Examples:
      earlycall study resume study/
    """
    from earlycall.study.folder import StudyFolder
    from earlycall.study.ray_cluster import Resources

    _train(StudyFolder.open(folder), Resources(address, cpus, gpus, at_once, retries, energy))


def _stopping(rule: str | None, halving: str | None) -> Stopping:
    from earlycall.ranking.halving import Halving
    from earlycall.stopping import parse_rule
    from earlycall.study.folder import Stopping

    if rule is not None:
        parse_rule(rule)
    if halving is None:
        return Stopping(rule)
    score, *numbers = halving.split(":")
    try:
        epochs, factor = (int(numbers[0]) if numbers else 3), float((numbers[1:] or ["3"])[0])
    except ValueError:
        raise InputError(
            f"--halving {halving!r} is not SCORE[:EPOCHS[:FACTOR]], such as outlook:3:3"
        ) from None
    Halving(score, epochs, factor)
    return Stopping(rule, score, epochs, factor)


def _train(study: StudyFolder, resources: Resources) -> None:
    from earlycall.study.progress import StudyProgress
    from earlycall.study.run import run_study

    out = output.errors()
    try:
        with StudyProgress(out) as progress:
            states = run_study(study, resources, progress)
    except KeyboardInterrupt:
        out.print(
            f"interrupted; earlycall study resume {study.path} goes on from the last epochs",
            markup=False,
            soft_wrap=True,
        )
        raise
    failed = [state for state in states if state.status == "failed"]
    if failed:
        raise InputError(
            f"{len(failed)} of {len(states)} runs failed, {failed[0].plan.name} among them: "
            f"{failed[0].why}; the others are kept, and earlycall study resume {study.path} tries "
            "these again"
        )
    out.print(
        f"all {len(states)} runs are done; next: earlycall study report {study.path}",
        markup=False,
        soft_wrap=True,
    )


@app.command("list")
def listed(folder: Folder, fmt: Output = Format.table) -> None:
    """Show how far each run has come.

    Examples:
      earlycall study list study/ --format csv
    """
    from earlycall.study.folder import StudyFolder

    study = StudyFolder.open(folder)
    states = study.states()
    rows = [_row(state) for state in states]
    if fmt is Format.json:
        output.print_json({"study": study.plan.name, "runs": rows})
    elif fmt is Format.csv:
        import polars as pl

        output.print_csv(pl.DataFrame(rows, infer_schema_length=None))
    else:
        out = output.console()
        counts = {s: sum(state.status == s for state in states) for s in dict.fromkeys(
            state.status for state in states)}  # fmt: skip
        told = ", ".join(f"{count} {status}" for status, count in counts.items())
        out.print(f"{study.plan.name}: {told}", style="bold", markup=False)
        out.print(_table(states))


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


def _table(states: list[State]) -> Table:
    from rich.table import Table

    from earlycall.study.progress import duration

    table = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("run", "status", "epochs", "validation", "test", "time"):
        table.add_column(name, justify="left" if name in ("run", "status") else "right")
    table.add_column("")
    for state in states:
        table.add_row(
            state.plan.name,
            state.status,
            f"{state.epochs}/{state.plan.epochs}",
            output.number(state.val_accuracy),
            output.number((state.result or {}).get("test_accuracy")),
            duration(state.seconds) if state.seconds else "–",
            state.why or "",
        )
    return table


@app.command("export")
def export(
    folder: Folder,
    to: Annotated[
        Path, typer.Option("-o", "--output", help="The curve set's folder.", show_default=False)
    ],
) -> None:
    """Write a study's curves, finished or not, as a curve set, which every command reads.

    Examples:
      earlycall study export study/ -o curves/ && earlycall rank curves/ --epochs 3
    """
    from earlycall.study.export import curve_set
    from earlycall.study.folder import StudyFolder

    study = StudyFolder.open(folder)
    if to.resolve() == folder.resolve():
        raise InputError(f"{to}: is the study's own folder; give the curve set another")
    with output.working("exporting"):
        curves = curve_set(study)
        curves.write(to)
    missing = len(study.plan.runs()) - len(curves)
    also = f"; {missing} have not done an epoch yet" if missing else ""
    output.errors().print(f"{to}: {len(curves)} runs{also}", markup=False, soft_wrap=True)


@app.command("report")
def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Studies' folders, or curve sets exported from them.", show_default=False
        ),
    ],
    epochs: Annotated[
        str, typer.Option(help="Epochs seen when runs are ranked, separated by commas.")
    ] = "1,2,3,5,10",
    axis: Axis = AxisName.observation,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw it (.html, .png, .svg or .pdf)."),
    ] = None,
    fmt: Output = Format.table,
) -> None:
    """Compare early scores with the final test accuracies: LCGA, TSE, simple ones, the default.

    For all runs, for the architectures under one setting, and for the settings of one
    architecture; from the loss of each step and of each epoch.

    Examples:
      earlycall study report study/

      earlycall study report curves/ --epochs 1,5 --format csv
    """
    from earlycall.evaluation.by_epochs import compare

    sets = [_studied(path) for path in paths]
    with output.progress("scores × budgets") as progress:
        found = compare(sets, epochs=_epochs(epochs), axis=axis.value, progress=progress)
    if plot is not None:
        from earlycall import plots

        plots.write(found.plot(), plot)
    if fmt is Format.json:
        output.print_json({"rows": found.table.to_dicts(), "savings": found.savings.to_dicts()})
    elif fmt is Format.csv:
        output.print_csv(found.table)
    else:
        out = output.console()
        for title, table in _compared(found):
            out.print(title, style="bold", markup=False)
            out.print(table)
            out.print()
        for title, table in _saved(found):
            out.print(title, style="bold", markup=False)
            out.print(table)
            out.print()


def _saved(found: Comparison, kept: int = 3) -> Iterator[tuple[str, Table]]:
    """What training all runs for a while, and only the best few to the end, costs and loses."""
    import polars as pl
    from rich.table import Table

    if not found.savings.height:
        return
    for name in found.savings["set"].unique(maintain_order=True).to_list():
        rows = found.savings.filter(pl.col("set") == name, pl.col("kept") == kept)
        table = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 3, 0, 0))
        table.add_column("score")
        budgets = rows["epochs"].unique().sort().to_list()
        for budget in budgets:
            table.add_column(f"{budget} epoch{'s' if budget > 1 else ''}", justify="right")
        for key, cells in rows.group_by("from", "score", maintain_order=True):
            by = {row["epochs"]: row for row in cells.iter_rows(named=True)}
            known = _known(*map(str, key))
            table.add_row(
                known,
                *(
                    f"{by[b]['points_lost']:.1f} ({by[b]['cost_pct']:.0f} %)" if b in by else "–"
                    for b in budgets
                ),
            )
        yield (
            f"{name}, all runs for so many epochs, the best {kept} to the end: points of accuracy "
            "lost (seconds, % of training all)",
            table,
        )


def _studied(path: Path) -> CurveSet:
    """A curve set, or what a study's folder has so far."""
    from earlycall.study.export import curve_set
    from earlycall.study.folder import PLAN, StudyFolder

    if (path / PLAN).exists():
        return curve_set(StudyFolder.open(path), graphs=False)
    from earlycall.readers import read

    return read(path)


def _epochs(text: str) -> list[int]:
    try:
        found = [int(word) for word in words(text)]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise InputError(f"--epochs {text!r} must be whole numbers from 1 on, such as 1,2,3,5,10")
    return found


def _compared(found: Comparison) -> Iterator[tuple[str, Table]]:
    import polars as pl
    from rich.table import Table

    views = {
        "overall": "all runs",
        "architectures": "architectures under one setting",
        "settings": "settings of one architecture",
    }
    keys = found.table.select("set", "level", "view").unique(maintain_order=True)
    for name, level, view in keys.rows():
        rows = found.table.filter(
            pl.col("set") == name, pl.col("level") == level, pl.col("view") == view
        )
        groups = rows["groups"][0]
        over = "" if groups == 1 else f", mean over {groups} groups"
        left = rows.select(pl.col("excluded").min()).item()
        also = f"; {left} left out" if left else ""
        title = (
            f"{name}, {views[view]}, a loss per {level}: Spearman [95 %] (points of accuracy lost) "
            f"of {rows['n'][0]} runs{over}{also}"
        )
        table = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 3, 0, 0))
        table.add_column("score")
        budgets = rows["epochs"].unique().sort().to_list()
        for budget in budgets:
            table.add_column(f"{budget} epoch{'s' if budget > 1 else ''}", justify="right")
        best = {b: rows.filter(pl.col("epochs") == b)["spearman"].max() for b in budgets}
        for key, cells in rows.group_by("from", "score", maintain_order=True):
            by = {row["epochs"]: row for row in cells.iter_rows(named=True)}
            known = _known(*map(str, key))
            table.add_row(known, *(_agreed(by.get(b), best[b]) for b in budgets))
        yield title, table


def _known(source: str, score: str) -> str:
    """A score's name, with where it looks if that is more than the training losses."""
    return score if source == "training" else f"{score} ({source})"


def _agreed(row: dict[str, Any] | None, best: object) -> str:
    if row is None or row["spearman"] is None:
        return "–"
    low, high = row["spearman_low"], row["spearman_high"]
    interval = "" if low is None else f" [{low:+.2f}, {high:+.2f}]"
    text = f"{row['spearman']:+.2f}{interval} ({row['points_lost']:.1f})".replace("[", "\\[")
    return f"[bold green]{text}[/]" if row["spearman"] == best else text
