"""``earlycall nas``: architectures ranked before any training."""

from __future__ import annotations

import typer

from earlycall.cli import COMMANDS
from earlycall.cli.lazy import lazy_group, show_help_alone

NAS_COMMANDS = {
    "add": "Add runs to the experiment store; a run is added only once.",
    "store": "Show the contents of the experiment store.",
    "fit": "Fit a predictor to collected runs, for architectures that were never trained.",
    "rank": "Rank architectures that were never trained.",
    "search": "Search a space of architectures: propose what to train, or train within a budget.",
    "explain": "Show which features matter to a predictor, and what they mean.",
}

app = typer.Typer(
    name="nas",
    cls=lazy_group("earlycall.cli.nas", NAS_COMMANDS),
    help=COMMANDS["nas"],
    add_completion=False,
)
app.callback(invoke_without_command=True)(show_help_alone)
