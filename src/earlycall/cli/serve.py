"""``earlycall serve``: a page that follows training live."""

from __future__ import annotations

from typing import Annotated

import typer

from earlycall.cli import options, output
from earlycall.cli.watch import OnVerdictCommand


def command(
    paths: options.Paths,
    port: Annotated[
        int | None, typer.Option(help="By default 8765, or the next one that is free.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Listen to this address, for other machines; the page then asks for a token."
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks at the logs.")] = 2.0,
    stop_command: Annotated[
        str | None,
        typer.Option(
            help="What the page offers to copy for runs that are marked to stop: a command with "
            "{run} or {path} in it, such as 'scancel --name {run}'.",
        ),
    ] = None,
    on_verdict: OnVerdictCommand = None,
    finished: options.Finished = None,
    pattern: options.Pattern = None,
) -> None:
    """Show growing logs on a live page.

    The curves and the ranking, kept up to date until Ctrl-C.

    Examples:
      earlycall serve runs/ --open

      earlycall serve runs/ --host 0.0.0.0 --port 8080

      earlycall serve runs/ --finished last-sweep/

      earlycall serve runs/ --on-verdict "python notify.py"
    """
    from earlycall.dashboard import serve

    serve(
        paths,
        port=port,
        host=host,
        pattern=pattern,
        every=every,
        stop_command=stop_command,
        on_verdict=on_verdict,
        finished=output.read_finished(finished),
        open_browser=open_browser,
        say=lambda line: output.errors().print(line, markup=False, soft_wrap=True),
    )
