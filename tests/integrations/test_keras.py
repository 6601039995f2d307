"""A real Keras training (on torch) stops, also killed and resumed."""

import pytest
from programs import KILLED, train

RULE = {"rule": "gain:0.3"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return train("keras", tmp_path_factory.mktemp("whole"), **RULE)["found"]


def test_training_stops_early_and_leaves_no_state(undisturbed):
    assert 5 < undisturbed["epoch"] < 60
    assert undisturbed["left"] == []


@pytest.mark.parametrize("kill", ["kill_at", pytest.param("kill_between", marks=pytest.mark.slow)])
def test_killed_and_resumed_it_stops_at_the_same_epoch(undisturbed, tmp_path, kill):
    assert train("keras", tmp_path, **{kill: 4}, **RULE) == KILLED
    assert (tmp_path / "earlycall.json").exists()
    assert train("keras", tmp_path, **RULE)["found"] == undisturbed


@pytest.mark.slow
def test_a_state_of_another_rule_is_refused(tmp_path):
    assert train("keras", tmp_path, kill_at=4, **RULE) == KILLED
    error = train("keras", tmp_path, rule="patience:3")
    assert "earlycall.json: the saved state is of the rule 'gain:0.3'" in error


def test_a_damaged_state_is_refused(tmp_path):
    (tmp_path / "earlycall.json").write_text('{"metric": "val_loss", "si')
    assert "earlycall.json: it is no saved state; remove" in train("keras", tmp_path, **RULE)
