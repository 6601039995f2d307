"""What an update of a monitor costs, beside appending a loss to a list."""

import random
import time

from earlycall import Monitor

UPDATES = 300_000


def microseconds(update, losses) -> float:
    start = time.perf_counter()
    for loss in losses:
        update(loss)
    return (time.perf_counter() - start) / len(losses) * 1e6


def test_monitor(capsys):
    draw = random.Random(0)
    losses = [3 / (1 + i / 1000) + draw.gauss(0, 0.1) for i in range(UPDATES)]
    peer = microseconds([].append, losses)
    with capsys.disabled():
        print(f"\n{'list.append':46} {peer:6.2f} µs an update")
        for rule, every in (
            ("gain:1e-300", "auto"),
            ("gain:1e-300", 1),
            ("gain:1e-300", 100),
            ("loss:1e-12", 1),
            ("patience:1000000000", 1),
            ("plateau and budget:1e12", 1),
            ("budget:1e12", 1),
            ("target:0:1e9 and budget:1e12", 1),
            ("gain:1e-300 and patience:1000000000", "auto"),
        ):
            monitor = Monitor(rule, every=every)
            took = microseconds(monitor.update, losses)
            at = "" if not monitor.should_stop else f"  (stopped after {monitor.updates})"
            print(f"{rule:35} every={every!s:5}  {took:6.2f} µs an update{at}")
