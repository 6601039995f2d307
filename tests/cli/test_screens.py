"""What a terminal shows: nothing is wider than it, a run is one line, and no number is cut."""

import io
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from itertools import takewhile

import polars as pl
import pytest

from conftest import DIGITS
from earlycall.cli import main
from earlycall.formatting import short_names

STUDY = DIGITS.parent / "study" / "digits"
LONG = "outputs-2026/a-very-long-experiment-name-that-all-of-them-share"


def shown(*words, columns=80, **environment):
    """What a command prints at a width; fails on an error."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["earlycall", *map(str, words)])
        patch.setattr("earlycall.cli.output.verbose", False)
        patch.setattr("warnings.showwarning", warnings.showwarning)
        for name, value in ({"COLUMNS": str(columns)} | environment).items():
            patch.setenv(name, value)
        with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0, errors.getvalue()
    return output.getvalue()


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Finished runs of long names: four in each of three groups, one diverged, and one alone."""
    folder = tmp_path_factory.mktemp("sweep")
    names = [(g, f"{LONG}-lr{lr}-seed{s}") for g in "abc" for lr in (0.1, 0.01) for s in (0, 1)]
    rows, runs = [], []
    for i, (group, run) in enumerate([*names, ("alone", LONG)]):
        rate = 1 + i % 4
        for step in range(1, 31):
            loss = 1 + 12345.678 / (step * rate) + 0.01 * ((7 * step + i) % 5)
            bad = i == 1 and step > 20
            rows.append({"group": group, "run": run, "step": step,
                         "train_loss": float("nan") if bad else loss,
                         "val_loss": loss + 0.5, "seconds": 2.0 * step,
                         "joules": 250.0 * step * rate})  # fmt: skip
        lr, _, seed = run.partition("-lr")[2].partition("-seed")
        runs.append({"group": group, "run": run, "hp.lr": float(lr or 1), "hp.seed": seed,
                     "step_hint": 30})  # fmt: skip
    pl.DataFrame(rows).write_parquet(folder / "curves.parquet")
    pl.DataFrame(runs).write_parquet(folder / "runs.parquet")
    return folder


COMMANDS = [
    ("rank",), ("rank", "--budget", "30%"), ("rank", "--score", "tse"),
    ("rank", "--over", "hp.seed"), ("fit",), ("elasticity",),
    ("energy", "--price", "0.3", "--carbon", "380"),
    ("evaluate", "--outcome", "val_loss:best", "--by-group", "--scores", "tse,last_loss"),
    ("replay", "--by-group"),
]  # fmt: skip


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_nothing_is_wider_than_the_terminal(words, columns, sweep):
    command, *options = words
    for details in ((), ("-v",)):
        lines = shown(command, sweep, *options, *details, columns=columns).splitlines()
        assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("words", [("rank", "--budget", "30%"), ("fit",), ("elasticity",)])
def test_a_run_is_one_line_of_whole_numbers_after_a_verdict(words, sweep):
    command, *options = words
    narrow = shown(command, sweep, *options).splitlines()
    assert not narrow[0].startswith("run ")
    wide = shown(command, sweep, *options, columns=400).splitlines()
    heads = [i for i, line in enumerate(narrow) if line.startswith(("run ", "rank "))]
    rows = [line.split() for i in heads for line in takewhile(bool, narrow[i + 1 :])]
    assert len(rows) == 13
    cells = {cell for line in wide for cell in line.split()}
    numbers = [c for row in rows for c in row if c.replace(".", "").replace(",", "").isdigit()]
    assert len(numbers) >= 12
    assert set(numbers) <= cells


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    model = tmp_path_factory.mktemp("nas") / "model"
    shown("nas", "fit", STUDY, "-o", model)
    return model


