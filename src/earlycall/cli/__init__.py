"""The command ``earlycall``: a file per subcommand, each a thin layer over the Python function."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

import earlycall
from earlycall.cli import (
    convert,
    elasticity,
    energy,
    evaluate,
    fit,
    nas,
    output,
    rank,
    replay,
    report,
    serve,
    study,
)
from earlycall.errors import CurveWarning, InputError

app = typer.Typer(
    name="earlycall",
    help="Call the winner early, and call it a day on time: rank training runs from the first few "
    "percent of their loss curves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("rank")(rank.command)
app.command("fit")(fit.command)
app.command("evaluate")(evaluate.command)
app.command("elasticity")(elasticity.command)
app.command("replay")(replay.command)
app.command("energy")(energy.command)
app.command("report")(report.command)
app.command("convert")(convert.command)
app.command("serve")(serve.command)
app.add_typer(study.app, name="study")
app.add_typer(nas.app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"earlycall {earlycall.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; what a person's input caused is one sentence on stderr and exit code 2."""
    warnings.showwarning = _show_warning
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        code = _fail(str(error))
    except typer.TyperException as error:
        code = _fail(error.format_message())
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone; Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str) -> int:
    line = output.shown(" ".join(sentence.split()))
    print(f"earlycall: {line}", file=sys.stderr)
    return 2


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, **__: object
) -> None:
    if issubclass(category, CurveWarning):
        print(f"note: {output.shown(str(message))}", file=sys.stderr)
