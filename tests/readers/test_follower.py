"""Logs that appear, grow, break, are replaced and vanish."""

import json
import random
import warnings
from pathlib import Path

import pytest
import writers
from polars.testing import assert_frame_equal

from earlycall import CurveSet, Follower, InputError, read
from earlycall.readers.base import growing
from earlycall.readers.growing import log

HEAD = "step,train_loss\n"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """On a busy machine, too, a log is read again whenever it has changed."""
    monkeypatch.setattr(log, "MAX_FREE_SECONDS", float("inf"))


def test_a_folder_that_is_empty_at_first_then_grows_breaks_and_recovers(tmp_path):
    follower = Follower(tmp_path)
    assert len(follower.update()) == 0
    assert not follower.broken
    log = tmp_path / "a.csv"
    log.write_text(HEAD + "1,2.5\n2,1.5\n")
    first = follower.update()
    assert first.curve("a.csv").loss.tolist() == [2.5, 1.5]
    assert follower.changed == {"a.csv"}
    assert follower.update() is first
    assert not follower.changed
    (tmp_path / "b.csv").write_text(HEAD + "1,3\n")
    with log.open("a") as file:
        file.write("3,oops\n")
    broken = follower.update()
    assert follower.changed == {"b.csv"}
    assert "line 4" in follower.broken[log]
    assert broken.curve("a.csv").loss.tolist() == [2.5, 1.5]  # what was read stands
    log.write_text(HEAD + "1,2.5\n2,1.5\n3,1\n")
    assert follower.update().curve("a.csv").loss.tolist() == [2.5, 1.5, 1.0]
    assert not follower.broken
    log.unlink()
    assert follower.update().runs["run"].to_list() == ["b.csv"]
    assert follower.changed == {"a.csv"}


def test_a_log_that_begins_anew_is_read_anew(tmp_path):
    log = tmp_path / "a.csv"
    log.write_text(HEAD + "1,2.5\n2,1.5\n")
    follower = Follower(log)
    follower.update()
    log.write_text(HEAD + "1,9\n")
    assert follower.update().curve("a.csv").loss.tolist() == [9.0]


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        Follower(tmp_path / "nothing")


def grow(finished: Path, growing_folder: Path, seed: int, parts: int):
    """Copy files piece by piece, cut anywhere, in the order of chance; a step a piece."""
    rng = random.Random(seed)
    left = []
    for path in sorted(finished.rglob("*")):
        target = growing_folder / path.relative_to(finished)
        if path.is_symlink():
            continue  # no reader follows it, either
        if path.is_dir():
            target.mkdir(exist_ok=True)
        elif path.is_file():
            content = path.read_bytes()
            cuts = sorted(rng.randrange(len(content) + 1) for _ in range(parts))
            pieces = zip([0, *cuts], [*cuts, len(content)], strict=True)
            left.append((target, [content[a:b] for a, b in pieces]))
    while left:
        target, pieces = rng.choice(left)
        with target.open("ab") as file:
            file.write(pieces.pop(0))
        if not pieces:
            left.remove((target, pieces))
        yield


def assert_same(found: CurveSet, wanted: CurveSet) -> None:
    assert_frame_equal(found.runs, wanted.runs, check_column_order=False)
    assert_frame_equal(found.observations, wanted.observations, check_column_order=False)
    assert found.name == wanted.name


@pytest.mark.parametrize("tool", writers.WRITERS)
def test_a_log_that_grows_piece_by_piece_ends_as_if_read_at_once(tmp_path, written, tool):
    finished = written(tool)
    for seed in range(3):
        folder = tmp_path / str(seed) / finished.name
        folder.mkdir(parents=True)
        follower = Follower(folder)
        for _ in grow(finished, folder, seed, parts=12):
            follower.update()
        curves = follower.update()
        assert not follower.broken
        assert_same(curves, read(finished))
        assert follower.update() is curves


def rows_of_chance(rng: random.Random):
    """Rows as logs have them: restarts, several rows a step, new metrics, epochs of any kind."""
    step, epoch, rows = 0, 0.0, []
    fractional, epochs = rng.random() < 0.3, rng.random() < 0.6
    for _ in range(rng.randrange(5, 120)):
        step += rng.choice([0, 1, 1, 1, 1, 3])
        epoch += rng.choice([0, 0, 0.5 if fractional else 1])
        if rng.random() < 0.03:
            step = max(step - 5, 0)
        row = {"step": step}
        if epochs and rng.random() < 0.9:
            row["epoch"] = epoch if fractional else int(epoch)
        for name, chance in (("train/loss", 0.9), ("val_loss", 0.1), ("n", 0.3)):
            if rng.random() < chance:
                row[name] = rng.choice([rng.random(), 2.0, float("nan"), rng.randrange(9)])
        if rng.random() < 0.02:
            row["late"] = rng.choice(["text", "1.5", True])
        rows.append(row)
    return rows


