"""A real Transformers training stops, also killed and resumed."""

import pytest
from programs import KILLED, train

RULE = {"rule": "gain:0.3"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return train("transformers", tmp_path_factory.mktemp("whole"), **RULE)["found"]


def test_training_stops_early_and_evaluations_outside_of_it_do_not_count(undisturbed):
    assert 10 < undisturbed["step"] < 100
    assert undisturbed["updates"] == undisturbed["step"] / 2


@pytest.mark.parametrize(
    "restore",
    [pytest.param(False, id="by itself", marks=pytest.mark.slow),
     pytest.param(True, id="by the trainer")],
)  # fmt: skip
def test_killed_and_resumed_it_stops_at_the_same_step(undisturbed, tmp_path, restore):
    assert train("transformers", tmp_path, kill_at=17, **RULE) == KILLED
    assert train("transformers", tmp_path, restore=restore, **RULE)["found"] == undisturbed


def test_a_metric_that_is_never_logged_is_named_at_the_end(tmp_path):
    program = train("transformers", tmp_path, metric="eval_f1", whole_output=True, **RULE)
    assert "nothing called 'eval_f1' was logged" in program
