from __future__ import annotations

import math

import optuna
import optunahub


def objective(trial: optuna.Trial) -> float:
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    floor = 0.1 + 0.05 * abs(math.log10(lr) + 2)
    loss = math.inf
    for step in range(1, 65):
        loss = floor + 1 / (1 + 20 * lr * step)
        trial.report(loss, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return loss


module = optunahub.load_module(package="pruners/earlycall")
study = optuna.create_study(
    sampler=optuna.samplers.RandomSampler(seed=0), pruner=module.EarlyCallPruner()
)
study.optimize(objective, n_trials=50)
pruned = study.get_trials(states=(optuna.trial.TrialState.PRUNED,))
print(f"best {study.best_value:.4f} at {study.best_params}, {len(pruned)} of 50 trials pruned")
