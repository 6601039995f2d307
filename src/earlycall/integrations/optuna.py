"""An Optuna pruner that ranks trials by a score of their whole curves, or stops by elasticity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.ranking.halving import Halving
from earlycall.ranking.past import Past
from earlycall.ranking.rank import DEFAULT_SCORE
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.stopping import Monitor, Rule
from earlycall.stopping.parse import as_rule

with needed_for("the pruner for Optuna", "optuna"):
    import optuna
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial, TrialState

T = TypeVar("T")
DATABASES = ("sqlite", "postgresql", "mysql", "redis")  # how the address of a storage begins


class EarlyCallPruner(optuna.pruners.BasePruner):
    """Prunes trials by successive halving on a score of their curves, by a stop rule, or by both.

    With a score, a trial that reaches a rung (``min_resource``·η^k steps) goes on if it is among
    the best 1/η of the trials that came so far, ranked by the score of their curves until then
    (see `earlycall.ranking.halving.Halving`), rather than by their last value. With a rule, a trial
    ends when more training is no longer worth its cost, whatever the others did.

    The default score learns from the trials that were completed, with their parameters, and from
    those of an earlier study on the same task (``past``).

    Everything is computed from the values in the storage: the pruner has no state, so it works
    with every sampler and storage, in several processes, and in a study that is resumed. Trials
    may report at different steps and end at different ones. Values that are not finite (a diverged
    trial) are pruned at the next rung, or at once by a rule.

    Args:
        score: the name of a score (``outlook``, ``last_loss``, ``tse``, ``lcga_d1`` …), or None
            for no halving.
        min_resource: the first rung, in the unit of the steps that are reported.
        reduction_factor: η, above 1.
        max_resource: the step at which training ends, if it is known.
        rule: a stop rule (see `earlycall.parse_rule`), judged on each trial's own values.
        every: how many values are averaged before the rule sees them (see `earlycall.Monitor`).
        past: an earlier search on the same task: a study, a storage that holds one (or its URL), or
            curves with outcomes in any form that `earlycall.rank` takes. Where those have several
            metrics, the validation loss is taken as what is reported, with a warning.

    Raises:
        InputError: if an argument cannot be used; on use, if the study has several objectives, or
            the past was judged in the other direction.

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
        min_resource: float = 1,
        reduction_factor: float = 4,
        max_resource: float | None = None,
        rule: str | Rule | None = None,
        every: int = 1,
        past: Any = None,
    ) -> None:
        if score is None and rule is None:
            raise InputError("give a score, a rule or both: nothing would ever be pruned")
        self.halving = (
            None if score is None else Halving(score, min_resource, reduction_factor, max_resource)
        )
        if past is not None and score != DEFAULT_SCORE:
            raise InputError(
                f"past= needs the score {DEFAULT_SCORE}, which learns; this is {score}"
            )
        self._past = None if past is None else _curves_of(past)
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
        rung = None if self.halving is None else self.halving.reached(losses)
        if self.halving is None or rung is None:
            return False
        if self._past is not None and self.halving.past is None:
            past = Past.of(self._past, direction="max" if sign < 0 else "min")
            self.halving = replace(self.halving, past=past)
        states = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
        trials = {str(t.number): t for t in study.get_trials(deepcopy=False, states=states)}
        trials[str(trial.number)] = trial
        return not self.halving.goes_on(
            str(trial.number),
            {name: of.intermediate_values for name, of in trials.items()}
            if sign > 0
            else {name: _losses(of, sign) for name, of in trials.items()},
            outcomes=_View(trials, lambda of: _outcome(of, sign)),
            settings=_View(trials, lambda of: of.params),
        )


class _View(Mapping[str, T]):
    """What a function tells of trials by name, called for those that are asked for alone."""

    def __init__(self, trials: dict[str, FrozenTrial], tell: Callable[[FrozenTrial], T]) -> None:
        self._trials, self._tell = trials, tell

    def __getitem__(self, name: str) -> T:
        return self._tell(self._trials[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)


def _losses(trial: FrozenTrial, sign: int) -> dict[int, float]:
    values = trial.intermediate_values
    return values if sign > 0 else {step: -value for step, value in values.items()}


def _outcome(trial: FrozenTrial, sign: int) -> float:
    """The value of a completed trial, as a loss; NaN of others."""
    return sign * trial.value if trial.state == TrialState.COMPLETE else math.nan


def _curves_of(past: Any) -> CurveSet:
    """The trials of a study, or of the one study of a storage, or other curves."""
    if isinstance(past, str) and past.split(":")[0].split("+")[0] in DATABASES:
        past = optuna.storages.get_storage(past)
    if isinstance(past, optuna.storages.BaseStorage):
        names = optuna.get_all_study_names(past)
        if len(names) != 1:
            found = ", ".join(map(repr, names[:5])) or "none"
            raise InputError(
                f"the past storage holds {len(names)} studies ({found}); give one of them: "
                "optuna.load_study(study_name=…, storage=…)"
            )
        past = optuna.load_study(study_name=names[0], storage=past)
    if not isinstance(past, optuna.Study):
        return as_curve_set(past)
    if len(past.directions) > 1:
        raise InputError(
            f"the past study {past.study_name!r} has several objectives; one is needed"
        )
    up = past.direction == StudyDirection.MAXIMIZE
    trials = past.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trials = [trial for trial in trials if trial.intermediate_values]
    if not trials:
        raise InputError(
            f"the past study {past.study_name!r} has no completed trial that reported values"
        )
    rows = [
        (str(trial.number), step, value)
        for trial in trials for step, value in trial.intermediate_values.items()
    ]  # fmt: skip
    known = [
        {"run": str(trial.number), "final": trial.value, "higher_is_better": up}
        | {f"hp.{name}": value for name, value in trial.params.items()}
        for trial in trials
    ]
    curves = CurveSet.from_frame(
        pl.DataFrame(rows, schema=["run", "step", "reported"], orient="row"),
        pl.DataFrame(known, infer_schema_length=None, strict=False), name=past.study_name,
    )  # fmt: skip
    return curves.directed("reported", "max" if up else "min")
