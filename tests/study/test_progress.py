"""What a person sees of a study: bars in a terminal, a line per run elsewhere, the time left."""

import io
from dataclasses import replace

from rich.console import Console

from conftest import wait_until
from earlycall.study.folder import State
from earlycall.study.plan import Plan
from earlycall.study.progress import StudyProgress, TimeLeft

RUNS = Plan.of({
    "data": "digits", "epochs": 10, "settings": {"s": {}, "t": {}},
    "architectures": {"fast": "thin/mlp", "slow": "thin/cnn"},
}).runs()  # fmt: skip
STATES = [State(run, "waiting") for run in RUNS]  # fast-s, slow-s, fast-t, slow-t
RESULT = {"diverged": False, "stopped": None, "test_accuracy": 0.5, "seconds": 20.0}


def test_the_time_left_counts_each_architecture_by_its_own_speed():
    left = TimeLeft(STATES)
    assert left.seconds is None
    left.epoch("fast-s-s0", 1, 10, 1.0)
    left.epoch("slow-s-s0", 1, 10, 9.0)
    assert left.seconds == (9 * 1 + 9 * 9 + 10 * 1 + 10 * 9) / 2
    left.epoch("slow-s-s0", 1, 10, 9.0)  # the same again, after a failure
    assert left.seconds == (9 * 1 + 9 * 9 + 10 * 1 + 10 * 9) / 2
    for run in ("fast-s-s0", "slow-s-s0", "fast-t-s0"):
        left.done(run)
    assert left.seconds == 10 * 9


def test_a_resumed_study_knows_its_speed_from_before():
    done = replace(STATES[1], status="finished", epochs=10, seconds=50.0, result=RESULT)
    assert TimeLeft([done, STATES[3]]).seconds == 50.0


def shown(*, terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with StudyProgress(console) as progress:
        progress.begin(STATES)
        done = {"epoch": 3, "epochs": 10, "val_accuracy": 0.25, "seconds": 6.0}
        progress.epoch("slow-s-s0", done)
        if terminal:  # bars are drawn some times a second
            wait_until(lambda: "epoch 3/10" in console.file.getvalue())
        progress.failed("slow-s-s0", "its process or node died", again=True)
        progress.done("slow-s-s0", RESULT | {"stopped": "gain:0.1"})
    return console.file.getvalue()


def test_without_a_terminal_each_run_is_a_line():
    lines = shown(terminal=False).splitlines()
    assert lines == [
        "4 runs: 0 done, 4 to begin",
        "slow-s-s0 failed: its process or node died; tried again from its last checkpoint",
        "1/4 slow-s-s0: test accuracy 0.5000, stopped (gain:0.1), 20 s, about 1 min 0 s left",
    ]


def test_in_a_terminal_there_are_bars():
    text = shown(terminal=True)
    assert "epoch 3/10, accuracy 0.250" in text
    assert "━" in text
    assert "1/4 runs, about 1 min 0 s left" in text
