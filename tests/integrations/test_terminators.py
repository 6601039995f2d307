"""Real studies of Optuna and experiments of Ray end when a better trial is no longer likely."""

import math

import optuna
import pytest
import ray
from programs import KILLED, train
from ray.cluster_utils import Cluster

from earlycall import InputError
from earlycall.integrations.optuna_terminator import EarlyCallTerminator

optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial):
    x, y = trial.suggest_float("x", -3, 3), trial.suggest_float("y", -3, 3)
    trial.report(x, 1)
    if x > 2:
        raise optuna.TrialPruned
    return x * x + y * y


def study_of(sampler, **options):
    terminator = EarlyCallTerminator(0.2, **options)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, 1000, callbacks=[terminator])
    return study, terminator


def test_a_study_ends_once_better_trials_are_unlikely():
    study, terminator = study_of(optuna.samplers.TPESampler(seed=0))
    assert 10 < len(study.trials) < 200
    assert study.best_value < 0.5
    assert terminator.explain().startswith("Ended: the chance that one of the next 10 trials is ")
    longer, _ = study_of(optuna.samplers.TPESampler(seed=0), chance=0.01)
    assert len(longer.trials) > len(study.trials)


def test_the_direction_does_not_matter_and_neither_does_a_restart(tmp_path):
    def ended(direction, storage=None, first=None):
        sign = -1 if direction == "maximize" else 1

        def signed(trial):
            return sign * objective(trial)

        trials = 0
        for n in filter(None, (first, 1000)):
            study = optuna.create_study(
                direction=direction, storage=storage, study_name="s", load_if_exists=True,
                sampler=optuna.samplers.RandomSampler(seed=7 + trials),
            )  # fmt: skip
            study.optimize(signed, n, callbacks=[EarlyCallTerminator(0.2)])
            trials = len(study.trials)
        return trials, study

    assert ended("minimize")[0] == ended("maximize")[0]
    resumed, study = ended("minimize", f"sqlite:///{tmp_path / 's.db'}", first=10)
    assert resumed > 10
    done = optuna.trial.TrialState.COMPLETE  # Optuna gives those that were pruned a value, too
    values = [trial.value if trial.state == done else math.inf for trial in study.trials]
    limit = EarlyCallTerminator(0.2).limit
    for n, ends in ((resumed - 1, False), (resumed, True)):
        assert limit.reached(values[:n], guided=False) is ends


def test_a_random_search_is_not_taken_as_guided():
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    random = EarlyCallTerminator(0.0, chance=1e-6)
    tpe = EarlyCallTerminator(0.0, chance=1e-6)
    study.optimize(objective, 10)
    tpe(study, study.trials[-1])
    study.sampler = optuna.samplers.RandomSampler()
    random(study, study.trials[-1])
    assert random.limit.last_chance == pytest.approx(10 / 20)
    assert tpe.limit.last_chance == pytest.approx(15 / 25)  # likelier to be better than by chance


def test_a_time_that_pays_for_less_ends_a_study_earlier():
    study, _ = study_of(optuna.samplers.RandomSampler(seed=0), seconds=1e-6)
    other, _ = study_of(optuna.samplers.RandomSampler(seed=0))
    assert len(study.trials) < len(other.trials)


def test_several_objectives_are_refused():
    study = optuna.create_study(directions=["minimize", "minimize"])
    with pytest.raises(InputError, match="needs a single objective"):
        study.optimize(lambda trial: (1.0, 2.0), 1, callbacks=[EarlyCallTerminator(0.1)])


RATES = [0.3, 0.1, 0.2, 0.25, 0.15, 0.28, *[0.05] * 14]


@pytest.fixture
def ray_address():
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    yield cluster.address
    cluster.shutdown()
    ray.shutdown()


@pytest.mark.slow
def test_an_experiment_of_ray_ends_also_after_a_restore(tmp_path, ray_address):
    options = {"margin": 0.5, "lr": RATES, "address": ray_address}
    whole = train("ray_search", tmp_path / "whole", **options)["found"]
    assert 5 < whole["trials"] < len(RATES)
    assert train("ray_search", tmp_path / "killed", kill_after=7, **options) == KILLED
    assert train("ray_search", tmp_path / "killed", **options)["found"] == whole
