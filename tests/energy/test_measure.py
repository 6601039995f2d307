"""A training measured while it runs: its file is a run, survives a kill, and goes on."""

import json
import subprocess
import sys
import time

import pytest

import earlycall as ec
from earlycall import InputError, Monitor

TRAIN = """
import os, signal, sys, time
import earlycall as ec
with ec.measure(sys.argv[1], scope="process") as run:
    for step in range(int(sys.argv[2]), int(sys.argv[3])):
        end = time.perf_counter() + 0.06
        while time.perf_counter() < end:
            sum(range(1000))
        run.log(step, train_loss=1 / (1 + step))
        if step == int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGKILL)
"""


def train(path, start, end, kill=-1):
    command = [sys.executable, "-c", TRAIN, *map(str, (path, start, end, kill))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_killed_and_resumed_its_costs_go_on(tmp_path):
    path = tmp_path / "run.jsonl"
    assert train(path, 0, 20, kill=9).returncode == -9
    with path.open("a") as file:
        file.write('{"step": 10, "seco')  # as a kill in the middle of a line leaves it
    before = ec.read(path).observations
    assert before.height == 10
    done = train(path, 8, 20)
    assert (done.returncode, done.stderr) == (0, "")
    curves = ec.read(path)
    rows = curves.observations
    assert rows["step"].to_list() == list(range(20))
    for cost in ("joules", "seconds"):
        assert rows[cost].to_list() == sorted(rows[cost])
        assert rows[cost][8] > before[cost][9]  # logged again, at the cost of both sessions
    assert rows["joules"][19] > 0
    assert ec.elasticity(curves, cost="joules").table.height == 1


def test_in_memory_with_another_logger_and_a_monitor():
    monitor = Monitor("budget:1", cost="joules")
    logged = []
    with ec.measure() as run:
        for step in range(1000):
            time.sleep(0.02)
            logged.append(run.costs())
            run.log(step, {"val/loss": 1.0}, train_loss=2.0)
            if monitor.update(1.0, run.joules()):
                break
    assert monitor.should_stop
    assert step < 999
    assert run.table.columns == ["step", "seconds", "joules", "val/loss", "train_loss"]
    assert run.curves.observations.height == step + 1
    assert set(logged[-1]) == {"seconds", "joules"}
    assert run.source.startswith("CodeCarbon")
    used = ec.energy(run.curves)
    assert used.table["joules"][0] == pytest.approx(run.table["joules"][-1])


def test_what_cannot_be_used_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"name a file that ends in \.jsonl"):
        ec.measure(tmp_path / "a.csv")
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"loss": 1}) + "\n")
    with pytest.raises(InputError, match=r"line 1: not a step that earlycall\.measure wrote"):
        ec.measure(other)
    with ec.measure() as run, pytest.raises(InputError, match="metric 'loss' must be a number"):
        run.log(1, loss="low")
    with pytest.raises(InputError, match="nothing is measured yet"):
        ec.measure().joules()
