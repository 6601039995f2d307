"""What the command costs before it works, in CPU, as ratios to what it cannot do without."""

import os
import statistics
import subprocess
import sys

from earlycall.demo import FOLDER

RUNS = 9
LIMITS = {"list": 1.6, "rank": 2.0}  # times its peer


def cpu(*arguments: str) -> float:
    """Seconds of CPU of a Python program, the median of several runs."""
    spent = []
    for _ in range(RUNS):
        before = os.times()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = os.times()
        spent.append(sum(after[2:4]) - sum(before[2:4]))
    return statistics.median(spent)


def test_startup(capsys):
    shell = cpu("-c", "import typer, rich")
    tables = cpu("-c", "import numpy, polars, typer")
    found = {
        "list": cpu("-m", "earlycall", "--help") / shell,
        "rank": cpu("-m", "earlycall", "rank", str(FOLDER), "--budget", "10%") / tables,
        "import": cpu("-c", "import earlycall; earlycall.rank, earlycall.read") / tables,
    }
    with capsys.disabled():
        print(f"\nearlycall --help          {found['list']:.2f} times import typer, rich")
        print(f"earlycall rank of the demo {found['rank']:.2f} times import numpy, polars, typer")
        print(f"import and first use       {found['import']:.2f} times that")
    assert all(found[name] <= limit for name, limit in LIMITS.items())
