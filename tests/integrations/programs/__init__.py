"""Programs that train for real, each in a process of its own so that it can be killed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import PATIENCE

HERE = Path(__file__).parent
KILLED = "killed"


def train(host: str, folder: Path, *, whole_output: bool = False, **options: Any) -> Any:
    """Run a program; what it found by file name, KILLED, or what it printed as it failed."""
    folder.mkdir(exist_ok=True)
    program = subprocess.run(
        [sys.executable, HERE / f"train_{host}.py", json.dumps({"folder": str(folder), **options})],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    if program.returncode == -9:
        return KILLED
    printed = program.stdout + program.stderr
    if program.returncode or whole_output:
        return printed
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert found, printed
    return found
