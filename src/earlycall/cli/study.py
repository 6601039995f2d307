"""``earlycall study``: train a declared grid of models, and compare early scores with the ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import output
from earlycall.cli.options import Format, Output
from earlycall.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from earlycall.study.folder import State, Stopping, StudyFolder
    from earlycall.study.running import Resources

app = typer.Typer(
    help="Train a declared grid of architectures and settings, and compare early scores with how "
    "the runs ended.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

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
    from earlycall.study.running import Resources, check

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
    from earlycall.study.running import Resources

    _train(StudyFolder.open(folder), Resources(address, cpus, gpus, at_once, retries, energy))


def _stopping(rule: str | None, halving: str | None) -> Stopping:
    from earlycall.halving import Halving
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
    from earlycall.study.running import run_study

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
