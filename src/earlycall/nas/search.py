"""Search a space of architectures on a predictor, without training any."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.nas.features import Architecture

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import Trial

    from earlycall.nas.spaces import Candidate, Space

SAMPLERS = ("random", "tpe", "evolution", "nsga2")
AT_ONCE = 10


class Promise(Protocol):
    """Anything that predicts as a `Predictor` does."""

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Scores of a table of architectures, and their standard errors if asked for."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        table: a row per different candidate: ``run``, ``score`` (the predicted standing), ``se``,
            ``cost`` (where asked for), ``front`` (whether none is better in both score and cost)
            and ``arch.*``; the best score first.
        candidates: the candidates in the table's order.
        tried: how many the sampler suggested, repetitions included.
    """

    table: pl.DataFrame
    candidates: tuple[Candidate, ...]
    tried: int


def search(
    space: Space,
    predictor: Promise,
    *,
    trials: int = 200,
    sampler: str = "evolution",
    cost: str | Callable[[Candidate], float] | None = None,
    known: Collection[str] = (),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Let a sampler look for what a predictor promises most of.

    Args:
        space: where to look.
        predictor: a fitted one.
        trials: how many candidates to suggest.
        sampler: ``random``, ``tpe`` (Bergstra et al. 2011), ``evolution`` (regularised, Real et al.
            2019) or ``nsga2`` (Deb et al. 2002), which is taken where there is a cost.
        cost: a column of the candidates that should be small, such as ``arch.params``, or a
            function of a candidate (see `earlycall.nas.costs.predicted_cost` for joules).
        known: the identities of architectures that are trained already, to be left out.
        seed: of all that is random.
        progress: called with (done, total).

    Raises:
        InputError: if there is no such sampler or cost, or nothing in the space could be built.

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

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=_sampler("nsga2" if cost else sampler, seed),
        directions=["maximize", "minimize"] if cost else ["maximize"],
    )
    candidates: dict[str, tuple[Candidate, float, float]] = {}
    done = 0
    while done < trials:
        number = min(AT_ONCE, trials - done)
        _judge(study, space, predictor, number, cost, candidates)
        done += number
        if progress is not None:
            progress(done, trials)
    kept = {key: value for key, value in candidates.items() if key not in known}
    if not kept:
        what = "everything that was found is trained already" if candidates else "none can be built"
        raise InputError(f"the search found no new architecture in {trials} trials: {what}")
    return _found(list(kept.values()), cost, trials)


def _judge(
    study: Study,
    space: Space,
    predictor: Promise,
    number: int,
    cost: str | Callable[[Candidate], float] | None,
    candidates: dict[str, tuple[Candidate, float, float]],
) -> None:
    """Ask for a few candidates, predict them together, and tell the sampler."""
    from optuna.trial import TrialState

    asked: list[tuple[Trial, Candidate]] = []
    for _ in range(number):
        trial = study.ask()
        candidate = space.suggest(trial)
        if candidate is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            asked.append((trial, candidate))
    if not asked:
        return
    score, se = predictor.predict([c.row for _, c in asked], return_std=True)
    for (trial, candidate), s, e in zip(asked, score.tolist(), se.tolist(), strict=True):
        study.tell(trial, [s, _cost(candidate, cost)] if cost else s)
        candidates.setdefault(identity(candidate.known), (candidate, s, e))


def identity(known: Any) -> str:
    """Equal for equal architectures."""
    return Architecture({k: v for k, v in known.items() if k != "arch.name"}).identity


def _cost(candidate: Candidate, cost: str | Callable[[Candidate], float]) -> float:
    if callable(cost):
        return float(cost(candidate))
    value = candidate.known.get(cost)
    if not isinstance(value, int | float):
        found = ", ".join(k for k, v in candidate.known.items() if isinstance(v, int | float))
        raise InputError(f"candidates have no number {cost!r}; there are: {found or 'none'}")
    return float(value)


def _sampler(name: str, seed: int) -> BaseSampler:
    import optuna.samplers

    from earlycall.nas.evolution_sampler import RegularizedEvolutionSampler

    if name == "random":
        return optuna.samplers.RandomSampler(seed)
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=25)
    if name == "evolution":
        return RegularizedEvolutionSampler(seed=seed)
    raise InputError(f"no sampler {name!r}; there are: {', '.join(SAMPLERS)}")


def _found(
    kept: list[tuple[Candidate, float, float]],
    cost: str | Callable[[Candidate], float] | None,
    trials: int,
) -> Found:
    kept = sorted(kept, key=lambda found: -found[1])
    rows: list[dict[str, Any]] = []
    best = np.inf
    for candidate, score, se in kept:
        row: dict[str, Any] = {"run": candidate.name, "score": score, "se": se}
        if cost is not None:
            value = _cost(candidate, cost)
            row |= {"cost": value, "front": value < best}
            best = min(best, value)
        rows.append(row | dict(candidate.known))
    table = pl.DataFrame(rows, infer_schema_length=None, strict=False)
    return Found(table, tuple(c for c, _, _ in kept), trials)