@pytest.mark.parametrize("seed", range(40))
def test_logs_of_chance_end_as_if_read_at_once(tmp_path, seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(growing, "BLOCK_BYTES", rng.choice([512, 1 << 24]))
    finished, folder = tmp_path / "a" / "runs", tmp_path / "b" / "runs"
    finished.mkdir(parents=True)
    folder.mkdir(parents=True)
    for i in range(2):
        rows = rows_of_chance(rng)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (finished / f"{i}.jsonl").write_text(lines)
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[str(row.get(name, "")) for name in names] for row in rows]
        table = "\n".join(map(",".join, [names, *cells])) + "\n"
        (finished / f"{i}.csv").write_text(table)
    follower = Follower([folder])
    for _ in grow(finished, folder, seed, parts=6):
        follower.update()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wanted = read(finished)
        except InputError as error:
            follower.update()
            assert str(error).replace(str(finished), str(folder)) in follower.broken.values()
            return
    assert_same(follower.update(), wanted)


def test_only_what_is_new_is_read(tmp_path):
    """A long log is read on, not again: what stands before may even be unreadable by then."""
    log = tmp_path / "a.jsonl"
    line = '{{"step": {}, "loss": 1.5}}\n'
    log.write_text("".join(line.format(i) for i in range(5000)))
    follower = Follower([log])
    follower.update()
    with log.open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff" * 100)
    with log.open("a") as file:
        file.write(line.format(5000))
    assert follower.update().observations.height == 5001
    assert not follower.broken


def test_several_paths_with_runs_of_one_name(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text(HEAD + "1,2.5\n")
    (tmp_path / "y" / "runs.csv").write_text("run,final\na.csv,0.5\n")
    follower = Follower([tmp_path / "x", tmp_path / "y"])
    follower.update()
    with (tmp_path / "y" / "a.csv").open("a") as file:
        file.write("2,1.5\n")
    assert_same(follower.update(), read([tmp_path / "x", tmp_path / "y"]))
    assert follower.changed == {"y/a.csv"}


def test_a_restart_of_tensorboard_and_a_second_file(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    follower = Follower(tmp_path)
    for begin, end in ((0, 30), (20, 40), (40, 60)):
        with SummaryWriter(tmp_path / "run", filename_suffix=f".{begin}") as writer:
            for step in range(begin, end):
                writer.add_scalar("loss", 1 / (1 + step), step)
                writer.add_scalar("epoch/val_loss", 1.0, step // 10)
                if step % 7 == 0:
                    writer.flush()
                    assert_same(follower.update(), read(tmp_path))
    assert_same(follower.update(), read(tmp_path))
    loss = follower.update().observations.drop_nulls("loss")
    assert loss["step"].to_list() == list(range(60))


@pytest.mark.parametrize("tool", ["wandb", "ray_tune", "optuna_journal", "several"])
def test_what_stands_before_is_not_read_again(tmp_path, written, tool):
    """What was read may be unreadable by the time that more is appended."""
    if tool == "several":
        folder = tmp_path
        rows = [f'{{"run": "{run}", "step": {i}, "loss": 1.5}}\n' for run in "ab" for i in range(9)]
        (folder / "a.jsonl").write_text("".join(rows))
    else:
        folder = written.copy(tool, tmp_path)
    names = {"wandb": "*/*/*.wandb", "ray_tune": "*/*/result.json", "optuna_journal": "journal.log"}
    log = next(folder.glob(names.get(tool, "a.jsonl")))
    whole, wanted = log.read_bytes(), read(folder)
    log.write_bytes(whole[: len(whole) * 3 // 4])
    follower = Follower(folder)
    before = follower.update().observations.height
    assert 0 < before < wanted.observations.height
    with log.open("r+b") as file:
        file.seek(len(whole) // 3)
        file.write(b"\xff" * 100)
    with log.open("ab") as file:
        file.write(whole[len(whole) * 3 // 4 :])
    assert_same(follower.update(), wanted)
    assert not follower.broken
