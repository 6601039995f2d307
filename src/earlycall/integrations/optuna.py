"""An Optuna pruner that ranks trials by a score of their whole curves."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.ranking.halving import Halving
from earlycall.ranking.past import Past
from earlycall.ranking.rank import DEFAULT_SCORE
from earlycall.readers.as_curve_set import as_curve_set

with needed_for("the pruner for Optuna", "optuna"):
    import optuna
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial, TrialState

T = TypeVar("T")
RESUMES = "earlycall:resumes"  # the attribute of a trial that goes on from a pruned one
COMPARED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
MAX_RESUMED = 10  # trials that one decision may enqueue again
DATABASES = ("sqlite", "postgresql", "mysql", "redis")  # how the address of a storage begins


class EarlyCallPruner(optuna.pruners.BasePruner):
    """Prunes trials by successive halving on a score of their whole curves.

    A trial that reaches a rung (``min_resource``·η^k steps) goes on if it is among the best 1/η of
    the trials that came so far, ranked by the score of their curves until then (see
    `earlycall.ranking.halving.Halving`), rather than by their last value. The default score learns
    from the trials that were completed, with their parameters, and from those of an earlier study
    on the same task (``past``).

    Everything is computed from the values in the storage: the pruner has no state, so it works
    with every sampler and storage, in several processes, and in a study that is resumed. Trials
    may report at different steps and end at different ones. Values that are not finite (a diverged
    trial) are pruned at the next rung.

    Args:
        score: the name of a score (``outlook``, ``last_loss``, ``tse``, ``lcga_d1`` …).
        min_resource: the first rung, in the unit of the steps that are reported.
        reduction_factor: η, above 1.
        max_resource: the step at which training ends, if it is known.
        past: an earlier search on the same task: a study, a storage that holds one (or its URL), or
            curves with outcomes in any form that `earlycall.rank` takes. Where those have several
            metrics, the validation loss is taken as what is reported, with a warning.
        resume: whether the objective can go on from where a pruned trial ended. One that is among
            the best of its rung only later is then enqueued again, with its parameters and values;
            `resumes` names the trial whose checkpoint to load.
        rule: refused: a stop rule ends a trial, with its value.

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
        past: Any = None,
        resume: bool = False,
        rule: Any = None,
    ) -> None:
        if score is None or rule is not None:
            raise InputError(
                "a stop rule ends a trial with its value, it does not prune it: update an "
                f"earlycall.Monitor({'rule' if rule is None else repr(str(rule))}) in the "
                "objective, leave the loop when it should stop, and return the value"
            )
        self.halving = Halving(score, min_resource, reduction_factor, max_resource)
        if past is not None and score != DEFAULT_SCORE:
            raise InputError(
                f"past= needs the score {DEFAULT_SCORE}, which learns; this is {score}"
            )
        self._past = None if past is None else _curves_of(past)
        self._resume = resume

    @staticmethod
    def resumes(trial: optuna.trial.Trial | FrozenTrial) -> int | None:
        """The number of the pruned trial that a trial goes on from; None if it starts anew."""
        number: int | None = trial.user_attrs.get(RESUMES)
        return number

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether a trial should end after its last report."""
        if len(study.directions) > 1:
            raise InputError("a pruner needs a single objective; this study has several")
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        rung = self.halving.reached(_losses(trial, sign))
        if rung is None and self.resumes(trial) is None:
            return False
        if self._past is not None and self.halving.past is None:
            past = Past.of(
                self._past,
                direction="max" if sign < 0 else "min",
                first=min(trial.intermediate_values),
            )
            self.halving = replace(self.halving, past=past)
        states: tuple[TrialState, ...] = COMPARED
        if self.halving.score == "last_loss" and not self._resume:
            states = (*COMPARED, TrialState.FAIL)  # as Optuna's own halving does
        found = study.get_trials(deepcopy=False, states=states)
        trials = {str(t.number): t for t in found} | {str(trial.number): trial}
        if self._resume:
            for left in _superseded(found):
                trials.pop(str(left), None)
        if str(trial.number) not in trials:
            return True  # two processes have enqueued the same one again
        if rung is None:
            return False
        losses = {name: _losses(of, sign) for name, of in trials.items()}
        paused = self._paused(study, trials, losses, rung) if self._resume else []
        promoted = self.halving.promoted(
            [str(trial.number), *paused], rung, losses,
            outcomes=_View(trials, lambda of: _outcome(of, sign)),
            settings=_View(trials, lambda of: of.params),
        )  # fmt: skip
        for name in paused:
            if name in promoted:
                _enqueue_again(study, trials[name])
        return str(trial.number) not in promoted

    def _paused(
        self,
        study: optuna.Study,
        trials: Mapping[str, FrozenTrial],
        losses: Mapping[str, Mapping[float, float]],
        rung: float,
    ) -> list[str]:
        """The best of the trials that were pruned at a rung and do not go on yet, by their loss."""
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        resumed = {str(self.resumes(trial)) for trial in waiting}
        there = {
            name: losses[name][max(losses[name])] for name, of in trials.items()
            if of.state == TrialState.PRUNED and name not in resumed
            and self.halving.reached(losses[name]) == rung
        }  # fmt: skip
        able = [name for name, loss in there.items() if math.isfinite(loss)]
        return heapq.nsmallest(MAX_RESUMED, able, key=there.__getitem__)


def _superseded(trials: Sequence[FrozenTrial]) -> set[int]:
    """The numbers of trials that another goes on from; of several that do, all but one.

    That is the first which was not pruned, since one that came second was pruned for it, and the
    first may have been killed and tried again since; if all were, the one that came furthest.
    """
    by_number: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        number = trial.user_attrs.get(RESUMES)
        if number is not None:
            by_number.setdefault(number, []).append(trial)
    left = set(by_number)
    for several in by_number.values():
        left.update(trial.number for trial in sorted(several, key=_precedence)[1:])
    return left


def _precedence(trial: FrozenTrial) -> tuple[bool, int, int]:
    pruned = trial.state == TrialState.PRUNED
    return pruned, -(trial.last_step or 0) if pruned else 0, trial.number


def _enqueue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    again = optuna.trial.create_trial(
        state=TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=trial.intermediate_values,
        user_attrs=trial.user_attrs | {RESUMES: trial.number},
    )
    study.add_trial(again)


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


def _losses(trial: FrozenTrial, sign: int) -> Mapping[float, float]:
    values = cast("Mapping[float, float]", trial.intermediate_values)
    return values if sign > 0 else {step: -value for step, value in values.items()}


def _outcome(trial: FrozenTrial, sign: int) -> float:
    """The value of a completed trial, as a loss; NaN of others."""
    return sign * trial.values[0] if trial.state == TrialState.COMPLETE else math.nan


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
