"""Studies on a real Ray cluster of two nodes, one of which is killed; the command killed by -9."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import psutil
import pytest
import ray
import torch
import yaml
from ray.cluster_utils import Cluster

from conftest import PATIENCE, earlycall, wait_until
from earlycall import InputError, read
from earlycall.readers.formats.study_folder import CURVE, RESULT
from earlycall.study.data import splits
from earlycall.study.export import curve_set
from earlycall.study.files import FolderFiles
from earlycall.study.folder import EarlyStopping, StudyFolder
from earlycall.study.plan import Plan
from earlycall.study.ray_cluster import Resources
from earlycall.study.run import run_study
from earlycall.study.training import Training, train
from earlycall.study.watcher import Watcher

torch.set_num_threads(1)  # as each trial does, so that losses are the same
PROGRAMS = str(Path(__file__).parent / "programs")
sys.path.insert(0, PROGRAMS)
SLOW = {
    "name": "slow",
    "data": {"name": "digits", "train": 300, "val": 100},
    "epochs": 6,
    "architectures": {"slow": "own_models:slow", "mlp": {"model": "own_models:slow"}},
    "settings": {"sgd": {"lr": 0.1}, "adam": {"optimizer": "adam", "lr": 0.01, "augment": True}},
}
QUICK = SLOW | {
    "epochs": 4,
    "architectures": {"mlp": "thin/mlp", "cnn": {"model": "thin/cnn", "widths": [8]}},
}


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    ray.init(address=cluster.address, log_to_driver=False, logging_level=40)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


class Noting(Watcher):
    """Notes what it receives."""

    def __init__(self):
        self.epochs, self.finished, self.failures = {}, [], []

    def epoch(self, run, progress):
        self.epochs.setdefault(run, []).append(progress["epoch"])

    def done(self, run, result):
        self.finished.append(run)

    def failed(self, run, reason, *, again):
        self.failures.append((run, reason, again))


def undisturbed(study, folder):
    """The curves of the same runs, each trained on its own in this process."""
    data = splits(**study.plan.data)
    for run in study.plan.runs():
        train(run, data, folder / run.name)
    return curves(folder, study)


def curves(folder, study):
    """What each run has logged, without its times."""
    return {
        run.name: pl.read_parquet(folder / run.name / CURVE).drop("seconds").rows()
        for run in study.plan.runs()
    }


class KillingANode(Noting):
    """Kills a node of the cluster once both runs have done an epoch."""

    def __init__(self, cluster, node):
        super().__init__()
        self.cluster, self.node = cluster, node

    def epoch(self, run, progress):
        super().epoch(run, progress)
        if self.node is not None and len(self.epochs) == 2:
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.node = None


def test_a_node_killed_during_a_study_costs_no_run_and_changes_no_loss(cluster, tmp_path):
    watcher = KillingANode(cluster, cluster.add_node(num_cpus=1))
    study = StudyFolder.make(tmp_path / "study", Plan.of(SLOW), imports=(PROGRAMS,))
    states = run_study(study, watcher=watcher)
    assert watcher.node is None
    assert ("its process or node died", True) in [failure[1:] for failure in watcher.failures]
    assert {state.status for state in states} == {"finished"}
    assert all(seen == sorted(set(seen)) for seen in watcher.epochs.values())  # none trained twice
    assert curves(study.path, study) == undisturbed(study, tmp_path / "whole")


def test_architectures_added_to_a_finished_study_are_all_that_is_trained(cluster, tmp_path):
    folder, one = tmp_path / "study", QUICK | {"architectures": {"mlp": "thin/mlp"}}
    run_study(StudyFolder.make(folder, Plan.of(one)), Resources(energy=True))
    before = {path: path.stat().st_mtime_ns for path in folder.glob("mlp-*/*")}
    wider, watcher = StudyFolder.make(folder, Plan.of(QUICK)), Noting()
    assert [state.status for state in run_study(wider, watcher=watcher)] == ["finished"] * 4
    kept, added = (pl.read_parquet(folder / f"{name}-sgd-s0" / CURVE) for name in ("mlp", "cnn"))
    spent = kept["joules"].drop_nulls().to_list()
    assert len(spent) == 4
    assert spent == sorted(spent)
    assert "joules" not in added.columns
    assert sorted(watcher.finished) == ["cnn-adam-s0", "cnn-sgd-s0"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with pytest.raises(InputError, match=r"planned differently.*\(lr was 0\.1, is 0\.2\)"):
        StudyFolder.make(folder, Plan.of(QUICK | {"settings": {"sgd": {"lr": 0.2}}}))


def test_what_fails_is_tried_again_and_what_goes_on_failing_is_noted(cluster, tmp_path):
    plan = Plan.of(QUICK | {
        "settings": {"sgd": {}},
        "architectures": {
            "once": {"model": "own_models:failing", "once": str(tmp_path / "failed")},
            "always": {"model": "own_models:failing"},
            "odd": {"model": "thin/mlp", "wide": 3},
            "fine": "thin/mlp",
        },
    })  # fmt: skip
    study, watcher = StudyFolder.make(tmp_path / "s", plan, imports=(PROGRAMS,)), Noting()
    states = {s.plan.architecture: s for s in run_study(study, Resources(retries=1), watcher)}
    assert {name: state.status for name, state in states.items()} == {
        "once": "finished", "always": "failed", "odd": "failed", "fine": "finished",
    }  # fmt: skip
    assert states["always"].why == "ZeroDivisionError: the device is on fire"
    assert "cannot be built with {'wide': 3}" in states["odd"].why
    again = [failure[0].split("-")[0] for failure in watcher.failures if failure[2]]
    assert sorted(again) == ["always", "once"]  # a slip in the plan is not tried again


def test_a_rule_and_halving_end_runs_which_a_resumed_study_does_not_take_up(cluster, tmp_path):
    plan = Plan.of(QUICK | {"epochs": 9, "seeds": [0, 1, 2]})
    how = EarlyStopping(rule="budget:4", halving="last_loss", min_epochs=2, factor=2)
    study = StudyFolder.make(tmp_path / "study", plan, stopping=how)
    states = run_study(study)
    whys = [state.why for state in states if state.status == "stopped"]
    assert any("not among the best by last_loss after" in why for why in whys)
    assert any(why.startswith("budget:4") for why in whys)
    assert all(state.done for state in states)
    assert all(state.epochs < 9 for state in states if state.status == "stopped")
    assert all(state.result["test_accuracy"] > 0 for state in states)
    watcher = Noting()
    assert run_study(StudyFolder.open(study.path), watcher=watcher) == states
    assert watcher.epochs == {}


def test_resources_that_no_node_has_and_a_second_process_are_refused(cluster, tmp_path):
    study = StudyFolder.make(tmp_path / "study", Plan.of(QUICK))
    with pytest.raises(InputError, match=r"asks for 64 CPU, but no node has more than 1"):
        run_study(study, Resources(cpus=64))
    with (
        study.locked(),
        pytest.raises(InputError, match="another process trains in this study"),
    ):
        run_study(StudyFolder.open(study.path))
    with pytest.raises(InputError, match="at_once=0 must be at least 1"):
        Resources(at_once=0)


@pytest.mark.parametrize(("address", "why"), [
    ("127.0.0.1:1", "Connection refused"),
    ("nowhere", "not auto or host:port"),
    ("ray://127.0.0.1:10001", "Ray's client cannot keep a study"),
])  # fmt: skip
def test_an_address_where_no_cluster_is_is_refused_at_once(address, why, tmp_path):
    program = """
