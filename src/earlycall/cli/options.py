"""The options that commands share, and how their values are written."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.demo import FOLDER

if TYPE_CHECKING:
    from earlycall.curves import Direction


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"
    csv = "csv"


class AxisName(StrEnum):
    """The axis along which curves are fitted."""

    observation = "observation"
    step = "step"
    epoch = "epoch"
    seconds = "seconds"
    joules = "joules"
    usd = "usd"


class CostName(StrEnum):
    """What a run costs."""

    step = "step"
    epoch = "epoch"
    seconds = "seconds"
    joules = "joules"
    usd = "usd"


def direction(maximize: bool | None) -> Direction | None:
    """What --maximize and --minimize say of the metric; None where neither is given."""
    return None if maximize is None else "max" if maximize else "min"


def words(text: str) -> list[str]:
    """Several names, separated by commas."""
    return [item.strip() for item in text.split(",") if item.strip()]


def _score_names(incomplete: str) -> list[str]:
    from earlycall.scores import names

    return [name for name in names() if name.startswith(incomplete)]


def with_demo(paths: list[Path] | None) -> list[Path] | None:
    """``demo`` means the bundled runs, unless there is a file or folder of that name."""
    if paths is None:
        return None
    return [FOLDER if p == Path("demo") and not p.exists() else p for p in paths]


Paths = Annotated[
    list[Path],
    typer.Argument(
        help="Curve sets, log files, folders of logs of any tracker, or addresses; demo for the "
        "bundled runs.",
        callback=with_demo,
        show_default=False,
    ),
]
ScoreName = Annotated[
    str | None,
    typer.Option("--score", help="The score to rank by.", autocompletion=_score_names),
]
BurnIn = Annotated[
    int | None,
    typer.Option(
        "--burn-in",
        help="Epochs that an LCGA score ignores (default: 2, as published).",
        min=0,
        show_default=False,
    ),
]
Metric = Annotated[
    str | None,
    typer.Option("--metric", help="The metric to score (default: the training loss)."),
]
Maximize = Annotated[
    bool | None,
    typer.Option(
        "--maximize/--minimize",
        help="Whether more or less of the metric is better (default: by its name).",
        show_default=False,
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        "--pattern",
        help="Read plain text logs by this regular expression with named groups, for example "
        "'epoch (?P<epoch>\\d+).*loss (?P<train_loss>\\S+)', or by one of these names: fairseq, "
        "llm.c, megatron, nanogpt, torchtune.",
    ),
]
Budget = Annotated[
    str | None,
    typer.Option("--budget", help="Use the first part of training only: 10% or 0.1."),
]
Horizon = Annotated[
    float | None, typer.Option("--horizon", help="The step at which training would end.")
]
Finished = Annotated[
    list[Path] | None,
    typer.Option(
        "--finished",
        help="Runs that have finished, with their outcomes, to learn from; may be repeated.",
        callback=with_demo,
        show_default=False,
    ),
]
Outcome = Annotated[
    str | None,
    typer.Option(
        "--outcome",
        help="How finished runs ended: the last or best value of a metric, or a number of the "
        "summary beside each log (default: column final of the table of runs).",
        metavar="METRIC[:last|best]",
        show_default=False,
    ),
]
Top = Annotated[int, typer.Option("--top", help="Rows per group (0 = all).")]
TOP = 30
Group = Annotated[str | None, typer.Option("--group", help="Only the runs of this group.")]
Axis = Annotated[AxisName, typer.Option("--axis", help="The axis along which curves are fitted.")]
Output = Annotated[Format, typer.Option("--format", help="How to print the result.")]
Power = Annotated[
    list[Path] | None,
    typer.Option(
        "--power",
        help="Power logs (nvidia-smi, CodeCarbon, Zeus) or folders of them, for all runs "
        "(default: those beside the runs).",
        show_default=False,
    ),
]
Cost = Annotated[CostName, typer.Option("--cost", help="The column that says what a run cost.")]
WatchedMetric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help="The loss to watch (default: val_loss where there is one, else the training loss).",
    ),
]
ByGroup = Annotated[
    bool, typer.Option("--by-group", help="One table per group, not only their mean.")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", help="Ray cluster: auto, or host:port (default: this machine alone)."
    ),
]
Price = Annotated[
    float | None, typer.Option("--price", help="The price of a kWh, for usd.", show_default=False)
]
PowerOffset = Annotated[
    float | None,
    typer.Option(
        "--power-offset",
        help="Seconds from the start of the power log to that of a run whose log has no clock.",
        show_default=False,
    ),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--zone",
        help="The time zone in which power was logged, such as Europe/Berlin (default: this "
        "machine's).",
        show_default=False,
    ),
]
