"""Search a space of architectures on a predictor, without training any."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.nas.identity import identity

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import Trial

    from earlycall.nas.spaces import Candidate, Space

SAMPLERS = ("random", "tpe", "evolution", "nsga2")
BATCH_SIZE = 10


class SupportsPredict(Protocol):
    """Anything that predicts as a `Predictor` does."""

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Scores of a table of architectures, and their standard errors if asked for."""


class NothingNewError(InputError):
    """A search found no architecture that is not known already."""


@dataclass(frozen=True)
class SearchResult:
    """The candidates of a search.

    Attributes:
        table: a row per different candidate: ``run``, ``score`` (the predicted standing), ``se``,
            ``cost`` (if given), ``front`` (whether none is better in both score and cost) and
            ``arch.*``; the best score first.
        candidates: the candidates in the table's order.
        tried: the number of suggestions, with repetitions.
    """

    table: pl.DataFrame
    candidates: tuple[Candidate, ...]
    tried: int


def search(
    space: Space,
    predictor: SupportsPredict,
    *,
    trials: int = 200,
    sampler: str = "evolution",
    cost: str | Callable[[Candidate], float] | None = None,
    known: Collection[str] = (),
    parents: Sequence[tuple[Mapping[str, Any], float]] = (),
    seed: int = 0,
) -> SearchResult:
    """Let a sampler search for the candidates with the best predictions.

    With ``parents``, evolution is that of trained architectures (Real et al. 2019), and the
    predictor only a filter of their children.

    Args:
        space: the space to search.
        predictor: a fitted one.
        trials: the number of suggestions.
        sampler: ``random``, ``tpe`` (Bergstra et al. 2011), ``evolution`` (regularised, Real et al.
            2019) or ``nsga2`` (Deb et al. 2002), which is always used with a cost.
        cost: a column of the candidates to minimise, such as ``arch.params``, or a function of a
            candidate (see `earlycall.nas.costs.predicted_cost` for joules).
        known: the identities of architectures to leave out, since they are trained already.
        parents: for evolution, the space's parameters of trained architectures, the oldest first,
            and how good each was, larger is better.
        seed: the seed.

    Raises:
        InputError: if there is no such sampler or cost, or (`NothingNewError`) nothing new in the
            space can be built.

    Examples:
        >>> from earlycall.nas.predictor import Predictor
        >>> from earlycall.nas.spaces import OptunaSpace
        >>> rows = [{"arch.depth": i} for i in range(10)]
        >>> predictor = Predictor("ridge").fit(rows, [float(i) for i in range(10)])
        >>> space = OptunaSpace(lambda t: {"arch.depth": t.suggest_int("depth", 1, 30)})
        >>> search(space, predictor, trials=60).table["arch.depth"][0] > 25
        True
    """
    with needed_for("a search", "nas"):
        import optuna
        from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=_sampler("nsga2" if cost else sampler, seed, len(parents)),
        directions=["maximize", "minimize"] if cost else ["maximize"],
    )
    for parameters, value in parents:
        study.enqueue_trial(dict(parameters))
        trained = study.ask()
        space.suggest(trained)
        study.tell(trained, value)
    predictions: dict[str, tuple[Candidate, float, float]] = {}
    for start in range(0, trials, BATCH_SIZE):
        asked = _ask(study, space, min(BATCH_SIZE, trials - start))
        if not asked:
            continue
        score, se = predictor.predict([c.row for _, c in asked], return_std=True)
        for (trial, candidate), s, e in zip(asked, score.tolist(), se.tolist(), strict=True):
            if parents:
                study.tell(trial, state=TrialState.FAIL)  # no parent before it is trained
            else:
                study.tell(trial, [s, _cost(candidate, cost)] if cost else s)
            predictions.setdefault(identity(candidate.columns), (candidate, s, e))
    new = [predicted for key, predicted in predictions.items() if key not in known]
    if not new:
        reason = "all found are trained already" if predictions else "none can be built"
        raise NothingNewError(f"the search found no new architecture in {trials} trials: {reason}")
    return _result(sorted(new, key=lambda predicted: -predicted[1]), cost, trials)


def _ask(study: Study, space: Space, number: int) -> list[tuple[Trial, Candidate]]:
    from optuna.trial import TrialState

    asked = []
    for _ in range(number):
        trial = study.ask()
        candidate = space.suggest(trial)
        if candidate is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            asked.append((trial, candidate))
    return asked


def _cost(candidate: Candidate, cost: str | Callable[[Candidate], float]) -> float:
    if callable(cost):
        return float(cost(candidate))
    value = candidate.columns.get(cost)
    if not isinstance(value, int | float):
        numbers = ", ".join(k for k, v in candidate.columns.items() if isinstance(v, int | float))
        raise InputError(f"candidates have no number {cost!r}; there are: {numbers or 'none'}")
    return float(value)


def _sampler(name: str, seed: int, parents: int) -> BaseSampler:
    import optuna.samplers

    from earlycall.nas.evolution_sampler import RegularizedEvolutionSampler

    if name not in SAMPLERS:
        raise InputError(f"no sampler {name!r}; there are: {', '.join(SAMPLERS)}")
    samplers: dict[str, Callable[[], BaseSampler]] = {
        "random": lambda: optuna.samplers.RandomSampler(seed),
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
        "evolution": lambda: RegularizedEvolutionSampler(min(parents, 20) or 25, seed=seed),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=25),
    }
    return samplers[name]()


def _result(
    predictions: list[tuple[Candidate, float, float]],
    cost: str | Callable[[Candidate], float] | None,
    trials: int,
) -> SearchResult:
    rows: list[dict[str, Any]] = []
    cheapest = np.inf
    for candidate, score, se in predictions:
        row: dict[str, Any] = {"run": candidate.name, "score": score, "se": se}
        if cost is not None:
            value = _cost(candidate, cost)
            row |= {"cost": value, "front": value < cheapest}
            cheapest = min(cheapest, value)
        rows.append(row | dict(candidate.columns))
    table = pl.DataFrame(rows, infer_schema_length=None, strict=False)
    return SearchResult(table, tuple(candidate for candidate, _, _ in predictions), trials)
