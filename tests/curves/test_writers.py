"""Several writers of one curve set: the last one wins whole, and nobody reads a mixture."""

import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest

import earlycall as ec
from earlycall.errors import InputError

WRITER = """
import sys
import numpy as np
import polars as pl
from earlycall import CurveSet
folder, number, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
for i in range(times):
    runs = [f"{number}-{i}-{j}" for j in range(2 + (number + i) % 5)]
    curves = CurveSet.from_losses({run: np.linspace(2, 1 + number, 9) for run in runs})
    final = [float(number)] * len(runs)
    curves = CurveSet(curves.observations, curves.runs.with_columns(final=pl.Series(final)))
    curves.write(folder)
"""

KILLED = """
import os, pathlib
replace = pathlib.Path.replace
def until_the_curves(self, to):
    return os.kill(os.getpid(), 9) if to.name == "curves.parquet" else replace(self, to)
pathlib.Path.replace = until_the_curves
"""


def start(folder, number, times):
    arguments = [sys.executable, "-c", WRITER, folder, str(number), str(times)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def must_be_of_one_writer(curves):
    (writer,) = {run.rpartition("-")[0] for run in curves.runs["run"]}
    number, i = map(int, writer.split("-"))
    assert len(curves) == 2 + (number + i) % 5
    assert set(curves.runs["final"]) == {float(number)}
    assert curves.observations["train_loss"].min() == min(2, 1 + number)


def a_set(n, value):
    curves = ec.CurveSet.from_losses(np.full((n, 4), value))
    runs = curves.runs.with_columns(final=pl.lit(value))
    return ec.CurveSet(curves.observations, runs)


def test_two_writers_and_a_reader_and_kill_9(tmp_path):
    folder = tmp_path / "set"
    writers = [start(folder, 0, 60), start(folder, 1, 60), start(folder, 2, 10**6)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    reads, deadline = 0, time.monotonic() + 20
    while any(writer.poll() is None for writer in writers) and time.monotonic() < deadline:
        if (folder / "curves.parquet").exists():
            must_be_of_one_writer(ec.read(folder))
            reads += 1
        if all(writer.poll() is not None for writer in writers[:2]):
            writers[2].send_signal(signal.SIGKILL)
    for writer in writers:
        writer.kill()
        writer.wait()
    assert reads > 5
    must_be_of_one_writer(ec.read(folder))
    a_set(3, 5.0).write(folder)
    assert ec.read(folder).runs["final"].to_list() == [5.0] * 3


def test_a_writer_that_is_killed_between_the_two_files_has_written_both(tmp_path):
    """That the runs take their place is what counts; the next writer clears up."""
    a_set(2, 1.0).write(tmp_path)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED + WRITER, tmp_path, "0", "1"], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3
    must_be_of_one_writer(ec.read(tmp_path))
    a_set(3, 5.0).write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curves.parquet", "runs.parquet"]
    assert ec.read(tmp_path).runs["final"].to_list() == [5.0] * 3


def test_the_two_files_of_different_sets_are_refused(tmp_path):
    for name, value in (("a", 1.0), ("b", 2.0)):
        a_set(2, value).write(tmp_path / name)
    (tmp_path / "b" / "runs.parquet").replace(tmp_path / "a" / "runs.parquet")
    with pytest.raises(InputError, match="two different curve sets"):
        ec.read(tmp_path / "a")
    (tmp_path / "a" / "runs.parquet").unlink()
    assert len(ec.read(tmp_path / "a")) == 2
