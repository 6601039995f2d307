"""The package as OptunaHub loads it: its pruner prunes, and the example runs.

Run as ``pytest --rootdir tests --confcutdir tests tests``: pytest would else import the folder
above by its name, which is that of the package that it loads.
"""

from __future__ import annotations

from pathlib import Path

import optuna
import optunahub
import pytest

REGISTRY = Path(__file__).parents[3]  # the folder of categories


@pytest.fixture
def module():
    return optunahub.load_local_module("pruners/earlycall", registry_root=str(REGISTRY))


def test_it_prunes_bad_trials_and_no_good_one(module):
    def objective(trial):
        rate = trial.suggest_float("rate", 0.01, 1.0)
        for step in range(1, 30):
            trial.report((1 - rate) ** step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return (1 - rate) ** 29

    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=0), pruner=module.EarlyCallPruner()
    )
    study.optimize(objective, n_trials=40)
    pruned = study.get_trials(states=(optuna.trial.TrialState.PRUNED,))
    assert 10 < len(pruned) < 40
    best = max(study.trials, key=lambda trial: trial.params["rate"])
    assert best.state == optuna.trial.TrialState.COMPLETE


def test_the_example_runs(monkeypatch, capsys, module):
    monkeypatch.setattr(optunahub, "load_module", lambda package: module)
    example = REGISTRY / "pruners" / "earlycall" / "example.py"
    exec(compile(example.read_text(), example, "exec"), {"__name__": "__main__"})
    assert "of 50 trials pruned" in capsys.readouterr().out
