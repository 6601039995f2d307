"""A real Lightning training stops, also killed and resumed, also in two processes."""

import json

import pytest
from programs import KILLED, train

RULE = {"rule": "gain:0.3"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return train("lightning", tmp_path_factory.mktemp("whole"), **RULE)["rank0"]


def test_training_stops_early_and_says_why(undisturbed):
    assert 5 < undisturbed["epoch"] < 60
    assert undisturbed["updates"] == undisturbed["epoch"]  # the sanity check is not counted
    assert undisturbed["said"].startswith(f"Stopped after {undisturbed['updates']} observations")


def test_killed_and_resumed_it_stops_at_the_same_step(undisturbed, tmp_path):
    assert train("lightning", tmp_path, kill_at=5, **RULE) == KILLED
    assert train("lightning", tmp_path, **RULE)["rank0"] == undisturbed


@pytest.mark.slow
def test_a_training_metric_too_is_resumed_exactly(tmp_path):
    options = RULE | {"metric": "train_loss", "save_on_train_epoch_end": True}
    whole = train("lightning", tmp_path / "whole", **options)["rank0"]
    assert train("lightning", tmp_path / "killed", kill_at=4, **options) == KILLED
    assert train("lightning", tmp_path / "killed", **options)["rank0"] == whole
    assert whole["epoch"] < 60


@pytest.mark.slow
def test_two_processes_that_see_different_losses_decide_as_one(tmp_path):
    found = train("lightning", tmp_path, devices=2, disagree=0.5, **RULE)
    assert found["rank0"] == found["rank1"]
    assert 5 < found["rank0"]["epoch"] < 60


def test_of_an_accuracy_more_is_better(tmp_path):
    found = train("lightning", tmp_path, metric="val_accuracy", cost="epoch", **RULE)["rank0"]
    assert 5 < found["epoch"] < 60
    assert json.dumps(found["said"]).count(f"at epoch {found['epoch']}") == 1


def test_a_metric_that_is_not_logged_is_named_with_those_that_are(tmp_path):
    error = train("lightning", tmp_path, metric="other_loss", **RULE)
    assert "nothing called 'other_loss' was logged; logged were: 'train_loss'" in error
