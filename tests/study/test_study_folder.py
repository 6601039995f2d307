"""A study's folder, given to every command as it stands: its runs, each once, with outcomes."""

import json
import shutil
import warnings

import polars as pl
import pytest
import torch
import yaml
from polars.testing import assert_frame_equal

from conftest import earlycall
from earlycall import InputError, read
from earlycall.errors import CurveWarning, EmptyLogError
from earlycall.nas.store import Store
from earlycall.readers.formats.study_folder import CURVE, PLAN, RESULT
from earlycall.readers.growing.follower import Follower
from earlycall.study.data import splits
from earlycall.study.export import curve_set
from earlycall.study.folder import StudyFolder
from earlycall.study.plan import Plan
from earlycall.study.training import train

torch.set_num_threads(1)
PLANNED = {
    "name": "digits",
    "data": {"name": "digits", "train": 300, "val": 100},
    "epochs": 3,
    "architectures": {
        "mlp": {"model": "thin/mlp", "widths": [16]},
        "deep": {"model": "thin/mlp", "widths": [8, 8]},
        "cnn": {"model": "thin/cnn", "widths": [4]},
        "wide": {"model": "thin/cnn", "widths": [8]},
    },
    "settings": {"sgd": {"lr": 0.1}, "slow": {"lr": 0.01}, "adam": {"optimizer": "adam"}},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    study = StudyFolder.make(tmp_path_factory.mktemp("trained") / "study", Plan.of(PLANNED))
    data = splits(**study.plan.data)
    for run in study.plan.runs():
        train(run, data, study.path / run.name)
    return study


@pytest.fixture
def study(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "study")
    return StudyFolder.open(tmp_path / "study")


def quietly(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CurveWarning)
        return read(path)


def test_a_study_is_read_as_it_is_exported(study):
    exported, curves = curve_set(study, graphs=False), read(study.path)
    assert len(curves) == 12
    assert_frame_equal(curves.observations, exported.observations)
    assert_frame_equal(curves.runs, exported.runs, check_column_order=False)
    known = curves.runs.row(0, named=True)
    result = json.loads((study.path / known["run"] / RESULT).read_text())
    assert known["final"] == result["test_accuracy"]
    assert (known["final_metric"], known["higher_is_better"]) == ("test_accuracy", True)
    assert (known["step_hint"], known["arch.params"]) == (15, result["params"])
    assert (known["hp.lr"], known["arch.family"]) == (0.05, "cnn")


def test_a_study_while_it_runs(study):
    waiting, training = study.path / "mlp-adam-s0", study.path / "deep-sgd-s0"
    shutil.rmtree(waiting)
    (training / RESULT).unlink()
    rows = pl.read_parquet(training / CURVE)
    rows.filter(pl.col("epoch") == 0).write_parquet(training / CURVE)
    (training / "checkpoint.pt").write_bytes(b"half of a check")
    follower = Follower(study.path)
    known = {row["run"]: row for row in follower.update().runs.iter_rows(named=True)}
    assert len(known) == 11
    unfinished = known["deep-sgd-s0"]
    assert (unfinished["final"], unfinished["step_hint"]) == (None, 15)
    assert unfinished["end_reason"] == "started"
    rows.write_parquet(training / CURVE)
    follower.update()
    assert follower.changed == {"deep-sgd-s0"}


def test_an_export_and_a_store_beside_a_study_hold_no_further_runs(study):
    home = study.path.parent
    curve_set(study, graphs=False).write(study.path / "exported")
    curve_set(study, graphs=False).write(home / "exported")
    with Store(home / "experiments.db") as store:
        store.add(read(study.path))
        assert_frame_equal(read(home / "experiments.db").observations, store.curves().observations)
    assert len(read(study.path)) == 12
    assert len(quietly(home)) == 12
    with pytest.warns(CurveWarning, match="are read once: 'cnn-adam-s0 in exported'"):
        read(home)
    shutil.rmtree(study.path)
    assert len(quietly(home)) == 12


def test_a_study_that_has_not_begun_or_is_damaged(study):
    for folder in study.path.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    with pytest.raises(EmptyLogError, match="no run has done an epoch yet"):
        read(study.path)
    (study.path / PLAN).write_text('{"plan": {"architectures": []}}')
    with pytest.raises(InputError, match=r"study.json: not as earlycall writes it"):
        read(study.path)


@pytest.mark.slow
def test_the_commands_of_the_readme_on_a_study(tmp_path):
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLANNED))
    folder, store = tmp_path / "study", tmp_path / "runs.db"
    ran = earlycall("study", "run", tmp_path / "plan.yaml", "-o", folder)
    assert ran.code == 0, ran.err
    ranked = earlycall("rank", folder, "--format", "json").json["runs"]
    assert sorted(run["rank"] for run in ranked) == list(range(1, 13))
    assert earlycall("report", folder, "-o", tmp_path / "report.html").code == 0
    rows = earlycall("evaluate", folder, "--format", "json").json["rows"]
    assert {row["n"] + row["excluded"] for row in rows} == {12}
    assert earlycall("nas", "add", folder, "--store", store).out.endswith(
        "12 new, 0 grown, 0 already there\n"
    )
    for source in (folder, store):
        fitted = earlycall("nas", "fit", source, "-o", tmp_path / "model", "--force")
        assert fitted.code == 0, fitted.err
        assert "from 12 runs of 4 architectures" in fitted.out
    assert earlycall("replay", folder, "--choose", 2).code == 0
    assert earlycall("elasticity", folder).code == 0
