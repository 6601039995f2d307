"""The command ``earlycall``: a file per subcommand, each a thin layer over the Python function."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

import earlycall
from earlycall.cli import output
from earlycall.cli.lazy import lazy_group, show_help_alone
from earlycall.errors import CurveWarning, InputError
from earlycall.extras import missing_package

COMMANDS = {
    "demo": "Rank the runs that come with earlycall.",
    "rank": "Rank runs from the first part of their loss curves.",
    "fit": "Fit each run's loss curve; its LCGA and TSE values.",
    "evaluate": "Compare early scores with the outcomes of finished runs.",
    "elasticity": "Measure what more training still brings, run by run.",
    "replay": "Replay stop rules on finished runs: their cost and regret.",
    "energy": "Show the energy of runs, and what an early call would save.",
    "report": "Write a report: the verdict, figures, a table of the runs.",
    "convert": "Write logs of any kind as a curve set.",
    "serve": "Show growing logs on a live page.",
    "study": "Train a grid of models and settings, and rank it early.",
    "nas": "Rank architectures that were never trained.",
}

app = typer.Typer(
    name="earlycall",
    cls=lazy_group("earlycall.cli", COMMANDS),
    help="Call the winner early, and call it a day on time: rank training runs from the first few "
    "percent of their loss curves.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the list of commands takes half the time without
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"earlycall {earlycall.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    show_help_alone(ctx)


def main() -> None:
    """Run the command; what a person's input caused is one sentence on stderr and exit code 2."""
    warnings.showwarning = _show_warning
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        code = _fail(str(error))
    except typer.TyperException as error:
        code = _fail(error.format_message())
    except ModuleNotFoundError as error:
        package = missing_package(error)
        if package is None:
            raise
        code = _fail(f"the Python package {package!r} is not installed; install it and try again")
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone; Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str) -> int:
    print(f"earlycall: {output.sentence_shown(sentence)}", file=sys.stderr)
    return 2


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, **__: object
) -> None:
    if issubclass(category, CurveWarning):
        print(f"note: {output.sentence_shown(str(message))}", file=sys.stderr)
        if output.verbose and isinstance(message, CurveWarning):
            for detail in message.details:
                print(f"      {output.shown(detail)}", file=sys.stderr)
