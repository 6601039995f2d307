"""``earlycall nas``: architectures ranked before any training."""

from __future__ import annotations

import typer

from earlycall.cli.nas import add, explain, fit, rank, search

app = typer.Typer(
    name="nas",
    help="Rank architectures that were never trained, from collected runs.",
    no_args_is_help=True,
)
app.command("add")(add.add)
app.command("store")(add.store)
app.command("fit")(fit.command)
app.command("rank")(rank.command)
app.command("search")(search.command)
app.command("explain")(explain.command)
