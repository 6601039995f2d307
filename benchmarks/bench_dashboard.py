"""The live page over 500 logs of 10,000 steps: server, network and browser, update by update.

The peer is plotly express over the same curves, every observation drawn. Then what the server
holds: over an hour of polling, and over a curve set of 5,000 runs of 10,000 steps.
"""

import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

RUNS, STEPS = 500, 10_000
MOVES = 8
# From the move of a slider until the figure is drawn anew and the browser is at rest again.
MOVE = """([id, at]) => new Promise((done) => {
  const plot = document.querySelector('#figure-curves .js-plotly-plot');
  const slider = document.getElementById(id);
  performance.clearResourceTimings();
  const start = performance.now();
  plot.once('plotly_afterplot', () => requestAnimationFrame(() => setTimeout(() => {
    const asked = performance.getEntriesByType('resource')
      .filter((e) => e.name.includes('_view'));
    const long = asked.sort((a, b) => b.decodedBodySize - a.decodedBodySize)[0];
    done({ all: performance.now() - start, server: long.responseStart - long.requestStart,
      bytes: long.decodedBodySize, packed: long.transferSize, waited: long.startTime - start });
  }, 0)));
  slider.value = at;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
})"""


def curves() -> np.ndarray:
    """Losses that fall as losses do, with noise: shape (RUNS, STEPS)."""
    draw = np.random.default_rng(0)
    floor, height, speed = (draw.uniform(*r, (RUNS, 1)) for r in ((0.1, 1), (0.5, 3), (50, 800)))
    x = np.arange(1, STEPS + 1)
    return floor + height / (1 + x / speed) + draw.normal(0, 0.02, (RUNS, STEPS))


def write_logs(folder: Path, losses: np.ndarray) -> list[Path]:
    draw = np.random.default_rng(1)
    logs = []
    for i, row in enumerate(losses):
        log = folder / f"run-{i:03d}.csv"
        pl.DataFrame({"step": np.arange(1, STEPS + 1), "train_loss": row}).write_csv(log)
        logs.append(log)
    pl.DataFrame({
        "run": [log.name for log in logs],
        "hp.lr": draw.choice([0.1, 0.01, 0.001], RUNS),
        "hp.model": draw.choice(["cnn", "mlp", "vit"], RUNS),
        "hp.weight_decay": draw.uniform(0, 0.1, RUNS),
    }).write_csv(folder / "runs.csv")  # fmt: skip
    return logs


def started(folder: Path, *options: str) -> tuple[subprocess.Popen, str, float]:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "earlycall", "serve", str(folder), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr or ():
        if found := re.search(r"http://\S+", line):
            return process, found[0], time.perf_counter() - begun
    raise RuntimeError("the page did not start")


def peer(losses: np.ndarray) -> tuple[float, int]:
    """Seconds and bytes of a figure with all observations, by plotly express."""
    import plotly.express as px

    begun = time.perf_counter()
    runs = np.repeat([f"run-{i:03d}" for i in range(RUNS)], STEPS)
    steps = np.tile(np.arange(1, STEPS + 1), RUNS)
    table = pl.DataFrame({"run": runs, "step": steps, "train_loss": losses.ravel()})
    figure = px.line(table, x="step", y="train_loss", color="run", render_mode="webgl")
    size = len(figure.to_json())
    return time.perf_counter() - begun, size


def test_500_runs_of_10000_steps(tmp_path, capsys):
    from playwright.sync_api import expect, sync_playwright

    chromium = os.environ.get("BROWSER_PATH") or shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    losses = curves()
    logs = write_logs(tmp_path, losses)
    served, url, reading = started(tmp_path)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            begun = time.perf_counter()
            page.goto(url)
            expect(page.locator("#runs tbody tr")).to_have_count(min(RUNS, 100), timeout=60_000)
            opening = time.perf_counter() - begun
            page.wait_for_timeout(2000)
            moves = [page.evaluate(MOVE, ["choose-budget", 6 + i]) for i in range(MOVES)]
            row = page.locator("#runs tbody tr").first
            begun = time.perf_counter()
            for log in logs:
                with log.open("a") as file:
                    file.write(f"{STEPS + 1},0.5\n")
            page.evaluate(MOVE, ["choose-budget", 17])
            expect(row).to_contain_text("10,001", timeout=60_000)
            growing = time.perf_counter() - begun
            browser.close()
    finally:
        served.terminate()
        served.wait()
    seconds, size = peer(losses)
    say(capsys, reading, opening, moves, growing, seconds, size)


