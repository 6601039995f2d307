"""Ranking large curve sets: CPU and memory beside a polars scan of the same files.

Sets of three sizes, up to ``EARLYCALL_RUNS`` (1,000,000) runs of 100 observations in files
partitioned by groups of 10,000 runs, are ranked by the command at a budget of 10 %. The peer is one
scan that takes the largest value of every column. Written to ``docs/scale.md``, with its figure.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from earlycall.plots.theme import palette, panels, styled
from earlycall.plots.write import write

DOCS = Path(__file__).parent.parent / "docs"
RUNS = int(os.environ.get("EARLYCALL_RUNS", "1000000"))
GROUP, STEPS = 10_000, 100
MAX_BYTES, MAX_TIMES = 2e9, 12
AHEAD = 10_000_000  # runs to which the three sizes are extended
SCANS = 3
SIZES = [RUNS // 10, RUNS * 3 // 10, RUNS]
MEASURED = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
assert done.returncode == 0
used = resource.getrusage(resource.RUSAGE_CHILDREN)
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss * unit]))
"""


def add_group(folder: Path, number: int, runs: int) -> None:
    """Hyperbolas with noise, a file for a group, so that memory stays small."""
    rng = np.random.default_rng(number)
    steps = np.arange(1, STEPS + 1)
    loss = rng.uniform(0.1, 1, (runs, 1)) + rng.uniform(1, 3, (runs, 1)) / (
        steps + rng.uniform(0, 5, (runs, 1))
    )
    loss += rng.normal(0, 0.01, loss.shape)
    part = folder / "curves.parquet" / f"group=task-{number:04}"
    part.mkdir(parents=True)
    names = pl.Series([f"run-{i:06}" for i in range(runs)])
    pl.DataFrame({
        "run": names.gather(np.repeat(np.arange(runs), STEPS)),
        "step": np.tile(steps, runs),
        "train_loss": loss.ravel().astype(np.float32),
    }).write_parquet(part / "0.parquet", compression="zstd")  # fmt: skip


def scan(folder: Path) -> float:
    """Seconds of CPU of one scan of all files and columns, the median of a few."""
    spent = []
    for _ in range(SCANS):
        begun = time.process_time()
        table = pl.scan_parquet(f"{folder / 'curves.parquet'}/")
        table.select(pl.all().max()).collect(engine="streaming")
        spent.append(time.process_time() - begun)
    return statistics.median(spent)


def ranked(folder: Path, fmt: str) -> tuple[float, float]:
    """Seconds of CPU and the most bytes of memory of the command."""
    command = [sys.executable, "-m", "earlycall", "rank", str(folder), "--budget", "10%",
               "--format", fmt]  # fmt: skip
    out = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], check=True, capture_output=True, text=True
    )
    cpu, memory = json.loads(out.stdout)
    return cpu, memory


def extended(sizes: list[int], values: list[float], to: int) -> float:
    """A straight line through the three sizes, whose weights are such that each counts alike."""
    slope, start = np.polyfit(sizes, values, 1, w=1 / np.array(values))
    return float(start + slope * to)


def figure(sizes: list[int], times: list[float], memory: list[float], ahead: list[float]) -> None:
    """Times the scan, and bytes, by size; ``ahead`` both of what the sizes are extended to."""
    colours = palette("light")
    drawn = panels(1, 2, titles=("CPU, times one scan", "peak memory, GB"))
    limits = (times, MAX_TIMES, 1), (memory, MAX_BYTES, 1e9)
    for column, ((values, limit, unit), last) in enumerate(zip(limits, ahead, strict=True), 1):
        shown = np.array(values) / unit
        drawn.add_scatter(x=sizes, y=shown, mode="lines+markers", row=1, col=column,
                          line={"color": colours.blue})  # fmt: skip
        dotted = {"color": colours.blue, "dash": "dot"}
        drawn.add_scatter(x=[sizes[-1], AHEAD], y=[shown[-1], last / unit], mode="lines+markers",
                          row=1, col=column, line=dotted)  # fmt: skip
        drawn.add_hline(y=limit / unit, line_dash="dash", row=1, col=column,
                        line_color=colours.muted)  # fmt: skip
    drawn.update_xaxes(type="log", title_text="runs")
    drawn.update_yaxes(rangemode="tozero")
    write(styled(drawn, colours, showlegend=False, height=360), DOCS / "images" / "scale.svg")


def test_scale(tmp_path, capsys):
    rows, groups = [], 0
    for runs in SIZES:
        while groups * GROUP < runs:  # each size goes on from the one before
            add_group(tmp_path, groups, min(GROUP, runs))
            groups += 1
        rows.append((runs, scan(tmp_path), *ranked(tmp_path, "table")))
    as_json, json_memory = ranked(tmp_path, "json")
    _, peers, cpu, memory = (list(column) for column in zip(*rows, strict=True))
    ahead = [extended(SIZES, values, AHEAD) for values in (peers, cpu, memory)]
    lines = [
        "| runs | one scan | `earlycall rank` | times the scan | peak memory |",
        "|---|---|---|---|---|",
        *(
            f"| {runs:,} | {peer:.2f} s | {used:.1f} s | {used / peer:.1f} | {most / 1e9:.2f} GB |"
            for runs, peer, used, most in rows
        ),
        f"| {AHEAD:,}, extended | {ahead[0]:.0f} s | {ahead[1]:.0f} s | {ahead[1] / ahead[0]:.1f} "
        f"| {ahead[2] / 1e9:.1f} GB |",
        f"| {RUNS:,} as JSON | | {as_json:.1f} s | {as_json / peers[-1]:.1f} | "
        f"{json_memory / 1e9:.2f} GB |",
    ]
    page = DOCS / "scale.md"
    head, begin, rest = page.read_text().partition("<!-- measured -->\n")
    _, end, tail = rest.partition("<!-- end -->")
    page.write_text(head + begin + "\n".join(["", *lines, "", ""]) + end + tail)
    times = [a / b for a, b in zip(cpu, peers, strict=True)]
    figure(SIZES, times, memory, [ahead[1] / ahead[0], ahead[2]])
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert cpu[-1] <= MAX_TIMES * peers[-1]
    assert memory[-1] <= MAX_BYTES
