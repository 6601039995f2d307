"""``--on-verdict``: a command that is run whenever the verdict on followed runs changes."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from typing import IO, TYPE_CHECKING

from earlycall.errors import InputError
from earlycall.formatting import json_of
from earlycall.ranking.over import SettingRanking

if TYPE_CHECKING:
    from earlycall.ranking.rank import Ranking

TIMEOUT = 60.0  # seconds that a command may take

Verdict = dict[str, tuple[str | None, frozenset[str]]]


def verdict_of(ranking: Ranking | SettingRanking) -> Verdict:
    """The run that leads each group, and the runs to stop; groups without either are left out.

    Examples:
        >>> from earlycall import rank
        >>> verdict_of(rank({"a": [3.0, 2.0, 1.0], "b": [3.0, 2.5, 2.4]}, score="last_loss"))
        {'all': ('a', frozenset())}
    """
    found: Verdict = {}
    for (group,), rows in ranking.table.group_by("group", maintain_order=True):
        first = rows.filter(rows["rank"] == 1)["run"]
        stop = () if isinstance(ranking, SettingRanking) else ranking.stop(str(group))
        if len(first) or stop:
            found[str(group)] = (first[0] if len(first) else None, frozenset(stop))
    return found


class OnVerdict:
    """Runs a command once for each change of verdict, the first verdict included.

    Its standard input is what ``--format json`` prints. It runs beside the watching, one at a time:
    while it runs, only the newest change waits. One that takes over a minute is ended. What it
    prints is not shown, but for the last line of one that fails.

    Args:
        command: as it is typed; it is split as a shell splits words, and run without a shell.

    Attributes:
        problem: what went wrong with the last command that ended, in a sentence; None if nothing.

    Raises:
        InputError: if it cannot be split, or there is no such program.
    """

    def __init__(self, command: str) -> None:
        self.problem: str | None = None
        self._called = f"--on-verdict {command!r}"
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise InputError(f"{self._called} cannot be split into words: {error}") from None
        if not self._words:
            raise InputError("--on-verdict is empty; give a command, such as 'python notify.py'")
        if shutil.which(self._words[0]) is None:
            raise InputError(
                f"{self._called}: {self._words[0]!r} is no program that can be run; name one on "
                "the PATH, or the path of a file that may be executed"
            )
        self._told: Verdict = {}
        self._waiting: str | None = None
        self._running: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._since = 0.0
        self._runs = 0

    def update(self, ranking: Ranking | SettingRanking) -> None:
        """Take a new ranking; its verdict is told if it is another one."""
        verdict = verdict_of(ranking)
        if verdict != self._told:
            self._told, self._waiting = verdict, json_of(ranking.to_dict())
        self.look()

    def look(self) -> None:
        """See whether the command has ended, and start it where a change waits for that."""
        if self._running is not None and not self._ended(self._running):
            return
        self._running = None
        if self._waiting is not None:
            document, self._waiting = self._waiting, None
            self._start(document)

    def _start(self, document: str) -> None:
        self._runs += 1
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # read when it has ended
        with tempfile.TemporaryFile() as stdin:  # a file, so that no one has to wait for a reader
            stdin.write(f"{document}\n".encode())
            stdin.seek(0)
            try:
                self._running = subprocess.Popen(  # noqa: S603  # what the user asked for
                    self._words, stdin=stdin, stdout=self._output, stderr=self._output,
                    start_new_session=True,  # Ctrl-C ends the watching, not what it has started
                )  # fmt: skip
            except OSError as error:
                self._fail(f"could not be started: {error.strerror}")
        self._since = time.monotonic()

    def _ended(self, process: subprocess.Popen[bytes]) -> bool:
        code = process.poll()
        if code is None and time.monotonic() - self._since < TIMEOUT:
            return False
        if code is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._fail(f"was ended after {TIMEOUT:g} s")
        elif code:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            self._fail(f"failed with {how}{self._last_line()}")
        else:
            self.problem = None
        return True

    def _fail(self, how: str) -> None:
        self.problem = f"{self._called}, run {self._runs}, {how}"

    def _last_line(self) -> str:
        """The last line that the command printed."""
        if self._output is None:
            return ""
        end = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(end - 2000, 0))
        lines = self._output.read().decode(errors="replace").split("\n")
        printed = [line.strip() for line in lines if line.strip()]
        return f": {printed[-1][:400]}" if printed else ""
