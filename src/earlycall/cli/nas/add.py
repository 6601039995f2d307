"""``earlycall nas add``: collected runs in a database."""

from __future__ import annotations

from typing import Annotated

import typer

from earlycall.cli import options, output

StoreName = Annotated[
    str,
    typer.Option(
        "--store",
        help="Experiment store: an SQLite file, or postgresql://user@host/name.",
        envvar="EARLYCALL_STORE",
    ),
]
DEFAULT = "experiments.db"


def command(
    paths: options.Paths, store: StoreName = DEFAULT, pattern: options.Pattern = None
) -> None:
    """Add runs to the experiment store; a run is added only once.

    Examples:
      earlycall nas add study/ runs/

      earlycall nas add runs/ --store postgresql://me@db.example.org/experiments
    """
    from earlycall.nas.store import Store

    with Store(store) as opened:
        for path in paths:
            curves = output.read([path], pattern)
            with output.working(f"adding {len(curves)} runs"):
                added = opened.add(curves, source=str(path))
            print(f"{path}: {added.new} new, {added.grown} grown, {added.there} already there")
