"""``earlycall nas add`` and ``earlycall nas store``: collected runs in a database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earlycall.cli import output
from earlycall.cli.options import Format, Output, Paths, Pattern

Where = Annotated[
    str,
    typer.Option(
        "--store",
        help="The experiment store: an SQLite file, or postgresql://user@host/name.",
        envvar="EARLYCALL_STORE",
    ),
]
DEFAULT = "experiments.db"


def add(paths: Paths, store: Where = DEFAULT, pattern: Pattern = None) -> None:
    """Add runs to the experiment store; those that are there are not added again.

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


def store(
    store: Where = DEFAULT,
    export: Annotated[
        Path | None, typer.Option(help="Write all runs as a curve set into this folder.")
    ] = None,
    fmt: Output = Format.table,
) -> None:
    """Show what the experiment store holds.

    Examples:
      earlycall nas store --export collected/
    """
    from earlycall.errors import InputError
    from earlycall.nas.store import Store

    if "://" not in store and not Path(store).exists():
        raise InputError(f"{store}: no such store; make one with 'earlycall nas add'")
    with Store(store) as opened:
        curves = opened.curves()
        if export is not None:
            curves.write(export)
    described = [c for c in curves.runs.columns if c.startswith("arch.")]
    table = curves.runs.group_by("group", maintain_order=True).len("runs")
    if fmt is Format.json:
        output.print_json({"groups": table.to_dicts(), "described_by": described})
        return
    if fmt is Format.csv:
        output.print_csv(table)
        return
    for row in table.iter_rows(named=True):
        print(f"{row['group']}: {row['runs']} runs")
    print(f"described by: {', '.join(described) or 'nothing (no arch.* columns)'}")
