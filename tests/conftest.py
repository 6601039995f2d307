"""Real logs and a runner of the real command."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
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
