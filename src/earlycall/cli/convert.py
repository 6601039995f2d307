"""``earlycall convert``: logs of any kind as one curve set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earlycall.cli import options, output
from earlycall.errors import first_of


def command(
    paths: options.Paths,
    to: Annotated[
        Path, typer.Option("--output", "-o", metavar="CURVESET", help="The folder to write.")
    ],
    metric: options.Metric = None,
    pattern: options.Pattern = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a curve set that is there.")
    ] = False,
    power: options.Power = None,
    price: options.Price = None,
    power_offset: options.PowerOffset = None,
    zone: options.Zone = None,
) -> None:
    r"""Write logs of any kind as a curve set.

    A curve set is small and loads fast. The training loss becomes train_loss; other metrics,
    hyper-parameters and costs keep the names that the logs gave them. Where power logs lie beside
    them, it gets their joules.

    Examples:
      earlycall convert mlruns/ wandb/ -o study/

      earlycall convert a.log -o study/ --pattern 'step (?P<step>\d+) loss (?P<train_loss>\S+)'
    """
    from earlycall.energy.convert import convert

    with output.working(f"writing {to}"):
        curves = convert(
            list(paths), to, metric=metric, pattern=pattern, overwrite=overwrite, power=power,
            price=price, power_offset=power_offset, zone=zone,
        )  # fmt: skip
    costs = [c for c in ("seconds", "joules", "usd") if c in curves.observations.columns]
    with_costs = f", with {', '.join(costs)}" if costs else ""
    output.note(
        f"{to}: {len(curves)} runs, {curves.observations.height} observations of "
        f"{first_of(curves.metrics)}{with_costs}"
    )
