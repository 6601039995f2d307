"""The command, run as a person runs it."""

import csv
import io
import subprocess
import sys

import polars as pl
import pytest

from conftest import earlycall
from earlycall.readers.formats import delimited


def test_rank_json_is_the_contract(digits):
    ran = earlycall("rank", digits, "--budget", "10%", "--score", "last_loss", "--format", "json")
    assert ran.code == 0
    assert set(ran.json) >= {"score", "budget", "horizon", "runs"}
    assert (ran.json["score"], ran.json["budget"], ran.json["horizon"]) == ("last_loss", 0.1, 1140)
    row = ran.json["runs"][0]
    assert list(row)[:8] == ["group", "run", "rank", "score", "raw", "se", "status", "reason"]
    assert row["run"] == "cnn-16-32-bn_lr0.1.csv"
    assert row["score"] == -row["raw"]


def test_rank_csv_and_table(digits):
    ran = earlycall("rank", digits, "--budget", "0.1", "--format", "csv")
    assert next(csv.DictReader(io.StringIO(ran.out)))["rank"] == "1"
    ran = earlycall("rank", digits, "--budget", "0.1", "--top", "3", "--score", "tse")
    assert "16 runs by tse of train_loss, the first 10 % of 1140 steps" in ran.out
    assert "█" in ran.out
    assert "… and 13 more; --top 0 shows all" in ran.out


def test_fit_json_is_the_contract(digits):
    ran = earlycall("fit", digits / "linear_lr0.1.csv", "--format", "json")
    assert list(ran.json["runs"][0]) == [
        "group", "run", "n", "b1", "b2", "b3", "sse", "status", "lcga_d1", "lcga_norm",
        "lcga_d1_ema", "lcga_norm_ema", "tse", "tse_e", "tse_ema",
    ]  # fmt: skip
    assert ran.json["runs"][0]["n"] == 380
    assert "lcga_norm_ema" not in earlycall("fit", digits).out
    assert "lcga_norm_ema" in earlycall("fit", digits, "-v").out


def test_evaluate_json_is_the_contract(digits):
    ran = earlycall("evaluate", digits, "--scores", "tse,lcga_d1", "--budgets", "5%", "--format",
                    "json")  # fmt: skip
    assert set(ran.json["rows"][0]) >= {
        "set", "group", "score", "budget", "n", "excluded", "spearman", "kendall", "top1_regret",
    }  # fmt: skip
    assert len(ran.json["rows"]) == 2
    table = earlycall("evaluate", digits, "--by-group").out
    assert "digits: Spearman (top-1 regret) of 16 runs" in table
    assert "digits, all: Spearman" in table


def test_names_that_look_like_formulas_are_text_in_csv_and_come_back(tmp_path):
    names = ["=1+1", "'=1", "-2+3", "@SUM(1)", "\t=1", "+cmd|'/C calc'!A0", "＝1", "-5"]
    rows = [(name, step, (i + 2) / step) for i, name in enumerate(names) for step in range(1, 9)]
    table = pl.DataFrame(rows, schema=["run", "step", "train_loss"], orient="row")
    table.write_parquet(tmp_path / "curves.parquet")
    out = earlycall("rank", tmp_path, "--format", "csv", "--score", "last_loss").out
    read = list(csv.DictReader(io.StringIO(out)))
    first = "=+-@\t＝"
    assert not [row["run"] for row in read if row["run"][0] in first and row["run"] != "-5"]
    assert all(float(row["score"]) < 0 for row in read)
    (tmp_path / "ranked.csv").write_text(out, newline="")
    assert sorted(delimited.table(tmp_path / "ranked.csv")["run"]) == sorted(names)


def test_names_that_look_like_markup_are_text(tmp_path):
    for name in ("[red]a[bold].csv", "<script>.csv"):
        (tmp_path / name).write_text("step,loss\n1,2\n2,1\n3,0.5\n")
    out = earlycall("rank", tmp_path).out
    assert "[red]a[bold]" in out
    assert "<script>" in out


def test_names_with_control_characters_cannot_move_the_cursor(tmp_path):
    for name in ("a\nb.csv", "\x1b[2J\x1b[31mred.csv", "\u202etxt.csv"):
        (tmp_path / name).write_text("step,Train/\x1b[5mLoss,lr\n1,2,1\n2,1,1\n3,0.5,1\n")
    for command in ("rank", "fit", "elasticity"):
        ran = earlycall(command, tmp_path)
        assert ran.code == 0, ran.err
        assert "a\\nb" in ran.out
        assert r"\x1b[2J\x1b[31mred" in ran.out
        assert not {"\x1b", "\u202e"} & set(ran.out + ran.err)
    assert "\x1b" not in earlycall("rank", tmp_path / "\x1b[2Jnothing").err
    assert "a\nb.csv" in {
        row["run"] for row in earlycall("fit", tmp_path, "--format", "json").json["runs"]
    }


