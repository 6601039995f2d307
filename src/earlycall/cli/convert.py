"""``earlycall convert``: logs of any kind as one curve set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from earlycall.cli import output
from earlycall.cli.options import Metric, Paths, Pattern, Power, PowerOffset, Price, Zone
from earlycall.curves import CurveSet
from earlycall.curves.columns import direction, training_loss
from earlycall.errors import InputError


def command(
    paths: Paths,
    to: Annotated[
        Path, typer.Option("--output", "-o", metavar="CURVESET", help="The folder to write.")
    ],
    metric: Metric = None,
    pattern: Pattern = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a curve set that is there.")
    ] = False,
    power: Power = None,
    price: Price = None,
    power_offset: PowerOffset = None,
    zone: Zone = None,
) -> None:
    r"""Write logs of any kind as a curve set.

    A curve set is small and loads fast. The training loss becomes train_loss; other metrics,
    hyper-parameters and costs keep the names that the logs gave them. Where power logs lie beside
    them, it gets their joules.

    Examples:
      earlycall convert mlruns/ wandb/ -o study/

      earlycall convert a.log -o study/ --pattern 'step (?P<step>\d+) loss (?P<train_loss>\S+)'
    """
    _must_be_free(to, paths, overwrite=overwrite)
    options = {"power": power, "price": price, "offset": power_offset, "zone": zone}
    curves = output.read_with_power(paths, pattern, **options).curves  # type: ignore[arg-type]
    curves = _with_train_loss(curves, metric)
    with output.working(f"writing {to}"):
        curves.write(to)
    costs = [c for c in ("seconds", "joules", "usd") if c in curves.observations.columns]
    with_costs = f", with {', '.join(costs)}" if costs else ""
    output.note(
        f"{to}: {len(curves)} runs, {curves.observations.height} observations of "
        f"{', '.join(curves.metrics)}{with_costs}"
    )


def _with_train_loss(curves: CurveSet, wanted: str | None) -> CurveSet:
    """The set with its training loss under the name that curve sets give it.

    Raises:
        InputError: if there is no such metric, or ``train_loss`` is the name of another.
    """
    loss = training_loss(curves.metrics)[0] if wanted is None else curves.metric(wanted)
    if loss is None or loss == "train_loss":
        return curves  # where several could be meant, none is chosen for the reader
    if direction(loss) == "max":
        raise InputError(f"more of {loss!r} is better, so it is no training loss; name a loss")
    if "train_loss" in curves.metrics:
        raise InputError(
            f"{wanted!r} cannot become train_loss: the logs have another metric of that name"
        )
    output.note(f"{loss!r} is written as train_loss")
    renamed = curves.observations.rename({loss: "train_loss"})
    return replace(curves, observations=renamed)


def _must_be_free(folder: Path, paths: list[Path], *, overwrite: bool) -> None:
    """Refuse to write where something would be lost or hidden.

    Raises:
        InputError: if the folder has files and is no curve set to be overwritten.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder for the curve set")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if not there:
        return
    if folder.resolve() in {path.resolve() for path in paths} and "curves.parquet" not in there:
        raise InputError(f"{folder}: a curve set there would hide its logs; write it elsewhere")
    if not overwrite:
        raise InputError(f"{folder} is not empty; name another folder, or replace the curve set "
                         "there with --overwrite")  # fmt: skip