@pytest.mark.parametrize("command", ["nas rank", "nas explain", "nas search", "study report"])
def test_nothing_of_architectures_is_wider_than_the_terminal(command, predictor):
    model = () if command.startswith("study") else ("--model", predictor)
    few = {"nas search": ("--trials", "5"), "study report": ("--epochs", "1,3")}
    for details in ((), ("-v",)) if command != "nas search" else ((),):
        screen = shown(*command.split(), STUDY, *model, *few.get(command, ()), *details, columns=60)
        lines = screen.splitlines()
        assert max(map(len, lines)) <= 60
        folded = [line for line in lines if line.startswith("        ")]
        assert details or not folded
        if command == "nas rank":
            assert lines[0].startswith("Learnt from 60 runs")


def test_runs_counted_from_0_that_have_ended_are_not_to_be_ended(tmp_path):
    for run in range(12):
        lines = [f"{step},{2 / (1 + 0.3 * step) + 0.05 * run * (step > 1)}\n" for step in range(40)]
        (tmp_path / f"r{run:02d}.csv").write_text("step,train_loss\n" + "".join(lines))
    said = " ".join(shown("rank", tmp_path, "--horizon", "40", "--budget", "20%").split())
    assert "stop the other" in said
    assert "To do it" not in said


def test_a_verdict_says_how_to_stop_what_is_still_going_on(tmp_path):
    x = range(1, 60)
    for name, scale in (("a", 1.0), ("b", 2.0), ("c", float("nan"))):
        lines = [f"{step},{scale * (1 + 4 / step)}\n" for step in x]
        (tmp_path / f"{name}.csv").write_text("step,train_loss\n" + "".join(lines))
    how = 'To do it: end their jobs, which --format json lists under "stop".'

    def said(*options):
        return " ".join(shown("rank", tmp_path, *options).split())

    assert how in said()
    assert how in said("--horizon", "100")
    assert how not in said("--horizon", "59")  # they have ended
    (tmp_path / "c.csv").unlink()
    assert how not in said("--score", "last_loss")  # there is none to stop


def test_each_advice_has_a_reason(sweep):
    lines = shown("elasticity", sweep, "--group", "a", columns=120).splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("run "))
    at = lines[head].index("because")
    assert len(lines[head + 1 :]) == 4
    assert all(line[at:].strip() for line in lines[head + 1 :])


def test_names_that_differ_stay_different():
    names = [f"{LONG}-lr{lr}-seed{s}" for lr in (0.1, 0.01) for s in range(12)]
    for most in (5, 9, 16, 30):
        found = short_names(names, most)
        assert len(set(found)) == len(names)
        assert max(map(len, found)) <= most
    assert all("lr0.01-seed3" in n for n in short_names(names, 20)[15:16])


def test_a_diverged_run_is_said_to_be(sweep):
    assert "train_loss is nan" in shown("rank", sweep)
    assert "diverged" in shown("elasticity", sweep, "--metric", "train_loss", "-v")
    assert "stop        " in shown("elasticity", sweep, "--metric", "train_loss")


def test_one_run(tmp_path):
    (tmp_path / "a.csv").write_text(
        "step,train_loss\n" + "".join(f"{i},{1 + 4 / i}\n" for i in range(1, 60))
    )
    assert shown("elasticity", tmp_path).startswith("Stop: 1 % more cost brings")
    assert shown("fit", tmp_path).startswith("1 curve fitted: 1 c=0.")
    replayed = shown("replay", tmp_path)
    assert " yes " in replayed
    assert "0%" not in replayed


def test_several_groups_are_counted(sweep):
    assert " of 4" in shown("replay", sweep)


def test_a_pipe_is_plain_and_as_wide_as_it_needs_to_be(sweep):
    out = shown("rank", sweep, columns="")
    assert "\x1b" not in out
    assert f"{LONG}-lr0.01-seed1 " in out
    coloured = shown("rank", sweep, FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[1;32m" in coloured
    plain = shown("rank", sweep, FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")
    assert "32m" not in plain


def test_the_chance_to_be_among_the_best_comes_first_and_equal_errors_not_at_all(sweep):
    head = next(ln for ln in shown("rank", sweep, "-v").splitlines() if ln.startswith("rank "))
    assert head.split()[:3] == ["rank", "run", "P(best"]
    assert "±" not in shown("rank", sweep, "--group", "b", "-v")
