"""An Optuna pruner that ranks trials by a score of their whole curves, or stops by elasticity."""

from __future__ import annotations

import math

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.ranking.halving import Halving
from earlycall.ranking.rank import DEFAULT_SCORE
from earlycall.stopping import Monitor, Rule
from earlycall.stopping.parse import as_rule

with needed_for("the pruner for Optuna", "optuna"):
    import optuna
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial, TrialState


class EarlyCallPruner(optuna.pruners.BasePruner):
    """Prunes trials by successive halving on a score of their curves, by a stop rule, or by both.

    With a score, a trial that reaches a rung (``min_resource``·η^k steps) goes on if it is among
    the best 1/η of the trials that came so far, ranked by the score of their curves until then
    (see `earlycall.ranking.halving.Halving`), rather than by their last value. With a rule, a trial
    ends when more training is no longer worth its cost, whatever the others did.

    Everything is computed from the values in the storage: the pruner has no state, so it works
    with every sampler and storage, in several processes, and in a study that is resumed. Trials
    may report at different steps and end at different ones. Values that are not finite (a diverged
    trial) are pruned at the next rung, or at once by a rule.

    Args:
        score: the name of a score (``outlook``, ``last_loss``, ``tse``, ``lcga_d1`` …), or None
            for no halving.
        min_resource: the first rung, in the unit of the steps that are reported. Curves of fewer
            than three points tell little more than their last value.
        reduction_factor: η, above 1.
        max_resource: the step at which training ends, if it is known.
        rule: a stop rule (see `earlycall.parse_rule`), judged on each trial's own values.
        every: how many values are averaged before the rule sees them (see `earlycall.Monitor`).

    Raises:
        InputError: if an argument cannot be used; on use, if the study has several objectives.

    Examples:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
        >>> def objective(trial):
        ...     rate = trial.suggest_float("rate", 0.01, 1.0)
        ...     for step in range(1, 30):
        ...         loss = (1 - rate) ** step
        ...         trial.report(loss, step)
        ...         if trial.should_prune():
        ...             raise optuna.TrialPruned
        ...     return loss
        >>> study = optuna.create_study(pruner=EarlyCallPruner(min_resource=3))
        >>> study.optimize(objective, n_trials=20)
        >>> len(study.get_trials(states=[optuna.trial.TrialState.PRUNED])) > 5
        True
    """

    def __init__(
        self,
        score: str | None = DEFAULT_SCORE,
        *,
        min_resource: float = 3,
        reduction_factor: float = 3,
        max_resource: float | None = None,
        rule: str | Rule | None = None,
        every: int = 1,
    ) -> None:
        if score is None and rule is None:
            raise InputError("give a score, a rule or both: nothing would ever be pruned")
        self.halving = (
            None if score is None else Halving(score, min_resource, reduction_factor, max_resource)
        )
        self.rule = None if rule is None else as_rule(rule)
        self.every = every

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether a trial should end after its last report."""
        if len(study.directions) > 1:
            raise InputError("a pruner needs a single objective; this study has several")
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        losses = _losses(trial, sign)
        if not losses:
            return False
        if self.rule is not None:
            self.rule.reset()
            monitor = Monitor(self.rule, every=self.every)
            if any(monitor.update(losses[step], step) for step in sorted(losses)):
                return True
        if self.halving is None or self.halving.reached(losses) is None:
            return False
        states = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
        others = study.get_trials(deepcopy=False, states=states)
        by_trial = {str(other.number): _losses(other, sign) for other in others}
        return not self.halving.goes_on(str(trial.number), by_trial | {str(trial.number): losses})


def _losses(trial: FrozenTrial, sign: int) -> dict[float, float]:
    """The values reported, as losses; a NaN, which some storages keep as null, has diverged."""
    values = trial.intermediate_values.items()
    return {float(step): math.nan if v is None else sign * v for step, v in values}
