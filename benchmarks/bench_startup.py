"""What importing earlycall and asking for help cost, as a ratio to importing numpy and polars."""

import statistics
import subprocess
import sys
import time

RUNS = 7


def seconds(*arguments: str) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def test_startup(capsys):
    peer = seconds("-c", "import numpy, polars")
    use = "import earlycall; earlycall.rank, earlycall.read"
    with capsys.disabled():
        print(f"\nimport numpy, polars      {peer:.3f} s")
        for name, arguments in {
            "import earlycall": ("-c", "import earlycall"),
            "import and first use": ("-c", use),
            "earlycall --help": ("-m", "earlycall", "--help"),
        }.items():
            took = seconds(*arguments)
            print(f"{name:25} {took:.3f} s, {took / peer:.2f} times that")
