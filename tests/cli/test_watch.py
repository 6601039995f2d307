"""``--watch``: a real training is followed while it goes on, in a pipe and in a terminal."""

import fcntl
import json
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading

import polars as pl
import pytest

from conftest import PATIENCE, earlycall, wait_until
from earlycall import CurveSet, rank, read
from earlycall.ranking.on_verdict import OnVerdict

# Two linear classifiers of the handwritten digits, which log each step until they are told to stop.
TRAINING = """
import itertools, pathlib, sys, time
import numpy as np
from sklearn.datasets import load_digits
x, y = load_digits(return_X_y=True)
x, y = x / 16, np.eye(10)[y]
folder = pathlib.Path(sys.argv[1])
runs = {rate: np.zeros((64, 10)) for rate in (0.1, 1.0)}
logs = {rate: (folder / f"lr{rate}.csv").open("w") for rate in runs}
for log in logs.values():
    log.write("step,train_loss\\n")
for step in itertools.takewhile(lambda _: not (folder / ".stop").exists(), itertools.count(1)):
    for rate, w in runs.items():
        z = np.exp(x @ w)
        p = z / z.sum(axis=1, keepdims=True)
        logs[rate].write(f"{step},{-np.log((p * y).sum(axis=1)).mean()}\\n")
        logs[rate].flush()
        w -= rate * x.T @ (p - y) / len(x)
    time.sleep(0.05)
"""


@pytest.fixture
def train():
    """Starts a training that logs into a folder, and gives what ends it: the steps it took."""
    started = []

    def start(folder):
        started.append(subprocess.Popen([sys.executable, "-c", TRAINING, folder]))

        def stop():
            (folder / ".stop").touch()
            assert started[-1].wait(PATIENCE) == 0
            return len((folder / "lr1.0.csv").read_text().splitlines()) - 1

        return stop

    yield start
    for one in started:
        one.kill()
        one.wait()


def watch(command, folder, *options, **pipes):
    arguments = [command, folder, "--watch", "--every", "0.1", *options]
    return subprocess.Popen([sys.executable, "-m", "earlycall", *map(str, arguments)], **pipes)


@pytest.mark.parametrize("command", ["rank", "elasticity"])
def test_a_training_is_followed_as_json_lines_until_ctrl_c(tmp_path, train, command):
    runs, out, err = (tmp_path / name for name in ("runs", "out", "err"))
    runs.mkdir()
    with out.open("w") as stdout, err.open("w") as stderr:
        watched = watch(command, runs, "--format", "json", stdout=stdout, stderr=stderr)
    wait_until(lambda: "waiting for logs" in err.read_text())
    stop = train(runs)

    def documents():
        return [json.loads(line) for line in out.read_text().split("\n")[:-1]]

    def steps_shown():
        last = documents()[-1] if documents() else None
        if last is None or len(last["runs"]) < 2:
            return 0
        if command == "rank":
            return last["horizon"]
        return min(row["at"] or 0 for row in last["runs"])

    wait_until(lambda: len(documents()) > 3 and steps_shown() > 20)
    steps = stop()
    wait_until(lambda: steps_shown() == steps)
    (runs / "broken.csv").write_text("step,train_loss\n1,oops\n")
    wait_until(lambda: "line 2, column 'train_loss': 'oops'" in err.read_text())
    watched.send_signal(signal.SIGINT)
    assert watched.wait(PATIENCE) == 0
    assert {row["run"] for row in documents()[-1]["runs"]} == {"lr0.1.csv", "lr1.0.csv"}
    assert steps_shown() == steps
    if command == "rank":
        seen = [document["horizon"] for document in documents()]
        assert seen == sorted(seen)


def test_in_a_terminal_the_table_is_refreshed_in_place_and_left_at_the_end(tmp_path, train):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    environment = os.environ | {"TERM": "xterm-256color"}
    watched = watch("rank", tmp_path, env=environment, **ends)
    os.close(theirs)
    screen = bytearray()

    def look():
        try:
            while part := os.read(ours, 4096):
                screen.extend(part)
        except OSError:  # the terminal was closed
            pass

    looking = threading.Thread(target=look)
    looking.start()
    stop = train(tmp_path)
    wait_until(lambda: screen.count(b"2 runs by outlook") > 3)
    last = f"2 runs, {2 * stop():,} observations"
    wait_until(lambda: last.encode() in screen)
    os.killpg(watched.pid, signal.SIGINT)
    assert watched.wait(PATIENCE) == 0
    looking.join(PATIENCE)
    os.close(ours)
    text = screen.decode()
    assert "waiting for logs" in text
    assert text.count("\x1b[1A") > 20  # the cursor goes back up over the table
    left = text[text.rindex("2 runs by outlook") :]
    assert "lr1.0" in left
    assert last in left
    assert "\x1b[?25h" in left  # the cursor is shown again


