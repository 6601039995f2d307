"""What a run is: one training, one run; what is no log is left out with a note."""

import json
import warnings

import polars as pl
import pytest
from torch.utils.tensorboard import SummaryWriter

from conftest import earlycall
from earlycall import CurveSet, InputError, read
from earlycall.errors import CurveWarning
from earlycall.readers.growing.follower import Follower

STEPS = list(range(1, 9))


def losses(seed, n=8):
    return [2.5 / (1 + seed * i / 7) + seed / 10 for i in range(n)]


def table(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_csv(path)


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def events(folder, steps=STEPS, **scalars):
    with SummaryWriter(str(folder)) as writer:
        for tag, values in scalars.items():
            for step, value in zip(steps, values, strict=True):
                writer.add_scalar(tag, value, step)


def noted(path):
    """The curves under a path, and the notes about them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        curves = read(path)
    return curves, [str(w.message) for w in caught if issubclass(w.category, CurveWarning)]


def names(curves):
    return curves.runs["run"].to_list()


def values(curves, run, metric):
    return curves.select(runs=[run]).observations[metric].drop_nulls().to_list()


def test_train_and_validation_tables_are_one_run(tmp_path):
    for k, run in enumerate("ab"):
        table(tmp_path / run / "train.csv", step=STEPS, loss=losses(k + 1), accuracy=losses(2))
        table(tmp_path / run / "val.csv", step=STEPS[3::4], loss=[2.0, 1.5], accuracy=[0.5, 0.6])
        table(tmp_path / run / "test.csv", step=[8], loss=[1.75])
    curves, notes = noted(tmp_path)
    assert names(curves) == ["a/train.csv", "b/train.csv"]
    assert values(curves, "a/train.csv", "loss") == losses(1)
    assert values(curves, "a/train.csv", "val_loss") == [2.0, 1.5]
    assert values(curves, "b/train.csv", "val_accuracy") == [0.5, 0.6]
    assert values(curves, "b/train.csv", "test_loss") == [1.75]
    assert len(notes) == 1
    assert "'a/val.csv with a/train.csv'" in notes[0]
    assert "name the files to keep them apart" in notes[0]
    assert len(read([tmp_path / "a/train.csv", tmp_path / "a/val.csv"])) == 2


def test_halves_in_a_flat_folder_and_in_folders_of_their_own(tmp_path):
    for run in ("big", "small"):
        table(tmp_path / f"{run}_train_log.csv", epoch=STEPS, loss=losses(len(run)))
        table(tmp_path / f"{run}_valid_log.csv", epoch=STEPS, loss=losses(7))
    table(tmp_path / "third/train/log.csv", epoch=STEPS, loss=losses(4))
    table(tmp_path / "third/eval/log.csv", epoch=STEPS, loss=losses(6))
    curves, _ = noted(tmp_path)
    assert names(curves) == ["big_train_log.csv", "small_train_log.csv", "third/train/log.csv"]
    assert values(curves, "third/train/log.csv", "val_loss") == losses(6)


def test_validation_by_epochs_lies_at_the_steps_that_end_them(tmp_path):
    table(tmp_path / "train.csv", iter=STEPS, epoch=[0, 0, 1, 1, 2, 2, 3, 3], loss=losses(1))
    lines(tmp_path / "val.jsonl", [{"epoch": e, "loss": 3.0 - e} for e in range(1, 5)])
    curves, _ = noted(tmp_path)
    assert len(curves) == 1
    rows = curves.observations.select("step", "val_loss").drop_nulls()
    assert rows.rows() == [(2, 2.0), (4, 1.0), (6, 0.0), (8, -1.0)]


def test_a_half_without_common_steps_is_left_out_with_a_note(tmp_path):
    for run in ("a", "b"):
        table(tmp_path / run / "train_loss.csv", loss=losses(1))
        table(tmp_path / run / "val_loss.csv", loss=losses(2, 3))
    curves, notes = noted(tmp_path)
    assert names(curves) == ["a/train_loss.csv", "b/train_loss.csv"]
    assert any("'a/val_loss.csv (of a/train_loss.csv)'" in note for note in notes)


def test_runs_that_are_called_train_and_test_are_two(tmp_path):
    for k, name in enumerate(("train", "test")):
        table(tmp_path / f"{name}.csv", step=STEPS, train_loss=losses(k + 1), val_loss=losses(4))
    assert names(noted(tmp_path)[0]) == ["test.csv", "train.csv"]


def test_a_log_and_its_twin_are_one_run(tmp_path):
    for k, run in enumerate("ab"):
        rows = [{"step": s, "loss": v} for s, v in zip(STEPS, losses(k + 1), strict=True)]
        lines(tmp_path / run / "log.json", rows)
        table(tmp_path / run / "log.csv", step=STEPS[1::2], loss=losses(k + 1)[1::2])
        table(tmp_path / f"{run}-metrics.csv", step=STEPS, train_loss=losses(k + 3))
        events(tmp_path / f"tb-{run}", loss=losses(k + 5))
        table(tmp_path / f"tb-{run}" / "metrics.csv", step=STEPS, accuracy=losses(k + 5))
    curves, _ = noted(tmp_path)
    assert names(curves) == [
        "a-metrics.csv", "a/log.json", "b-metrics.csv", "b/log.json", "tb-a", "tb-b",
    ]  # fmt: skip
    assert values(curves, "a/log.json", "loss") == losses(1)
    assert values(curves, "tb-b", "accuracy") == losses(6)


def test_logs_of_one_folder_with_other_values_are_runs(tmp_path):
    for k, name in enumerate(("a", "b", "log1", "log2", "history", "metrics")):
        table(tmp_path / f"{name}.csv", step=STEPS, loss=losses(k + 1))
    assert len(noted(tmp_path)[0]) == 6


def test_losses_that_never_move_make_no_twins(tmp_path):
    table(tmp_path / "log.csv", step=STEPS, loss=[2.5] * 8)
    table(tmp_path / "metrics.csv", step=STEPS, loss=[2.5] * 8)
    assert len(noted(tmp_path)[0]) == 2


def test_a_file_for_each_metric(tmp_path):
    for k, name in enumerate(("train_loss", "val_loss", "accuracy")):
        columns = {"Wall time": [1.0e9 + s for s in STEPS], "Step": STEPS, "Value": losses(k + 1)}
        table(tmp_path / f"{name}.csv", **columns)
    curves, _ = noted(tmp_path)
    assert names(curves) == ["train_loss.csv"]
    assert values(curves, "train_loss.csv", "val_loss") == losses(2)


def test_halves_of_tensorboard(tmp_path):
    for run in ("a", "b"):
        events(tmp_path / run / "train", loss=losses(1))
        events(tmp_path / run / "test", loss=losses(2))
    events(tmp_path / "estimator", loss=losses(3))
    events(tmp_path / "estimator/eval", steps=[4, 8], loss=[1.5, 1.25])
    with SummaryWriter(str(tmp_path / "scalars")) as writer:
        for step in STEPS:
            writer.add_scalar("lr", 0.1, step)
            writer.add_scalars("loss", {"train": 2.0 / step, "val": 3.0 / step}, step)
    curves, _ = noted(tmp_path)
    assert names(curves) == ["a/train", "b/train", "estimator", "scalars"]
    assert values(curves, "estimator", "val_loss") == [1.5, 1.25]
    assert values(curves, "scalars", "loss/val")[:2] == [3.0, 1.5]
    assert values(curves, "a/train", "test_loss") == pytest.approx(losses(2))


def test_keras_beside_its_tensorboard_folder(tmp_path):
    epochs = list(range(8))
    table(tmp_path / "training.csv", epoch=epochs, loss=losses(1), val_loss=losses(2))
    events(tmp_path / "logs/train", steps=epochs, epoch_loss=losses(1))
    events(tmp_path / "logs/validation", steps=epochs, epoch_loss=losses(2))
    assert len(noted(tmp_path)[0]) == 1


def test_halves_that_grow_are_one_run(tmp_path):
    follower = Follower(tmp_path)
    table(tmp_path / "a/train.csv", step=STEPS[:4], loss=losses(1)[:4])
    table(tmp_path / "b/train.csv", step=STEPS, loss=losses(2))
    assert names(follower.update()) == ["a/train.csv", "b/train.csv"]
    table(tmp_path / "a/val.csv", step=[4], loss=[2.0])
    curves = follower.update()
    assert names(curves) == ["a/train.csv", "b/train.csv"]
    assert follower.changed == {"a/train.csv"}
    table(tmp_path / "a/val.csv", step=[4, 8], loss=[2.0, 1.5])
    assert values(follower.update(), "a/train.csv", "val_loss") == [2.0, 1.5]
    assert follower.changed == {"a/train.csv"}


def test_a_table_of_runs_may_name_any_log_of_a_training(tmp_path):
    for k, run in enumerate("ab"):
        table(tmp_path / run / "train.csv", step=STEPS, loss=losses(k + 1))
        table(tmp_path / run / "val.csv", step=STEPS, loss=losses(k + 2))
    table(tmp_path / "runs.csv", run=["a/val.csv", "b/train.csv"], final=[0.25, 0.5])
    assert noted(tmp_path)[0].runs["final"].to_list() == [0.25, 0.5]


def test_runs_below_a_run_are_runs(tmp_path):
    for k, folder in enumerate(("live", "live/fold_1", "live/fold_2")):
        path = tmp_path / folder / "plots/metrics/train/loss.tsv"
        path.parent.mkdir(parents=True)
        pl.DataFrame({"step": STEPS, "loss": losses(k + 1)}).write_csv(path, separator="\t")
        (tmp_path / folder / "metrics.json").write_text('{"step": 0}')
    for k, folder in enumerate(("out", "out/sub")):
        history = [{"step": s, "loss": v} for s, v in zip(STEPS, losses(k + 4), strict=True)]
        for home in (folder, f"{folder}/checkpoint-8"):
            (tmp_path / home).mkdir(parents=True, exist_ok=True)
            document = json.dumps({"log_history": history})
            (tmp_path / home / "trainer_state.json").write_text(document)
        events(tmp_path / folder / "runs/Nov01", loss=losses(k + 4))
    for k, folder in enumerate(("trial", "trial/inner/trial_2")):
        reports = zip(STEPS, losses(k + 6), strict=True)
        rows = [{"training_iteration": s, "loss": v} for s, v in reports]
        lines(tmp_path / folder / "result.json", rows)
        (tmp_path / folder / "params.json").write_text('{"lr": 0.1}')
    curves, _ = noted(tmp_path)
    assert names(curves) == [
        "live", "live/fold_1", "live/fold_2", "out", "out/sub", "trial", "trial/inner/trial_2",
    ]  # fmt: skip


def test_a_curve_set_below_a_folder_keeps_its_outcomes(tmp_path):
    for k, name in enumerate(("x", "y")):
        frame = CurveSet.from_losses({"a": losses(k + 1), "b": losses(k + 3)}).frame()
        runs = pl.DataFrame({"run": ["a", "b"], "final": [0.5 + k, 0.25]})
        CurveSet.from_frame(frame, runs).write(tmp_path / name)
    curves, _ = noted(tmp_path)
    assert curves.runs.select("run", "final").rows() == [
        ("x/a", 0.5), ("x/b", 0.25), ("y/a", 1.5), ("y/b", 0.25),
    ]  # fmt: skip


FOREIGN = {
    "models.csv": 'model,params,top1\nsmall,86,70\nhuge,"1,014.4",71\n',
    "sizes.csv": "model,steps,val_loss\nsmall,100,2.5\nbase,200,2.25\n",
    "seeds.csv": "seed,test_acc\n0,0.91\n1,0.92\n",
    "curve.csv": "threshold,precision,recall\n0.1,0.5,0.9\n0.2,0.6,0.8\n",
    "gpu.csv": "timestamp,utilisation\n2026-01-01 00:00:00,10\n2026-01-01 00:00:01,20\n",
    "data.jsonl": '{"prompt": "a", "reward": 1.0}\n{"prompt": "b", "reward": 0.5}\n',
    "0.monitor.csv": '#{"t_start": 1.0, "env_id": "T"}\nr,l,t\n5.0,5,0.1\n',
    "ragged.csv": "name,what\na,b,c\n",
}


def test_what_is_no_log_is_left_out_with_one_note(tmp_path):
    for k, run in enumerate("ab"):
        table(tmp_path / run / "log.csv", step=STEPS, loss=losses(k + 1))
    for name, text in FOREIGN.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "requirements.txt").write_text("numpy\npolars\n")
    ran = earlycall("rank", tmp_path, "--format", "json")
    assert ran.code == 0
    assert [run["run"] for run in ran.json["runs"]] == ["b/log.csv", "a/log.csv"]
    (note,) = [line for line in ran.err.splitlines() if "left out" in line]
    assert f"{len(FOREIGN)} files are no logs" in note
    assert "'0.monitor.csv'" in note
    verbose = earlycall("rank", tmp_path, "-v", "--format", "json").err
    assert all(f"\n      {name}" in verbose for name in FOREIGN)
    assert "requirements" not in verbose


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_without_a_log_says_what_it_has(tmp_path, name):
    (tmp_path / name).write_text(FOREIGN[name])
    if name == "0.monitor.csv":  # alone, it is one
        table(tmp_path / "plots/sizes.csv", model=["a", "b"], size=[1, 2])
    with pytest.raises(InputError, match="only tables and documents that are none") as raised:
        read(tmp_path)
    assert name in str(raised.value)


@pytest.mark.parametrize("name", ["models.csv", "ragged.csv"])
def test_a_file_that_was_named_and_cannot_be_read_is_an_error(tmp_path, name):
    table(tmp_path / "log.csv", step=STEPS, loss=losses(1))
    (tmp_path / name).write_text(FOREIGN[name])
    ran = earlycall("rank", tmp_path / "log.csv", tmp_path / name)
    assert ran.code == 2
    assert name in ran.err


def test_a_broken_log_in_a_folder_is_an_error(tmp_path):
    table(tmp_path / "a.csv", step=STEPS, loss=losses(1))
    (tmp_path / "b.csv").write_text("step,loss\n1,2.5\n2,high\n3,1.5\n")
    with pytest.raises(InputError, match=r"b.csv, line 3, column 'loss': 'high'"):
        read(tmp_path)


def test_an_index_as_pandas_writes_it(tmp_path):
    frame = pl.DataFrame({"": STEPS, "epoch": STEPS, "loss": losses(1)})
    frame.write_csv(tmp_path / "history.csv")
    curves, _ = noted(tmp_path)
    assert (curves.metrics, values(curves, "history.csv", "loss")) == (["loss"], losses(1))


def test_copies_are_named(tmp_path):
    for run in ("a", "b", "c"):
        table(tmp_path / run / "log.csv", step=STEPS, loss=losses(1 + (run == "c")))
    _, notes = noted(tmp_path)
    assert [note for note in notes if "more than once" in note] == [
        "1 curve is there more than once, number for number: 'a/log.csv = b/log.csv'"
    ]
    _, notes = noted([tmp_path / "a", tmp_path / "b"])
    assert any("'a/log.csv = b/log.csv'" in note for note in notes)


def test_texts_in_which_a_pattern_finds_nothing_are_no_logs(tmp_path):
    for k in (1, 2):
        text = "".join(f"step {s} loss {v}\n" for s, v in zip(STEPS, losses(k), strict=True))
        (tmp_path / f"{k}.log").write_text(text)
    (tmp_path / "notes.txt").write_text("nothing\nhere\n")
    pattern = r"step (?P<step>\d+) loss (?P<loss>\S+)"
    with pytest.warns(CurveWarning, match=r"1 file is no log and was left out: 'notes.txt'"):
        assert names(read(tmp_path, pattern=pattern)) == ["1.log", "2.log"]
    with pytest.raises(InputError, match="no line matches the pattern"):
        read([tmp_path / "1.log", tmp_path / "notes.txt"], pattern=pattern)
    with pytest.raises(InputError, match="no line matches the pattern"):
        read(tmp_path, pattern="(?P<loss>zzz)")


def test_the_note_stands_once(tmp_path):
    table(tmp_path / "a.csv", step=STEPS, loss=losses(1))
    table(tmp_path / "sizes.csv", model=["a", "b"], size=[1, 2])
    assert earlycall("convert", tmp_path, "-o", tmp_path / "set").err.count("'sizes.csv'") == 1
