"""Reading logs: TensorBoard against tbparse, each reader in MB/s, and following a log of 1 GB.

Written to ``docs/reading.md``. Times are of one process on the machine that last ran it.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from earlycall import Follower, read

PAGE = Path(__file__).parent.parent / "docs" / "reading.md"
RUNS, SCALARS = 100, 10_000
LARGE = int(os.environ.get("EARLYCALL_LARGE", "1000000000"))  # bytes
NEW = (1_000, 10_000, 100_000)  # rows that are appended
lines: list[str] = []


def seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def size(folder: Path) -> float:
    """Megabytes."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def events(path: Path, first: int, count: int, mode: str = "wb") -> None:
    """Scalars of one tag, as TensorBoard's own record writer frames them."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    with path.open(mode) as file:
        writer = RecordWriter(file)
        for step in range(first, first + count):
            value = Summary.Value(tag="train_loss", simple_value=2 / (1 + step))
            event = Event(wall_time=1e9 + step, step=step, summary=Summary(value=[value]))
            writer.write(event.SerializeToString())
        writer.flush()


def test_tensorboard_against_tbparse(tmp_path):
    tbparse = pytest.importorskip("tbparse")
    first = tmp_path / "run000" / "events.out.tfevents.1.a.1.0"
    first.parent.mkdir()
    events(first, 0, SCALARS)
    for run in range(1, RUNS):
        there = tmp_path / f"run{run:03d}" / first.name
        there.parent.mkdir()
        there.write_bytes(first.read_bytes())
    found: dict[str, pl.DataFrame] = {}
    ours = seconds(lambda: found.update(ours=read(tmp_path).frame()))
    theirs = seconds(
        lambda: found.update(
            theirs=tbparse.SummaryReader(str(tmp_path), extra_columns={"dir_name"}).scalars
        )
    )
    wanted = pl.from_pandas(found["theirs"]).sort("dir_name", "step")
    same = np.array_equal(found["ours"]["train_loss"].to_numpy(), wanted["value"].to_numpy())
    assert same
    lines.append(
        f"## TensorBoard against tbparse\n\n{RUNS} runs of {SCALARS:,} scalars: earlycall "
        f"{ours:.2f} s, tbparse {theirs:.2f} s, {theirs / ours:.1f} times as long; "
        "the same values to the last bit.\n"
    )


def json_rows(first: int, count: int) -> bytes:
    return b"".join(
        b'{"step": %d, "train": {"loss": %.6f, "accuracy": %.6f}, "lr": 0.1}\n'
        % (i, 2 / (1 + i), 1 - 1 / (1 + i))
        for i in range(first, first + count)
    )


def csv_rows(first: int, count: int) -> bytes:
    return b"".join(
        b"%d,%.6f,%.6f,0.1\n" % (i, 2 / (1 + i), 1 - 1 / (1 + i))
        for i in range(first, first + count)
    )


def test_each_reader(tmp_path):
    n = 200_000
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "a.jsonl").write_bytes(json_rows(0, n))
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "a.csv").write_bytes(b"step,train_loss,accuracy,lr\n" + csv_rows(0, n))
    (tmp_path / "tensorboard").mkdir()
    events(tmp_path / "tensorboard" / "events.out.tfevents.1.a.1.0", 0, n)
    (tmp_path / "parquet").mkdir()
    read(tmp_path / "csv").write(tmp_path / "parquet")
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "params.json").write_text('{"lr": 0.1}')
    rows = ({"training_iteration": i, "loss": 2 / (1 + i)} for i in range(n))
    (tmp_path / "ray" / "result.json").write_text("".join(json.dumps(r) + "\n" for r in rows))
    lines.append("## Readers\n\n| log | MB | MB/s | observations/s |\n|---|---|---|---|")
    for folder in sorted(tmp_path.iterdir()):
        read(folder)
        took = min(seconds(lambda: read(folder)) for _ in range(2))  # noqa: B023
        mb = size(folder)
        lines.append(f"| {folder.name} | {mb:.1f} | {mb / took:.0f} | {n / took:,.0f} |")


def fill_json(path: Path) -> int:
    step, n = 0, 100_000
    with path.open("wb") as file:
        while file.tell() < LARGE:
            file.write(json_rows(step, n))
            step += n
    return step


def fill_csv(path: Path) -> int:
    step, n = 0, 100_000
    with path.open("wb") as file:
        file.write(b"step,train_loss,accuracy,lr\n")
        while file.tell() < LARGE:
            file.write(csv_rows(step, n))
            step += n
    return step


@pytest.mark.parametrize(
    ("name", "fill", "rows"),
    [("a.jsonl", fill_json, json_rows), ("a.csv", fill_csv, csv_rows)],
)
def test_following_a_log_of_a_gigabyte(tmp_path, name, fill, rows):
    warnings.simplefilter("ignore")
    path = tmp_path / name
    step = fill(path)
    follower = Follower([path])
    first = seconds(follower.update)
    held = follower.update().observations.estimated_size() / 1e6
    nothing = seconds(follower.update)
    lines.append(
        f"\n## Following `{name}` of {path.stat().st_size / 1e9:.2f} GB, {step:,} observations\n\n"
        f"The first update takes {first:.1f} s ({path.stat().st_size / 1e6 / first:.0f} MB/s) and "
        f"holds {held:,.0f} MB; one without anything new {1000 * nothing:.1f} ms.\n\n"
        "| new observations | an update | µs an observation |\n|---|---|---|"
    )
    for new in NEW:
        took = []
        for _ in range(5):
            with path.open("ab") as file:
                file.write(rows(step, new))
            step += new
            took.append(seconds(follower.update))
        median = float(np.median(took))
        lines.append(f"| {new:,} | {1000 * median:.1f} ms | {1e6 * median / new:.2f} |")
    assert follower.update().observations.height == step
    path.unlink()


@pytest.fixture(scope="module", autouse=True)
def page():
    lines.clear()
    yield
    head = (
        "# Reading and following, as measured\n\nWritten by `make bench` on the machine that last "
        "ran it (two cores, other work beside it); compare the ratios.\n\n"
    )
    PAGE.write_text(head + "\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))
