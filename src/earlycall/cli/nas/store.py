"""``earlycall nas store``: the contents of the database of collected runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earlycall.cli import options, output
from earlycall.cli.nas.add import DEFAULT, StoreName


def command(
    store: StoreName = DEFAULT,
    export: Annotated[
        Path | None, typer.Option(help="Write all runs as a curve set to this folder.")
    ] = None,
    fmt: options.Output = options.Format.table,
) -> None:
    """Show the contents of the experiment store.

    Examples:
      earlycall nas store --export collected/
    """
    from earlycall.errors import InputError
    from earlycall.nas.store import Store

    if "://" not in store and not Path(store).exists():
        raise InputError(f"{store}: no such store; create one with 'earlycall nas add'")
    with Store(store) as opened:
        curves = opened.curves()
        if export is not None:
            curves.write(export)
    described = [c for c in curves.runs.columns if c.startswith("arch.")]
    table = curves.runs.group_by("group", maintain_order=True).len("runs")
    if fmt is options.Format.json:
        output.print_json({"groups": table.to_dicts(), "described_by": described})
    elif fmt is options.Format.csv:
        output.print_csv(table)
    else:
        for group, runs in table.iter_rows():
            print(f"{group}: {runs} runs")
        print(f"described by: {', '.join(described) or 'nothing (no arch.* columns)'}")
