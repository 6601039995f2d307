"""Real logs and a runner of the real command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

DIGITS = Path(__file__).parent.parent / "examples" / "digits"


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def earlycall(*arguments: object) -> Ran:
    """Run the command as a person would."""
    done = subprocess.run(
        [sys.executable, "-m", "earlycall", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def digits() -> Path:
    """The folder with the bundled logs of real training."""
    return DIGITS


collect_ignore_glob = ["integrations/programs/*"]  # programs, run by the tests


class Written:
    """The log of each tool, written when a test asks for it first."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, tool: str) -> Path:
        """The folder that a tool wrote; not to be changed."""
        sys.path.append(str(Path(__file__).parent / "readers"))
        import writers

        folder = self.root / tool
        with FileLock(self.root / f".{tool}.lock"):
            if not folder.exists():
                writers.write(tool, self.root / ".parts" / tool).rename(folder)
        return folder

    def copy(self, tool: str, to: Path) -> Path:
        """A copy of the folder that a tool wrote, to be changed."""
        return Path(shutil.copytree(self(tool), to / tool, symlinks=True))


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Written:
    """Real logs, written once in a session, also where tests run in parallel."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent  # shared by the workers
    root = base / "written"
    root.mkdir(exist_ok=True)
    return Written(root)
