"""The command that stops runs: ours asks their monitors, another one is made from a template."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from earlycall.errors import InputError

ENDING = ".stop"


def stop_file(run: str, paths: Sequence[str | Path]) -> Path:
    """The file that asks the monitor of a run to stop it.

    It stands beside the run's log: ``runs/a.csv.stop`` for ``runs/a.csv``.

    Examples:
        >>> stop_file("a.csv", ["runs"]).as_posix()
        'runs/a.csv.stop'
    """
    places = [Path(path) for path in paths]
    for place in places:
        log = place / run if place.is_dir() else place.with_name(run)
        if log.exists() and log.resolve() != place.resolve():
            return log.with_name(log.name + ENDING)
    first = places[0]
    folder = first if first.is_dir() or len(places) > 1 or not first.exists() else first.parent
    return folder / (run + ENDING)


def stop_command(runs: Sequence[str], paths: Sequence[str | Path], template: str | None) -> str:
    """A command, in the shell's words, that stops some runs; a line for each.

    Args:
        runs: their names.
        paths: what is followed.
        template: a command with ``{run}`` in it, which becomes the quoted name, and ``{path}``, the
            quoted path of the log; by default one that makes each run's stop file.

    Examples:
        >>> print(stop_command(["a", "b c"], ["runs"], "scancel --name {run}"))
        scancel --name a
        scancel --name 'b c'
        >>> print(stop_command(["a.csv"], ["runs"], None))
        touch -- runs/a.csv.stop
    """
    return "\n".join(_one(run, stop_file(run, paths), template) for run in runs)


def _one(run: str, file: Path, template: str | None) -> str:
    if template is None:
        return f"touch -- {_quoted(str(file))}"
    words = {"run": _quoted(run), "path": _quoted(str(file).removesuffix(ENDING))}
    return re.sub(r"\{(run|path)\}", lambda found: words[found[1]], template)


def checked(template: str | None) -> str | None:
    """A template in which a run is named.

    Raises:
        InputError: if it names none.
    """
    if template is not None and "{run}" not in template and "{path}" not in template:
        raise InputError(
            f"--stop-command {template!r} names no run; write {{run}} or {{path}} into it, for "
            "example 'scancel --name {run}'"
        )
    return template


def _quoted(text: str) -> str:
    """A word of the shell that is seen as it is: control characters are written out."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = "".join(c if c.isprintable() and c not in "\\'" else _escape(c) for c in text)
    return f"$'{escaped}'"


def _escape(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
