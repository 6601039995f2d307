"""Write the command reference from the command itself: python docs/_tools/commands.py [FILE]."""

import os
import subprocess
import sys
from pathlib import Path

from earlycall.cli import COMMANDS
from earlycall.cli.nas import NAS_COMMANDS

STUDY_COMMANDS = ("run", "resume", "list", "export", "report")
LISTED = (
    *(name for name in COMMANDS if name not in ("study", "nas")),
    *(f"study {name}" for name in STUDY_COMMANDS),
    *(f"nas {name}" for name in NAS_COMMANDS),
)


def reference() -> str:
    """The help of every command, as a page."""
    parts = ["# The commands\n\nWritten from `earlycall COMMAND --help` by `make docs`.\n"]
    source = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    for command in LISTED:
        shown = subprocess.run(
            [sys.executable, "-m", "earlycall", *command.split(), "--help"],
            env={"COLUMNS": "100", "TERM": "dumb", "PATH": "/usr/bin:/bin"} | source,
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [line.rstrip() for line in shown.stdout.replace("python -m ", "").splitlines()]
        parts.append(f"## earlycall {command}\n\n```text\n" + "\n".join(lines).strip() + "\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    target = Path(
        sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "commands.md"
    )
    target.write_text(reference())
