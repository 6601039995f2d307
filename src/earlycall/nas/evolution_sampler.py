"""Regularised evolution as a sampler for Optuna, which has none built in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.extras import needed_for

with needed_for("train-less ranking", "nas"):
    from optuna.samplers import RandomSampler
    from optuna.trial import TrialState

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

ATTEMPTS = 20  # at another value; and at another child, before one more value is changed


class RegularizedEvolutionSampler(RandomSampler):
    """Ageing evolution (Real et al., AAAI 2019).

    Of the last ``population`` trials, ``sample`` are drawn and the best of them is the parent; the
    child has one of its parameters changed, to another value. Where every such child has been tried
    already, two are changed, and so on. The oldest die, however good they are. The first
    ``population`` trials are random.

    Args:
        population: the number of living trials.
        sample: the number of them drawn to find a parent.
        seed: the seed.

    Examples:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
        >>> study = optuna.create_study(sampler=RegularizedEvolutionSampler(10, 3, seed=0))
        >>> study.optimize(lambda t: sum(t.suggest_int(f"x{i}", 0, 9) for i in range(5)), 150)
        >>> study.best_value < 5
        True
    """

    def __init__(self, population: int = 25, sample: int = 5, seed: int | None = None) -> None:
        super().__init__(seed)
        self._population, self._sample = population, sample
        self._draw = np.random.default_rng(seed)
        self._child: dict[int, dict[str, Any]] = {}

    def reseed_rng(self) -> None:
        """Draw differently from copies of this sampler."""
        super().reseed_rng()
        self._draw = np.random.default_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose the parent, and the child's parameters."""
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(done) < self._population:
            return
        living = done[-self._population :]
        drawn = self._draw.choice(len(living), min(self._sample, len(living)), replace=False)
        sign = 1 if study.direction.name == "MAXIMIZE" else -1
        parent = max((living[i] for i in drawn), key=lambda t: sign * (t.value or 0.0))
        self._child[trial.number] = self._mutated(study, trial, parent)

    def _mutated(self, study: Study, trial: FrozenTrial, parent: FrozenTrial) -> dict[str, Any]:
        """The parent's parameters with as few changed as lead to something new."""
        tried = [t.params for t in study.get_trials(deepcopy=False)]
        free = {n: d for n, d in parent.distributions.items() if not d.single()}
        child = parent.params
        for attempt in range(ATTEMPTS * len(free)):
            changes = 1 + attempt // ATTEMPTS
            names = self._draw.choice(list(free), changes, replace=False)
            child = parent.params | {
                name: self._other(study, trial, name, free[name], parent.params[name])
                for name in names.tolist()
            }
            if not any(child.items() <= params.items() for params in tried):
                break
        return child

    def _other(
        self, study: Study, trial: FrozenTrial, name: str, kind: BaseDistribution, value: Any
    ) -> Any:
        """Another value of a parameter, where one is found."""
        new = value
        for _ in range(ATTEMPTS):
            new = super().sample_independent(study, trial, name, kind)
            if new != value:
                break
        return new

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The child's value; a new one of a parameter that its parent did not have."""
        child = self._child.get(trial.number, {})
        if param_name in child:
            value = child[param_name]
            if param_distribution._contains(param_distribution.to_internal_repr(value)):
                return value
        return super().sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Forget the child."""
        self._child.pop(trial.number, None)