def good(folder, name="a.csv"):
    (folder / name).write_text(f"step,train_loss\n1,2\n2,1\n3,0.{ord(name[0])}\n")


def case_missing_file(folder):
    return ["rank", folder / "nothing.csv"], "no such file or folder"


def case_empty_file(folder):
    (folder / "a.csv").write_text("")
    return ["rank", folder / "a.csv"], "the file is empty"


def case_no_loss_column(folder):
    (folder / "a.csv").write_text("step,lr\n1,2\n2,1\n")
    return ["rank", folder / "a.csv"], "no loss column; choose one with --metric; found: lr"


def case_text_in_a_number(folder):
    (folder / "a.csv").write_text("step,train_loss\n1,2\n2,oops\n")
    return ["rank", folder], "a.csv, line 3, column 'train_loss': 'oops' is not a number"


def case_truncated_parquet(folder):
    pl.DataFrame({"step": [1], "loss": [1.0]}).write_parquet(folder / "whole.parquet")
    part = (folder / "whole.parquet").read_bytes()[:-20]
    (folder / "curves.parquet").write_bytes(part)
    return ["rank", folder], "not a whole Parquet file"


def case_binary_csv(folder):
    (folder / "a.csv").write_bytes(bytes(range(256)) * 10)
    return ["rank", folder / "a.csv"], "a binary file"


def case_no_logs(folder):
    (folder / "readme.md").write_text("# Hello\n")
    return ["rank", folder], "no logs in this folder"


def case_unknown_score(folder):
    good(folder), good(folder, "b.csv")
    return ["rank", folder, "--score", "lcga"], "unknown score 'lcga'; did you mean 'lcga_d1'?"


def case_budget_of_zero(folder):
    good(folder), good(folder, "b.csv")
    return ["rank", folder, "--budget", "0"], "budget '0' is outside (0, 1]"


def case_budget_of_too_much(folder):
    good(folder), good(folder, "b.csv")
    return ["rank", folder, "--budget", "101%"], "budget '101%' is outside (0, 1]"


def case_budget_of_words(folder):
    good(folder), good(folder, "b.csv")
    return ["rank", folder, "--budget", "ten"], "budget 'ten' is not a number; write 10% or 0.1"


def case_two_groups_of_one(folder):
    (folder / "a.csv").write_text("group,run,step,loss\nx,a,1,2\ny,b,1,2\n")
    return ["rank", folder / "a.csv"], "2 groups with one run each ('x', 'y')"


def case_one_run(folder):
    good(folder)
    return ["rank", folder], "only one run ('a.csv'); ranking compares two or more"


def case_an_axis_that_was_not_logged(folder):
    good(folder), good(folder, "b.csv")
    return ["rank", folder, "--score", "lcga_d1", "--axis", "seconds"], "no column 'seconds'"


def case_an_unknown_group(folder):
    good(folder), good(folder, "b.csv")
    return ["rank", folder, "--group", "x"], "has no group 'x'; found: all"


def case_an_unknown_option(folder):
    return ["rank", folder, "--bugdet", "3"], "No such option"


def case_an_unknown_format(folder):
    return ["rank", folder, "--format", "xml"], "'xml' is not one of"


def case_no_path(folder):
    return ["rank"], "Missing argument"


def case_no_outcomes(folder):
    good(folder), good(folder, "b.csv")
    return ["evaluate", folder], "no outcomes: name a metric by --outcome"


CASES = {name: case for name, case in list(globals().items()) if name.startswith("case_")}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, name):
    arguments, sentence = CASES[name](tmp_path)
    ran = earlycall(*arguments)
    assert ran.code == 2, ran
    assert sentence in ran.err
    assert len(ran.err.strip().splitlines()) == 1, ran.err
    assert ran.err.startswith("earlycall: ")
    assert ran.out == ""


def test_help_and_version():
    assert "Rank runs from the first part" in earlycall("rank", "--help").out
    assert earlycall("--version").out.startswith("earlycall 0.")


def test_shell_completion_offers_the_scores():
    import os

    env = {**os.environ, "_EARLYCALL_COMPLETE": "complete_bash",
           "COMP_WORDS": "earlycall rank --score lcga_n", "COMP_CWORD": "3"}  # fmt: skip
    from pathlib import Path

    done = subprocess.run(
        [Path(sys.executable).parent / "earlycall"], env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["lcga_norm", "lcga_norm_ema"]


def test_a_reader_that_stops_reading_is_no_error(digits):
    line = f"{sys.executable} -m earlycall rank {digits} --format csv | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_importing_earlycall_imports_no_heavy_library():
    code = "import earlycall, sys; print(set(sys.modules) & {'torch', 'pandas', 'plotly', 'scipy'})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
