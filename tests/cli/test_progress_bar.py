"""Progress: in a terminal only, a bar only where the work takes its time, and nothing after it."""

import os
import pty
import re
import subprocess
import sys

import pytest

from conftest import PATIENCE

PROGRAM = (
    "import sys, earlycall.cli; from earlycall.cli import output\n"
    "output.BAR_AFTER = float(sys.argv[1])\n"
    "sys.argv = ['earlycall', *sys.argv[2:]]\n"
    "earlycall.cli.main()\n"
)


@pytest.fixture
def runs(tmp_path):
    for i in range(30):
        lines = (f"{'ab'[i % 2]},{step},{3 / (step + i)}\n" for step in range(1, 9))
        (tmp_path / f"run{i}.csv").write_text("group,step,train_loss\n" + "".join(lines))
    (tmp_path / "runs.csv").write_text(
        "run,final\n" + "".join(f"run{i}.csv,{3 / (9 + i)}\n" for i in range(30))
    )
    return tmp_path


def on_a_terminal(*arguments):
    """What the command shows on stderr, which is a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"},
    ) as command:  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 1 << 16):
                shown += part
        except OSError:  # the terminal was closed
            pass
        command.communicate(timeout=PATIENCE)
    os.close(ours)
    assert command.returncode == 0
    return shown.decode()


@pytest.mark.parametrize(
    ("command", "what"),
    [(["rank"], "reading logs"), (["evaluate"], "groups × budgets"), (["replay"], "groups")],
)
def test_a_bar_with_the_time_left_and_nothing_when_done(runs, command, what):
    shown = on_a_terminal(0, *command, runs)
    bars = re.findall(rf"{what} .*━.*m *(\d+)/(\d+)", shown)
    assert bars and all(int(done) <= int(total) for done, total in bars)
    assert re.search(r"\d\d:\d\d|--:--", shown)
    last = shown[shown.rindex("━") :]
    assert "\x1b[2K" in last and "\x1b[?25h" in last  # the line is erased, the cursor back


def test_no_bar_where_the_work_is_quick(runs):
    shown = on_a_terminal(PATIENCE, "rank", runs)
    assert "reading logs" in shown and "━" not in shown


def test_nothing_in_a_pipe(runs):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "0", "rank", runs],
        capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert "reading" not in done.stderr and "━" not in done.stdout + done.stderr
