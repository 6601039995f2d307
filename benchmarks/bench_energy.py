"""What measuring a training costs, and how fast power logs are read and joined."""

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import torch

import earlycall as ec
from earlycall.energy import Meter
from earlycall.readers.power.logs import load

STEPS = 400


def trained(log) -> float:
    """Seconds of a small training that logs each step."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(256, 512), torch.nn.ReLU(), torch.nn.Linear(512, 256)
    )
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x = torch.randn(256, 256)
    start = time.perf_counter()
    for step in range(STEPS):
        loss = (model(x) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        log(step, float(loss.detach()))
    return time.perf_counter() - start


def test_overhead_of_measuring(capsys, tmp_path):
    bare, measured = [], []
    trained(lambda step, loss: None)
    with ec.measure(tmp_path / "run.jsonl") as run:
        for _ in range(5):  # in turns, since the machine is not quiet
            bare.append(trained(lambda step, loss: None))
            measured.append(trained(lambda step, loss: run.log(step, train_loss=loss)))
    with capsys.disabled():
        a, b = np.median(bare) / STEPS * 1e3, np.median(measured) / STEPS * 1e3
        print(f"\na step {a:.3f} ms; measured and written {b:.3f} ms: {b / a:.3f} times")


def test_a_look_at_the_meter_beside_codecarbons_own(capsys):
    from codecarbon import OfflineEmissionsTracker

    start = time.perf_counter()
    with Meter() as meter:
        setup = time.perf_counter() - start
        tracker = OfflineEmissionsTracker(
            country_iso_code="FRA", log_level="critical", output_methods=[], measure_power_secs=1
        )
        tracker.start()

        def median(look) -> float:
            took = []
            for _ in range(30):
                time.sleep(0.06)  # so that the hardware is really looked at
                begin = time.perf_counter()
                look()
                took.append(time.perf_counter() - begin)
            return float(np.median(took))

        ours, theirs = median(meter.joules), median(tracker.flush)
        tracker.stop()
    with capsys.disabled():
        print(
            f"\nset up in {setup:.2f} s; a look {ours * 1e3:.2f} ms, CodeCarbon's flush "
            f"{theirs * 1e3:.2f} ms: {ours / theirs:.2f} times"
        )


def test_reading_a_power_log(capsys, tmp_path):
    path, seconds, gpus = tmp_path / "gpu.csv", 100_000, 8
    first = datetime(2026, 3, 1)
    draw = np.random.default_rng(0).uniform(100, 700, (seconds, gpus)).round(2)
    stamps = [(first + timedelta(seconds=i)).strftime("%Y/%m/%d %H:%M:%S.000")
              for i in range(seconds)]  # fmt: skip
    with path.open("w") as file:
        file.write("timestamp, index, power.draw [W]\n")
        for stamp, row in zip(stamps, draw, strict=True):
            file.writelines(f"{stamp}, {g}, {w:.2f} W\n" for g, w in enumerate(row))
    size = path.stat().st_size / 1e6

    def by_pandas() -> float:
        table = pd.read_csv(path, skipinitialspace=True)
        when = pd.to_datetime(table["timestamp"], format="%Y/%m/%d %H:%M:%S.%f")
        watts = table["power.draw [W]"].str.removesuffix(" W").astype(float)
        table = pd.DataFrame({"gpu": table["index"], "s": when.astype("int64") / 1e9, "w": watts})
        scale = 1e9 / (when.astype("int64").iloc[-1] / when.iloc[-1].timestamp())
        return sum(np.trapezoid(g["w"], g["s"] * scale) for _, g in table.groupby("gpu"))

    begin = time.perf_counter()
    (log,) = load(path, UTC)
    ours = float(log.joules(log.end) - log.joules(log.start))
    took = time.perf_counter() - begin
    begin = time.perf_counter()
    theirs = by_pandas()
    peer = time.perf_counter() - begin
    at = np.sort(np.random.default_rng(1).uniform(log.start, log.end, 100_000))
    begin = time.perf_counter()
    log.joules(at)
    joining = time.perf_counter() - begin
    with capsys.disabled():
        print(
            f"\n{size:.0f} MB read at {size / took:.0f} MB/s, pandas {size / peer:.0f} MB/s: "
            f"{peer / took:.1f} times; energies agree to {abs(ours / theirs - 1):.0e}; "
            f"100,000 steps joined in {joining:.3f} s"
        )
