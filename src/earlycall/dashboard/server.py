"""The server: a free port, an address to open, and a clean end."""

from __future__ import annotations

import errno
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from earlycall.curves import CurveSet
from earlycall.dashboard.command import checked
from earlycall.dashboard.live import Live
from earlycall.errors import InputError, UnknownDirectionError
from earlycall.extras import needed_for
from earlycall.ranking.finished import finished_runs
from earlycall.ranking.on_verdict import OnVerdict
from earlycall.ranking.rank import rank
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.readers.growing.follower import Follower

PORT = 8765
MAX_TRIED = 20  # ports, one after the other, where none was asked for


def serve(
    paths: str | Path | Sequence[str | Path],
    *,
    port: int | None = None,
    host: str | None = None,
    pattern: str | None = None,
    every: float = 2.0,
    stop_command: str | None = None,
    on_verdict: str | None = None,
    finished: Any = None,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Show the curves and the ranking of growing logs on a page, until Ctrl-C.

    The page only looks: nothing is written, and no run is stopped by it. It is shown to this
    machine alone unless a host is given; then others can reach it, and it asks for a token.

    Args:
        paths: curve sets, log files, folders of logs.
        port: by default 8765, or the next one that is free.
        host: the address to listen to; by default this machine's own.
        pattern: for plain text logs, as `earlycall.read` takes it.
        every: seconds between two looks at the logs.
        stop_command: a template of the command that stops a run, with ``{run}`` or ``{path}``.
        on_verdict: a command to run whenever the leader or the runs to stop change, with what
            ``rank --format json`` prints on its standard input.
        finished: finished runs with outcomes to learn from, as `earlycall.rank` takes them.
        open_browser: whether to open a browser.
        say: takes the lines that a person should read.

    Raises:
        InputError: if a package is not installed, a path or command is not there, or the port is
            taken.
    """
    if every <= 0:
        raise InputError(f"--every {every:g} must be longer than 0 seconds")
    with needed_for("the page", "dashboard"):
        import jinja2  # noqa: F401
        from werkzeug.serving import make_server

        from earlycall.dashboard.access import LOOPBACK, Guard
        from earlycall.dashboard.app import App
    followed = [paths] if isinstance(paths, str | Path) else list(paths)
    template = checked(stop_command)
    past = None if finished is None else finished_runs(as_curve_set(finished))
    told = None if on_verdict is None else _teller(OnVerdict(on_verdict), past, say)
    live = Live(Follower(followed, pattern=pattern), every, told)
    guard = Guard.of(host or LOOPBACK)
    app = App(live, guard, followed, template, past)
    with _socket(guard.host, port) as bound:
        taken = bound.getsockname()[1]
        server = make_server(guard.host, taken, app, threaded=True, fd=bound.fileno())
    live.look()
    address = _address(guard.host, server.server_address[1], guard.token)
    if guard.token is not None:
        say(
            f"warning: {guard.host} can be reached from other machines, without encryption; "
            "whoever has this address can read the logs' names and contents"
        )
    say(f"earlycall is at {address} (Ctrl-C ends it)")
    live.start()
    stop = threading.Event()
    before = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if open_browser:
        webbrowser.open(address)
    try:
        stop.wait()
    finally:
        live.stop()
        server.shutdown()
        server.server_close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _teller(
    command: OnVerdict, finished: CurveSet | None, say: Callable[[str], None]
) -> Callable[[CurveSet | None], None]:
    """What tells a command of the verdict on runs whenever they have changed.

    Args:
        command: what is told.
        finished: runs to learn from.
        say: takes what went wrong, once.
    """
    seen, said = None, None

    def tell(curves: CurveSet | None) -> None:
        nonlocal seen, said
        problem = None
        try:
            if curves is None or curves is seen:
                command.look()
            else:
                seen = curves
                command.update(rank(curves, finished=finished))
            problem = command.problem
        except UnknownDirectionError as error:
            how = "earlycall rank --watch --on-verdict takes --maximize or --minimize"
            problem = f"--on-verdict has nothing to tell: {error.question}; {how}"
        except Exception as error:  # whatever a log holds, the page goes on
            name = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            problem = f"--on-verdict has nothing to tell: {name}{error}"
        if problem is not None and problem != said:
            said = problem
            say(f"note: {problem}")

    return tell


def _socket(host: str, port: int | None) -> socket.socket:
    """A socket at the port, or at the next free one where none was asked for.

    Raises:
        InputError: if the port is taken, may not be used, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for one in [port] if port is not None else [*range(PORT, PORT + MAX_TRIED), 0]:
        try:
            return socket.create_server((host, one), family=family, backlog=128)
        except PermissionError:
            raise InputError(f"port {one} may not be used; choose one above 1023") from None
        except OverflowError:
            raise InputError(f"port {one} is no port; choose one of 1024 to 65535") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            why = error.strerror or error
            raise InputError(
                f"host {host!r} cannot be listened to ({why}); use an address of this machine, or "
                "0.0.0.0 for all of them"
            ) from None
    raise InputError(
        f"port {port} is taken; choose another with --port, or leave it out to get a free one"
    )


def _address(host: str, port: int, token: str | None) -> str:
    """Where the page is, for a browser."""
    name = host.strip("[]")
    if name in ("0.0.0.0", "::"):  # noqa: S104  # all addresses: the name is one that others know
        name = socket.gethostname()
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/" + ("" if token is None else f"?token={token}")
