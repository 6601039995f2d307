"""An Optuna callback that ends a study when a better trial is no longer likely."""

from __future__ import annotations

import math

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.ranking.improvement import SearchLimit

with needed_for("the terminator for Optuna", "optuna"):
    import optuna
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial, TrialState

# Samplers that propose what comes next whatever the trials so far gave.
UNGUIDED = (
    optuna.samplers.RandomSampler, optuna.samplers.QMCSampler, optuna.samplers.GridSampler,
    optuna.samplers.BruteForceSampler,
)  # fmt: skip


class EarlyCallTerminator:
    """Ends a study when the next trials are unlikely to beat the best by more than a margin.

    Give it to ``study.optimize(…, callbacks=[…])``. After each trial it computes the chance that
    one of the next ``trials`` beats the best so far by more than ``margin`` (see
    `earlycall.ranking.improvement.chance_of_improvement`), and ends the study when that is below
    ``chance``. Pruned trials count as tried. It has no state: everything comes from the storage, so
    that it works with every sampler and storage, several processes, and a study that is resumed.

    Args:
        margin: the improvement that is wanted, in the unit of the objective.
        chance: the chance below which the study ends.
        trials: how many trials the chance is for.
        seconds: instead of ``trials``, as many as this time pays for, at the mean duration of the
            study's trials, pruned ones among them.

    Raises:
        InputError: if an argument cannot be used; on use, if the study has several objectives.

    Examples:
        >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
        >>> study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        >>> terminator = EarlyCallTerminator(margin=0.1)
        >>> study.optimize(lambda trial: trial.suggest_float("x", 0, 1), 1000,
        ...                callbacks=[terminator])
        >>> len(study.trials)
        35
        >>> print(terminator.explain())
        Ended: the chance that one of the next 10 trials is better by more than 0.1 is 0.0968, below
        0.1.
    """

    def __init__(
        self,
        margin: float,
        *,
        chance: float = 0.1,
        trials: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self.limit = SearchLimit(margin, chance, trials, seconds)

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """End the study after a trial, or let it go on.

        Raises:
            InputError: if the study has several objectives.
        """
        if len(study.directions) > 1:
            raise InputError("a terminator needs a single objective; this study has several")
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if self.limit.reached(
            [sign * t.values[0] if t.state == TrialState.COMPLETE else math.inf for t in done],
            seconds=[t.duration.total_seconds() for t in done if t.duration is not None],
            guided=not isinstance(study.sampler, UNGUIDED),
        ):
            study.stop()

    def explain(self) -> str:
        """The last decision in one sentence, with its numbers."""
        done = "Ended" if self.limit.last_chance < self.limit.chance else "Goes on"
        return f"{done}: {self.limit.explain()}."