import sys
from pathlib import Path
from earlycall.study.folder import StudyFolder
from earlycall.study.plan import Plan
from earlycall.study.ray_cluster import Resources
from earlycall.study.run import run_study
plan = Plan.of({"data": "digits", "epochs": 1, "architectures": {"a": "thin/mlp"},
                "settings": {"s": {}}})
run_study(StudyFolder.make(Path(sys.argv[1]), plan), Resources(address=sys.argv[2]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path, address], capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert why in done.stderr.splitlines()[-1]
    assert "InputError" in done.stderr.splitlines()[-1]


def epochs_in(folder):
    """The epochs that each run has done."""
    found = {}
    for path in folder.glob(f"*/{CURVE}"):
        found[path.parent.name] = pl.read_parquet(path)["val_loss"].count()
    return found


@pytest.mark.slow
def test_a_study_killed_by_9_is_resumed_from_its_last_epochs_with_the_same_losses(tmp_path):
    folder, plan = tmp_path / "study", tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(SLOW | {"architectures": {"slow": "own_models:slow"}}))
    (tmp_path / "own_models.py").write_text(Path(PROGRAMS, "own_models.py").read_text())
    command = [sys.executable, "-m", "earlycall", "study", "run", plan, "-o", folder]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    try:

        def two_epochs_are_done():
            assert process.poll() is None, process.stderr.read().decode()
            return max(epochs_in(folder).values(), default=0) >= 2

        wait_until(two_epochs_are_done)
        workers = psutil.Process(process.pid).children(recursive=True)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE)  # none is writing any more
    assert not alive
    study, kept = StudyFolder.open(folder), epochs_in(folder)
    assert not list(folder.glob(f"*/{RESULT}"))
    data = splits(**study.plan.data)
    for run in study.plan.runs():
        done = Training(run, data, FolderFiles(folder / run.name)).record.epochs
        assert done - kept.get(run.name, 0) in (0, 1)
    listed = earlycall("study", "list", folder, "--format", "json").json["runs"]
    assert {row["run"]: row["epochs"] for row in listed if row["epochs"]} == kept
    ran = earlycall("study", "resume", folder)
    assert ran.code == 0, ran.err
    assert ran.out == ""
    assert "all 2 runs are done" in ran.err
    assert curves(folder, study) == undisturbed(study, tmp_path / "whole")
    ran = earlycall("study", "export", folder, "-o", tmp_path / "set")
    assert ran.code == 0, ran.err
    exported = read(tmp_path / "set")
    assert len(exported) == 2
    assert json.loads(exported.runs["arch.graph"][0])["_1"]["op"] == "dropout"
    assert exported.runs["final"].min() > 0.1
    assert exported.runs["hp.optimizer"].to_list() == ["adam", "sgd"]


@pytest.mark.slow
def test_the_how_to_brings_a_users_own_model_and_images(cluster, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text()
    part = page.split("## Your own model and images")[1].split("\n## ")[0]
    code, plan = part.split("```python\n")[1], part.split("```yaml\n")[1]
    (tmp_path / "mine.py").write_text(code.split("```")[0])
    (tmp_path / "plan.yaml").write_text(plan.split("```")[0])
    assert len((tmp_path / "mine.py").read_text().splitlines()) <= 22
    study = StudyFolder.make(
        tmp_path / "study", Plan.load(tmp_path / "plan.yaml"), imports=(str(tmp_path),)
    )
    states = run_study(study)
    assert [state.status for state in states] == ["finished"] * 4
    assert max(state.result["test_accuracy"] for state in states) > 0.8
    assert set(curve_set(study).runs["arch.family"]) == {"network"}
