"""The same curve through every tracker that people use, each log written by the real tool."""

import json

import polars as pl
import pytest
import writers

import earlycall as ec
from conftest import earlycall
from earlycall import CurveSet, read

TOOLS = list(writers.WRITERS)
WITHOUT_VALIDATION = {"wandb_export", "optuna_sqlite", "optuna_journal"}
WITH_SECONDS = {
    "tensorboard", "tensorboard_tensors", "mlflow_sqlite", "mlflow_files", "wandb", "trackio",
    "ultralytics", "dvclive", "ray_tune",
}  # fmt: skip
SETTINGS = {
    "mlflow_sqlite", "mlflow_files", "wandb", "trackio", "lightning_csv", "dvclive",
    "optuna_sqlite", "optuna_journal", "ray_tune",
}  # fmt: skip


def lcga(curves: CurveSet) -> list[tuple[float, ...]]:
    """All forms of LCGA, TSE and the fit of each run's first ten epochs."""
    names = ("lcga_d1", "lcga_norm", "lcga_d1_ema", "lcga_norm_ema", "tse", "tse_ema")
    tables = [ec.rank(curves, score=name, epochs=10).table.sort("group", "run") for name in names]
    return list(zip(*(table["raw"].to_list() for table in tables), strict=True))


@pytest.fixture(scope="module")
def truth() -> tuple[float, ...]:
    """LCGA of the curve itself."""
    return lcga(CurveSet.from_losses({"a": writers.LOSSES, "b": writers.LOSSES}))[0]


@pytest.mark.parametrize("tool", TOOLS)
def test_the_curve_is_read_as_the_tool_wrote_it(written, tool):
    curves = read(written(tool))
    assert len(curves) == 1
    metric = curves.metric()
    observed = curves.observations.drop_nulls(metric)
    assert observed[metric].to_list() == writers.LOSSES
    if tool not in WITHOUT_VALIDATION:
        assert observed["val_loss"].to_list() == writers.VAL_LOSSES
    seconds = observed["seconds"].to_list() if "seconds" in observed.columns else []
    assert bool(seconds) == (tool in WITH_SECONDS)
    assert seconds == sorted(seconds) and all(0 <= s < 60 for s in seconds)
    known = curves.runs.row(0, named=True)
    if tool in SETTINGS:
        assert (known["hp.lr"], known["hp.optimizer"]) == (0.1, "sgd")


@pytest.mark.parametrize("tool", TOOLS)
def test_the_same_curve_gives_the_same_lcga(written, tool, truth, tmp_path):
    one, two = read(written(tool)), read(written.copy(tool, tmp_path))
    both = CurveSet.concat(
        [CurveSet(s.observations, s.runs, n) for s, n in ((one, "a"), (two, "b"))]
    )
    for values in lcga(both):
        assert values == pytest.approx(truth, rel=1e-6)


def test_a_folder_with_a_run_of_each_kind_is_ranked_in_one_call(written, truth, tmp_path):
    for tool in TOOLS:
        written.copy(tool, tmp_path)
    # A run that is better than the rest, so that there is something to tell apart.
    better = ["step,train_loss", *(f"{i},{v - 0.2 * i / 12}" for i, v in enumerate(writers.LOSSES))]
    (tmp_path / "better.csv").write_text("\n".join(better) + "\n")
    ran = earlycall("rank", tmp_path, "--score", "lcga_d1", "--epochs", "10", "--format", "json")
    assert ran.code == 0, ran.err
    runs = {row["run"]: row for row in ran.json["runs"]}
    assert {name.split("/")[0] for name in runs} == {*TOOLS, "better.csv"}
    assert len(runs) == len(TOOLS) + 1
    assert (runs["better.csv"]["rank"], runs["better.csv"]["status"]) == (1, "ok")
    others = [row for name, row in runs.items() if name != "better.csv"]
    assert {row["rank"] for row in others} == {2}
    assert [row["raw"] for row in others] == pytest.approx([truth[0]] * len(TOOLS), rel=1e-6)


def test_convert_keeps_everything(written, tmp_path):
    for tool in TOOLS:
        written.copy(tool, tmp_path / "logs")
    ran = earlycall("convert", tmp_path / "logs", "-o", tmp_path / "set")
    assert (ran.code, ran.out) == (0, "")
    assert f"{len(TOOLS)} runs" in ran.err
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == [
        "curves.parquet",
        "runs.parquet",
    ]
    logs, again = read(tmp_path / "logs"), read(tmp_path / "set")
    assert again.observations.equals(logs.observations)
    assert again.observations.schema == logs.observations.schema
    assert again.runs.equals(logs.runs)
    ran = earlycall("convert", tmp_path / "set", "-o", tmp_path / "twice")
    assert read(tmp_path / "twice").frame().equals(logs.frame())


