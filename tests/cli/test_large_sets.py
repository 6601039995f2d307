"""The command prints of a large curve set, group by group, what it prints of a small one."""

import json

import polars as pl
import pytest

from earlycall.cli import app
from earlycall.readers import scan


@pytest.fixture
def folder(tmp_path):
    for group in "abc":
        rows = [
            {"run": f"run {i}", "step": step, "train_loss": 1 + (i + 1) / (step + ord(group))}
            for i in range(9) for step in range(1, 41)
        ]  # fmt: skip
        part = tmp_path / "set/curves.parquet" / f"group={group}"
        part.mkdir(parents=True)
        pl.DataFrame(rows).write_parquet(part / "0.parquet")
    return tmp_path / "set"


@pytest.fixture
def printed(capsys, monkeypatch, folder):
    def printed(large, *options):
        monkeypatch.setattr(scan, "LARGE", large)
        monkeypatch.setattr(scan, "PART_VALUES", 100)
        app(["rank", str(folder), "--budget", "20%", *options], standalone_mode=False)
        return capsys.readouterr()

    return printed


@pytest.mark.parametrize("options", [("--format", "csv"), ("--top", "3"), ("--format", "json")])
def test_a_large_set_is_shown_as_a_small_one(printed, options):
    whole = printed(10**9, *options)
    read = []
    original = scan.Survey.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan.Survey, "read", lambda *a: read.append(1) or original(*a))
        parts = printed(0, *options)
    assert len(read) == 3
    assert parts.out == whole.out
    assert parts.err == whole.err


def test_only_one_group_is_read_where_one_is_named(printed):
    assert printed(0, "--group", "b").out == printed(10**9, "--group", "b").out


def test_json_of_many_rows_is_one_document(printed, monkeypatch):
    monkeypatch.setattr("earlycall.cli.output.ROWS_AT_ONCE", 5)
    assert len(json.loads(printed(0, "--format", "json").out)["runs"]) == 27