def say(capsys, reading, opening, moves, growing, seconds, size) -> None:
    def median(key: str) -> float:
        return statistics.median(move[key] for move in moves)

    browser = [m["all"] - m["server"] - m["waited"] for m in moves]
    with capsys.disabled():
        print(f"\n{RUNS} logs of {STEPS:,} steps, {os.cpu_count()} cores, load {os.getloadavg()}")
        print(f"reading all logs and starting  {reading:7.2f} s")
        print(f"opening the page               {opening:7.2f} s")
        print(
            f"a move of the budget slider    {median('all') / 1e3:7.2f} s "
            f"(largest {max(m['all'] for m in moves) / 1e3:.2f} s), of which"
        )
        print(f"  waiting for the next move    {median('waited') / 1e3:7.2f} s")
        print(f"  the server                   {median('server') / 1e3:7.2f} s")
        print(f"  the browser                  {statistics.median(browser) / 1e3:7.2f} s")
        print(
            f"bytes of an update             {median('bytes') / 1e6:7.2f} MB "
            f"({median('packed') / 1e6:.2f} MB packed)"
        )
        print(f"all logs grow by a line, until it is seen  {growing:7.2f} s")
        slower, larger = 1e3 * seconds / median("server"), size / median("bytes")
        print(f"plotly express, every point    {seconds:7.2f} s, {size / 1e6:.1f} MB: {slower:.0f} "
              f"times the time and {larger:.0f} times the bytes, and not drawn yet")  # fmt: skip


class Server:
    """A running ``earlycall serve``, what it answers, and the memory and time that it takes."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process, url, self.reading = started(folder, *options)
        self.port = int(re.search(r":(\d+)/", url)[1])
        self.status = Path(f"/proc/{self.process.pid}/status")
        if not self.status.exists():
            pytest.skip("needs /proc")

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def memory(self, key: str = "VmRSS") -> float:
        """In MB; the largest so far under VmHWM."""
        return int(self.status.read_text().split(f"{key}:")[1].split()[0]) / 1e3

    def ask(self, path: str, query: str = "") -> dict:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request("POST", path, body=query, headers={"Host": "localhost"})
        return json.loads(connection.getresponse().read())


def test_an_hour_of_polling(tmp_path, capsys):
    """A page asks every second, and for a new view every 4 s: as often as it does in an hour."""
    draw = np.random.default_rng(0)
    logs = [tmp_path / f"run-{i:02d}.csv" for i in range(10)]
    for log in logs:
        rows = "".join(f"{s},{1 + 3 / s + draw.normal(0, 0.02):.5f}\n" for s in range(1, 101))
        log.write_text("step,train_loss\n" + rows)
    with Server(tmp_path, "--every", "0.05") as server, capsys.disabled():
        print(f"\nMB held after updates of {len(logs)} logs that grow:")
        version, drawn = "", ""
        for update in range(900):
            for log in logs:
                with log.open("a") as file:
                    file.write(f"{101 + update},{1 + draw.normal(0, 0.02):.5f}\n")
            while (now := server.ask("/_live")["version"]) == version:
                time.sleep(0.05)
            version = now
            for _ in range(3):
                server.ask("/_live")
            drawn = server.ask(f"/_view?drawn={drawn}", f"budget={1 + update % 90}")["drawn"]
            if update % 50 == 49:
                print(f"{update + 1:4d}: {server.memory():.0f}", flush=True)


def test_5000_runs_of_10000_steps(tmp_path, capsys):
    import pyarrow as pa
    import pyarrow.parquet as pq

    runs, part, steps = 5000, 250, np.arange(1, STEPS + 1)
    draw = np.random.default_rng(0)
    floor, height, speed = (draw.uniform(*r, (runs, 1)) for r in ((0.1, 1), (0.5, 3), (50, 800)))
    writer = None
    for first in range(0, runs, part):
        i = slice(first, first + part)
        losses = floor[i] + height[i] / (1 + steps / speed[i]) + draw.normal(0, 0.02, (part, STEPS))
        names = np.repeat([f"run-{j:04d}" for j in range(first, first + part)], STEPS)
        columns = {"run": names, "step": np.tile(steps, part), "train_loss": losses.ravel()}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(tmp_path / "curves.parquet", table.schema)
        writer.write_table(table)
    writer.close()
    with Server(tmp_path) as server, capsys.disabled():
        print(f"\n5,000 runs of 10,000 steps are read in {server.reading:.1f} s")
        for query in ("budget=1", "budget=10", "budget=20", "budget=50", "", "budget=15"):
            begun = time.perf_counter()
            size = len(json.dumps(server.ask("/_view", query))) / 1e6
            seconds = time.perf_counter() - begun
            held, most = server.memory(), server.memory("VmHWM")
            print(f"{query or 'all':10s} {seconds:6.2f} s, {size:.2f} MB; "
                  f"{held:.0f} MB held, {most:.0f} MB at most")  # fmt: skip