def test_convert_tells_the_units_and_loses_nothing_that_is_there(written, tmp_path):
    target = tmp_path / "set"
    assert earlycall("convert", written("wandb"), "-o", target).code == 0
    units = json.loads(pl.read_parquet_metadata(target / "curves.parquet")["units"])
    assert units["seconds"] == "s"
    before = (target / "curves.parquet").read_bytes()
    ran = earlycall("convert", written("csv"), "-o", target)
    assert ran.code == 2
    assert f"{target} is not empty" in ran.err
    assert (target / "curves.parquet").read_bytes() == before
    assert earlycall("convert", written("csv"), "-o", target, "--overwrite").code == 0
    assert read(target).runs["run"].to_list() == ["log.csv"]
    logs = written.copy("csv", tmp_path)
    ran = earlycall("convert", logs, "-o", logs, "--overwrite")
    assert (ran.code, "would hide its logs" in ran.err) == (2, True)
    ran = earlycall("convert", logs, "-o", logs / "log.csv")
    assert (ran.code, "is a file" in ran.err) == (2, True)


def test_plain_text_by_a_pattern_is_converted_ranked_and_judged(tmp_path, truth):
    pattern = r"epoch (?P<epoch>\d+): loss=(?P<loss>\S+) val=(?P<val_loss>\S+)"
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("a.log", "b.log"):
        rows = enumerate(zip(writers.LOSSES, writers.VAL_LOSSES, strict=True))
        lines = [f"[INFO] epoch {i}: loss={a} val={b}" for i, (a, b) in rows]
        (logs / name).write_text("\n".join(["starting up", *lines, "bye"]) + "\n")
    ran = earlycall("fit", logs, "--pattern", pattern, "--format", "json")
    for row in ran.json["runs"]:
        assert row["lcga_d1"] == pytest.approx(truth[0], rel=1e-6)
    for command in ("rank", "elasticity", "replay"):
        ran = earlycall(command, logs, "--pattern", pattern, "--format", "json")
        assert ran.code == 0, ran.err
    assert earlycall("convert", logs, "--pattern", pattern, "-o", tmp_path / "set").code == 0
    assert read(tmp_path / "set").metrics == ["train_loss", "val_loss"]


@pytest.mark.parametrize("read_all", [read, lambda paths: ec.Follower(paths).update()])
def test_runs_of_two_trackers_stand_in_one_ranking_also_when_each_folder_is_named(
    written, read_all
):
    curves = read_all([written("wandb"), written("tensorboard")])
    ranked = ec.rank(curves)
    assert ranked.metric == "train_loss"
    assert ranked.table["status"].to_list() == ["ok", "ok"]
    assert set(curves.observations.drop_nulls("val_loss")["run_id"]) == {0, 1}


def test_convert_takes_the_training_loss_that_is_named(tmp_path):
    log = tmp_path / "a.csv"
    log.write_text("step,train/box_loss,train/cls_loss\n1,3,2\n2,2,1\n3,1,0.5\n")
    assert earlycall("convert", log, "-o", tmp_path / "guessed").code == 0
    assert read(tmp_path / "guessed").metrics == ["train/box_loss", "train/cls_loss"]
    ran = earlycall("convert", log, "-o", tmp_path / "set", "--metric", "train/cls_loss")
    assert "'train/cls_loss' is written as train_loss" in ran.err
    assert read(tmp_path / "set").metrics == ["train/box_loss", "train_loss"]
    ran = earlycall("convert", log, "-o", tmp_path / "none", "--metric", "nope")
    assert (ran.code, "no column 'nope'" in ran.err) == (2, True)


@pytest.mark.parametrize("command", ["rank", "fit", "evaluate"])
def test_a_guessed_metric_is_shown_and_an_ambiguous_one_is_asked_about(tmp_path, command):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("epoch,Train/Loss,lr\n0,2,1\n1,1,1\n2,0.75,1\n3,0.5,1\n")
    (tmp_path / "runs.csv").write_text("run,final\na.csv,1\nb.csv,2\n")
    ran = earlycall(command, tmp_path, "--format", "json")
    assert (
        "'Train/Loss' is taken as the training loss; --metric NAME takes another of: lr" in ran.err
    )
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("epoch,train/box_loss,train/cls_loss\n0,2,1\n1,1,1\n")
    ran = earlycall(command, tmp_path, "--format", "json")
    assert ran.code == 2
    assert "choose one with --metric; found: train/box_loss, train/cls_loss" in ran.err


def test_logs_with_steps_with_epochs_and_with_neither_in_one_folder(tmp_path):
    (tmp_path / "steps.csv").write_text("global_step,loss\n10,4\n20,3\n30,2\n40,1\n")
    (tmp_path / "epochs.csv").write_text("epoch,loss\n0,4\n1,3\n2,2\n3,1\n")
    (tmp_path / "neither.csv").write_text("loss,lr\n4,1\n3,1\n2,1\n1,1\n")
    curves = read(tmp_path)
    steps = {run: curves.curve(run).step.tolist() for run in curves.runs["run"]}
    assert steps == {
        "steps.csv": [10, 20, 30, 40], "epochs.csv": [0, 1, 2, 3], "neither.csv": [1, 2, 3, 4],
    }  # fmt: skip
    for curve in curves.prefix(epochs=3).prefixes()[0]:
        assert curve.loss.tolist() == [4, 3, 2]
        assert curve.epoch.tolist() == [0, 1, 2]
