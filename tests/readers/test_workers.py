"""Many logs are read by several processes: the same tables, notes and errors as by one."""

import os
import signal
import subprocess
import sys
import warnings

import psutil
import pytest
from writers import tensorboard

from conftest import PATIENCE, wait_until
from earlycall import read
from earlycall.errors import InputError
from earlycall.readers import workers

ANSWERED = []
PROGRAM = (  # as a person's script, which no worker may run again
    "import sys, earlycall.cli; from earlycall.readers import workers\n"
    "workers._cores = lambda: 2\n"
    "workers.ALONE_SECONDS, workers.SECONDS_PER_WORKER = 0, 1e-9\n"
    "sys.argv = ['earlycall', 'rank', '--format', 'json', *sys.argv[1:]]\n"
    "earlycall.cli.main()\n"
)


@pytest.fixture
def at_once(monkeypatch):
    """Workers are asked from the second log on; their answers are counted."""
    ask = workers._Worker.ask

    def counted(self, chunk):
        answers = ask(self, chunk)
        ANSWERED.extend(answers)
        return answers

    ANSWERED.clear()
    monkeypatch.setattr(workers._Worker, "ask", counted)
    monkeypatch.setattr(workers, "_cores", lambda: 2)
    monkeypatch.setattr(workers, "ALONE_SECONDS", 0)
    monkeypatch.setattr(workers, "SECONDS_PER_WORKER", 1e-9)
    monkeypatch.setattr(workers, "_CHUNK_LOGS", 3)


def fill(folder, count=12):
    """Logs of several kinds, some with settings, some of several runs, one without a row."""
    for i in range(count):
        run = folder / f"run{i:02d}"
        run.mkdir(parents=True)
        rows = [(step, 2.0 / (step + i + 1)) for step in range(1, 30)]
        if i % 3 == 0:
            lines = (f'{{"step": {s}, "train": {{"loss": {x}}}, "note": "a"}}\n' for s, x in rows)
            (run / "log.jsonl").write_text("".join(lines))
            (run / "config.yaml").write_text(f"lr: {0.1 / (i + 1)}\nname: {'ab'[i % 2]}\n")
        elif i % 3 == 1:
            lines = (f"{s},{x}\n" for s, x in [*rows, rows[3]])  # a step that is logged twice
            (run / "metrics.csv").write_text("step,train_loss\n" + "".join(lines))
        else:
            lines = (f"{name},{s},{x + len(name)}\n" for name in ("a", "bb") for s, x in rows)
            (run / "runs.tsv.csv").write_text("run,step,train_loss\n" + "".join(lines))
    (folder / "empty.csv").write_text("step,train_loss\n")
    tensorboard(folder / "with events")
    return folder


def outcome(folder):
    """What reading gives, and what it notes on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = read(folder)
        except InputError as error:
            found = str(error)
    return found, [(str(w.message), getattr(w.message, "details", ())) for w in caught]


def test_the_same_as_by_one_process(tmp_path, at_once, monkeypatch):
    fill(tmp_path)
    several, their_notes = outcome(tmp_path)
    assert sum(answer.outcome is not None for answer in ANSWERED) > 8
    monkeypatch.setattr(workers, "_cores", lambda: 1)
    one, notes = outcome(tmp_path)
    assert their_notes == notes and len(notes) >= 2
    assert several.runs.equals(one.runs) and several.observations.equals(one.observations)
    assert several.observations.schema == one.observations.schema


def test_the_first_log_that_is_broken_is_named(tmp_path, at_once, monkeypatch):
    fill(tmp_path)
    (tmp_path / "run07" / "metrics.csv").write_text("step,train_loss\n1,2\n2,1\n3,1\n4,broken\n")
    (tmp_path / "run10" / "metrics.csv").write_text("step,train_loss\n1,2\n2,1\n3,1\n4,too\n")
    several = outcome(tmp_path)
    assert "run07/metrics.csv, line 5" in several[0]
    monkeypatch.setattr(workers, "_cores", lambda: 1)
    assert several == outcome(tmp_path)


def test_a_few_small_logs_are_read_here(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)  # nothing can be started
    monkeypatch.setattr(workers, "ALONE_SECONDS", 0)
    monkeypatch.setattr(workers, "SECONDS_PER_WORKER", PATIENCE)
    assert len(read(fill(tmp_path))) == 17


def test_workers_that_end_or_cannot_be_started_are_no_loss(tmp_path, at_once, monkeypatch):
    fill(tmp_path)
    monkeypatch.setattr(workers, "_BEGIN", "import sys; sys.exit(3)")
    assert len(read(tmp_path)) == 17
    monkeypatch.setattr(workers, "_BEGIN", "import os; os.read(0, 1); os.write(1, b'x' * 7)")
    assert len(read(tmp_path)) == 17
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    assert len(read(tmp_path)) == 17
    assert not ANSWERED


def test_large_logs_are_read_here(tmp_path, at_once, monkeypatch):
    monkeypatch.setattr(workers, "_MAX_WORKER_BYTES", 0)
    assert len(read(fill(tmp_path))) == 17
    assert not ANSWERED


def test_a_script_without_a_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, script, fill(tmp_path / "runs")],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.startswith("{"), done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_nothing_is_left_of_an_interrupted_reading(tmp_path, how):
    """Ctrl-C ends workers, even one that hangs; without their process they end themselves."""
    for i in range(300):
        (tmp_path / f"run{i}").mkdir()
        (tmp_path / f"run{i}" / "a.csv").write_text("step,train_loss\n1,2\n2,1\n")
    hanging = (
        "from earlycall.readers import workers\nworkers._BEGIN = 'import time; time.sleep(1e6)'\n"
    )
    reading = subprocess.Popen(
        [sys.executable, "-c", (hanging if how == signal.SIGINT else "") + PROGRAM, tmp_path],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    of_it = psutil.Process(reading.pid)
    wait_until(of_it.children)
    started = of_it.children()
    os.killpg(reading.pid, how)  # as a terminal does with Ctrl-C
    _, said = reading.communicate(timeout=PATIENCE)
    assert reading.returncode == (130 if how == signal.SIGINT else -how)
    assert not said
    wait_until(lambda: not any(map(psutil.Process.is_running, started)))
