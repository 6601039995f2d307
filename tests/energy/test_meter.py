"""Joules while training, by the real CodeCarbon, without a network."""

import subprocess
import sys
import time

import pytest

from earlycall import InputError
from earlycall.energy import meter

BUSY = """
import socket, sys, time
class NoNetwork(socket.socket):
    def connect(self, *a): sys.exit("tried to reach the network")
socket.socket = NoNetwork
{before}
from earlycall.energy import meter
with meter("{scope}") as m:
    seen = []
    end = time.perf_counter() + 1.2
    while time.perf_counter() < end:
        sum(range(10_000))
        seen.append(m.joules())
print(m.joules(), m.seconds(), m.estimated, seen == sorted(seen) if seen[0] is not None else None)
print(m.source)
"""


def run(tmp_path, scope="machine", before=""):
    code = BUSY.format(scope=scope, before=before)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    numbers, source = done.stdout.splitlines()
    assert list(tmp_path.iterdir()) == []  # no emissions.csv, no lock is left
    return numbers.split(), source


@pytest.mark.parametrize("scope", ["machine", "process"])
def test_codecarbon_counts_joules_that_never_fall(tmp_path, scope):
    (joules, seconds, estimated, rising), source = run(tmp_path, scope)
    assert float(joules) / float(seconds) > 1  # watts
    assert float(joules) / float(seconds) < 2000
    assert rising == "True"
    assert source.startswith("CodeCarbon (")
    assert ("an estimate" in source) == (estimated == "True")


SET_UP = """
import time
from codecarbon import OfflineEmissionsTracker

class Slow(OfflineEmissionsTracker):
    def start(self):
        time.sleep(2)  # set-up before it counts
        super().start()
        time.sleep(2)  # and after

import codecarbon
codecarbon.OfflineEmissionsTracker = Slow
import earlycall as ec
with ec.measure(scope="machine") as run:
    run.log(0, train_loss=1.0)
    time.sleep(1)
    run.log(1, train_loss=1.0)
print(*run.table["seconds"], *run.table["joules"])
"""


def test_neither_seconds_nor_joules_count_the_set_up():
    done = subprocess.run([sys.executable, "-c", SET_UP], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    seconds, seconds_later, joules, joules_later = map(float, done.stdout.split())
    assert seconds < seconds_later / 2
    assert joules < joules_later / 2


def test_without_codecarbon_and_without_a_gpu_it_says_so(tmp_path):
    before = "sys.modules['codecarbon'] = None"
    (joules, *_), source = run(tmp_path, before=before)
    if source.startswith("NVML"):
        pytest.skip("this machine has a GPU that counts its energy")
    assert joules == "None"
    assert "pip install 'earlycall[energy]'" in source


def test_after_the_end_it_stays(tmp_path):
    with meter() as counting:
        time.sleep(0.1)
    last = counting.joules()
    time.sleep(0.2)
    assert counting.joules() == last


def test_an_unknown_scope_is_refused():
    with pytest.raises(InputError, match="machine or process"):
        meter("gpu")