def test_what_is_watched_learns_from_finished_runs(tmp_path, digits):
    out = tmp_path / "out"
    past = read(digits)
    tables = (t.with_columns(pl.col("run") + " before") for t in (past.frame(), past.runs))
    CurveSet.from_frame(*tables).write(tmp_path / "earlier")
    with out.open("w") as stdout:
        options = ("--finished", tmp_path / "earlier", "--format", "json")
        watched = watch("rank", digits, *options, stdout=stdout, stderr=subprocess.DEVNULL)
    wait_until(lambda: out.read_text().endswith("\n"))
    watched.send_signal(signal.SIGINT)
    assert watched.wait(PATIENCE) == 0
    assert json.loads(out.read_text().splitlines()[0])["learned_from"]["all"] == 16


TELLER = """
import sys, pathlib, time
told, *how = sys.argv[1:]
with pathlib.Path(told).open("a") as file:
    file.write(sys.stdin.read())
print("not for the screen")
if how == ["fails"]:
    sys.exit("no mail server")
if how == ["hangs"]:
    time.sleep(1e6)
"""


class Told:
    """Runs ranked by their last loss, and the command that is told of it."""

    def __init__(self, folder, *how):
        self.runs, self.log, script = folder / "runs", folder / "told", folder / "teller.py"
        self.runs.mkdir()
        for name in "abc":
            (self.runs / f"{name}.csv").write_text("step,train_loss\n")
        self.losses(1, a=3, b=3.5, c=4)
        self.losses(2, a=1, b=2, c=3)
        script.write_text(TELLER)
        self.command = shlex.join([sys.executable, str(script), str(self.log), *how])
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("w") as stdout, self.err.open("w") as stderr:
            options = ("--score", "last_loss", "--format", "json", "--on-verdict", self.command)
            self.watching = watch("rank", self.runs, *options, stdout=stdout, stderr=stderr)

    def losses(self, step, **losses):
        for name, loss in losses.items():
            with (self.runs / f"{name}.csv").open("a") as log:
                log.write(f"{step},{loss}\n")

    def lines(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def shown(self):
        """The last steps of the rankings that were printed."""
        return [json.loads(line)["horizon"] for line in self.out.read_text().split("\n")[:-1]]

    def end(self):
        self.watching.send_signal(signal.SIGINT)
        assert self.watching.wait(PATIENCE) == 0


def test_a_command_is_told_once_for_each_change_of_verdict(tmp_path):
    told = Told(tmp_path, "; touch", str(tmp_path / "by a shell"))
    wait_until(lambda: len(told.lines()) == 1)
    told.losses(3, a=0.9, b=1.9, c=2.9)  # nothing changes
    wait_until(lambda: told.shown()[-1] == 3)
    told.losses(4, a=0.8, b=0.1, c=2.8)
    wait_until(lambda: len(told.lines()) > 1)
    told.losses(5, c="nan")  # a run that diverged is to be stopped
    wait_until(lambda: len(told.lines()) > 2)
    told.losses(6, a=0.7, b=0.1)
    wait_until(lambda: told.shown()[-1] == 6)
    told.end()
    documents = [json.loads(line) for line in told.lines()]
    assert [(d["runs"][0]["run"], d["stop"]["all"]) for d in documents] == [
        ("a.csv", []), ("b.csv", []), ("b.csv", ["c.csv"])
    ]  # fmt: skip
    assert set(told.lines()) <= set(told.out.read_text().splitlines())
    assert not (tmp_path / "by a shell").exists()


def test_a_command_that_fails_is_named_in_a_line_and_watching_goes_on(tmp_path):
    told = Told(tmp_path, "fails")
    wait_until(lambda: "no mail server" in told.err.read_text())
    told.losses(3, a=0.9, b=0.1, c=2.9)
    wait_until(lambda: told.err.read_text().count("no mail server") == 2)
    told.end()
    said = [line for line in told.err.read_text().splitlines() if "no mail server" in line]
    assert all("failed with exit code 1: no mail server" in line for line in said)
    assert len(told.lines()) == 2


def test_a_command_that_hangs_holds_nothing_up(tmp_path):
    told = Told(tmp_path, "hangs")
    wait_until(lambda: len(told.lines()) == 1)
    told.losses(3, a=0.9, b=0.1, c=2.9)
    wait_until(lambda: told.shown()[-1] == 3)
    told.end()
    assert len(told.lines()) == 1


def test_a_command_is_ended_after_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr("earlycall.ranking.on_verdict.TIMEOUT", 0.5)
    command = OnVerdict("sleep 1000000")
    command.update(rank({"a": [3.0, 1.0], "b": [3.0, 2.0]}, score="last_loss"))

    def ended():
        command.look()
        return command.problem

    wait_until(ended)
    assert "was ended after 0.5 s" in command.problem


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--watch", "--on-verdict", "no-such-program now"), "'no-such-program' is no program"),
        (("--watch", "--on-verdict", "python 'open"), "cannot be split into words"),
        (("--watch", "--on-verdict", " "), "--on-verdict is empty"),
        (("--on-verdict", "cat"), "add --watch"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused_at_once(words, sentence, digits):
    ran = earlycall("rank", digits, *words)
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err


def test_what_cannot_be_watched(tmp_path, digits):
    ran = earlycall("rank", digits, "--watch", "--format", "csv")
    assert (ran.code, ran.out) == (2, "")
    assert "--format json" in ran.err
    ran = earlycall("rank", tmp_path / "nothing", "--watch")
    assert ran.code == 2
    assert "no such file or folder" in ran.err
