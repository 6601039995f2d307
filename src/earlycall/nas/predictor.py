"""A predictor of how good an architecture will be, learnt from collected runs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.curves import Direction
from earlycall.errors import CurveWarning, InputError
from earlycall.extras import needed_for
from earlycall.nas.features import ArchitectureFeatures, architectures
from earlycall.nas.identity import family, identity
from earlycall.nas.known import known_of
from earlycall.nas.labels import AUTO, Labels, label, standings
from earlycall.nas.models import (
    FOLDS,
    MIN_GROUPS,
    ChosenRegressor,
    CrossValidation,
    folds,
    repeats,
)
from earlycall.scores.ranks import normal_scores, rank_correlation

with needed_for("train-less ranking", "nas"):
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from earlycall.nas.features import Architecture

PARAMETERS = "arch.params"
UNKNOWN_ERROR = 12**-0.5  # of a standing that nothing is known of
_GRID = np.linspace(0, 1, 21)
_BANDWIDTH = 0.15


@dataclass(frozen=True)
class Quality:
    """How good a predictor will be on architectures that it has not seen.

    Attributes:
        n: the number of labelled runs that it learnt from.
        architectures: the number of different architectures among them.
        held_out: what was held out together, ``families`` or ``architectures``.
        spearman: the rank correlation to be expected on many that were held out; None where there
            are fewer than 6. Cross-validated, without what choosing the best of several models
            made of luck, and without the loss of a correlation between few (see `assessed`).
        low: lower end of the interval (95 %), by resampling what was held out.
        high: upper end of it.
        baseline: the same of the parameter count alone, its direction learnt; None where the
            parameter counts are unknown.
        by_model: the cross-validated correlation of every model that was tried.
    """

    n: int
    architectures: int
    held_out: str
    spearman: float | None
    low: float | None
    high: float | None
    baseline: float | None
    by_model: dict[str, float]

    @property
    def useful(self) -> bool:
        """Whether it beats the parameter count, and chance."""
        return self.spearman is not None and self.spearman > max(self.baseline or 0.0, 0.0)

    def __str__(self) -> str:
        runs = f"{self.n} runs of {self.architectures} architectures"
        if self.spearman is None:
            return f"{runs}, too few to assess the predictor (at least {MIN_GROUPS})"
        size = "" if self.baseline is None else f"; parameter count alone {self.baseline:.2f}"
        return (
            f"{runs}; on unseen {self.held_out} Spearman {self.spearman:.2f} "
            f"(95 % interval {self.low:.2f} to {self.high:.2f}){size}"
        )


class Predictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts an architecture's standing among others from its columns, as scikit-learn does.

    ``fit(table, y)`` takes a table with ``arch.*`` (and ``hp.*``) columns and any label where
    larger is better; `fit_predictor` takes collected runs and makes the labels. Models learn the
    normal scores of the standings.

    Args:
        model: the name of a model (see `earlycall.nas.models`), None to choose by
            cross-validation.
        random_state: seeds models, folds and resamples.
        assess: whether to cross-validate it; without, it learns ten times as fast.

    Attributes:
        features_: the fitted `ArchitectureFeatures`.
        regressor_: the fitted `ChosenRegressor`.
        quality_: how good it will be on architectures that it has not seen.
        errors_: shape (21,), the standard error of a predicted standing of 0, 0.05 … 1.
        known_: how good architectures were, for groups where they are new.
        target_: what the label was.

    Examples:
        >>> rows = [{"arch.params": 10.0**i, "arch.depth": i % 3} for i in range(12)]
        >>> predictor = Predictor("ridge").fit(rows, [float(i) for i in range(12)])
        >>> bool(predictor.predict([{"arch.params": 1e9}])[0] > predictor.predict(rows[:1])[0])
        True
    """

    def __init__(
        self, model: str | None = None, random_state: int = 0, assess: bool = True
    ) -> None:
        self.model = model
        self.random_state = random_state
        self.assess = assess

    def fit(self, X: Any, y: ArrayLike) -> Predictor:
        """Learn from a table of architectures and their labels, shape (n,), larger is better.

        The column ``group``, such as the data set of each row, tells where an architecture is
        known from (see `earlycall.nas.known`).
        """
        label = np.asarray(y, dtype=np.float64)
        rows = architectures(X)
        if len(rows) != len(label):
            raise InputError(f"{len(rows)} architectures but {len(label)} labels")
        self.target_ = "y"
        self.features_ = ArchitectureFeatures()
        matrix = self.features_.fit_transform(X)
        standing = standings(label, ["all"] * len(label))
        same = np.array([identity(a.columns) for a in rows])
        held_out, held = _held(rows, same)
        self.regressor_ = ChosenRegressor(
            self.model, self.random_state, self.assess, self.features_.blocks()
        ).fit(matrix, normal_scores(standing), groups=held)
        cv, n, different = self.regressor_.cv_, len(label), len(np.unique(same))
        self.errors_ = np.full(len(_GRID), UNKNOWN_ERROR)
        told = None if cv is None else cv.predicted[self.regressor_.model_].mean(axis=0)
        self.known_ = known_of(rows, self.features_.names_, matrix, normal_scores(standing), told)
        self.quality_ = Quality(n, different, held_out, None, None, None, None, {})
        if cv is not None:
            held_out_standing = _standing(cv.predicted[self.regressor_.model_])
            self.errors_ = _errors(held_out_standing, standing, held)
            found = assessed(cv, standing)
            size = _size_alone(rows, standing, held, self.random_state)
            self.quality_ = Quality(n, different, held_out, *found, size, dict(cv.spearman))
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The predicted standings of a table of architectures, shape (n,), from 0 to 1.

        Where the table has a column ``group``, an architecture that only other groups know is
        ranked by how it did there (see `earlycall.nas.known`).

        With ``return_std`` also their standard errors, by how far cross-validated predictions of
        such a standing were off.
        """
        check_is_fitted(self)
        matrix = self.features_.transform(X)
        known = self.known_.scores(architectures(X), matrix)
        unknown = np.isnan(known)
        if unknown.any():
            known[unknown] = self.regressor_.predict(matrix[unknown])
        predicted = _standing(known)
        return (predicted, np.interp(predicted, _GRID, self.errors_)) if return_std else predicted


def assessed(cv: CrossValidation, y: NDArray[np.float64]) -> tuple[float, float, float]:
    """The Spearman correlation to be promised, and the ends of its interval (95 %).

    It is the cross-validated one less its optimism, with two corrections. The expectation of
    Spearman's coefficient between n pairs is ((n - 2) ρ + 3 τ) / (n + 1) (Moran 1948), which is
    solved for ρ. And a model that learnt from nine tenths is worse than that from all: 1 - ρ is
    taken to fall with a power of the number of examples, as it does from half to nine tenths.
    """
    from scipy.stats import kendalltau

    chosen, n = cv.best, len(y)
    tau = np.mean([kendalltau(p, y).statistic for p in cv.predicted[chosen]])
    told = cv.spearman[chosen] - cv.optimism
    among_all = ((n + 1) * told - 3 * float(np.nan_to_num(tau))) / (n - 2)
    whole, half = 1 - 1 / FOLDS, max(1 - cv.from_half, 1e-9) / max(1 - cv.spearman[chosen], 1e-9)
    power = np.clip(np.log(half) / np.log(2 * whole), 0, 1)
    promised = 1 - (1 - among_all) * whole**power
    low, high = np.quantile(cv.resampled[chosen] - cv.resampled[chosen].mean(), [0.025, 0.975])
    ends = (promised, promised + low, promised + high)
    promised, low, high = (float(np.clip(value, -1, 1)) for value in ends)
    return promised, low, high


def fit_predictor(
    curves: Any,
    *,
    target: str = AUTO,
    epochs: int | None = None,
    metric: str | None = None,
    direction: Direction | None = None,
    outcome: str | None = None,
    model: str | None = None,
    force: bool = False,
    random_state: int = 0,
) -> Predictor:
    """A predictor learnt from collected runs.

    Args:
        curves: a `CurveSet` whose runs have ``arch.*`` columns.
        target: see `earlycall.nas.labels.label`.
        epochs: the number of epochs that an early score sees.
        metric: the metric that an early score judges; by default the training loss.
        direction: whether less ("min") or more ("max") of the metric is better; by default its name
            tells.
        outcome: the last or best value of a metric as the outcome: ``METRIC``, ``METRIC:last`` or
            ``METRIC:best``; by default ``final``.
        model: the name of a model, None to choose.
        force: return it even if it is no better than the parameter count.
        random_state: the seed.

    Raises:
        InputError: if runs have no architecture or label, or the predictor is no better on
            unseen architectures than the parameter count, unless forced.
    """
    from earlycall.curves.outcomes import with_outcome
    from earlycall.readers.as_curve_set import as_curve_set

    collected = as_curve_set(curves)
    if direction is not None:
        collected = collected.directed(collected.metric(metric), direction)
    collected = with_outcome(collected, outcome)
    labels = label(collected, target=target, epochs=epochs, metric=metric)
    predictor = fit_labels(labels, model=model, random_state=random_state)
    quality = predictor.quality_
    if not quality.useful and not force:
        raise InputError(f"no predictor: {why_not(quality)}; --force makes it anyway")
    return predictor


def fit_labels(labels: Labels, *, model: str | None = None, random_state: int = 0) -> Predictor:
    """A predictor of the standing of labelled runs, however good it is.

    The labels' own noise, where it is known, is part of its standard errors.
    """
    predictor = Predictor(model, random_state).fit(labels.runs, labels.standing)
    known = labels.noise[np.isfinite(labels.noise)]
    predictor.errors_ = np.hypot(predictor.errors_, np.sqrt(np.mean(known**2)) if len(known) else 0)
    predictor.target_ = labels.target
    return predictor


def why_not(quality: Quality) -> str:
    """Why a predictor of this quality is not useful."""
    if quality.spearman is None:
        return (
            f"{quality.architectures} different architectures are too few to assess it on others; "
            f"collect {MIN_GROUPS} or more"
        )
    if quality.baseline is None or quality.baseline <= 0:
        return (
            f"on unseen {quality.held_out} it ranks no better than chance (Spearman "
            f"{quality.spearman:.2f} from {quality}); collect more runs or describe them better"
        )
    return (
        f"on unseen {quality.held_out} it ranks no better (Spearman {quality.spearman:.2f}) than "
        f"the parameter count alone ({quality.baseline:.2f}), so rank by that, or collect more runs"
    )


def rank_unseen(predictor: Predictor, runs: Any) -> pl.DataFrame:
    """Architectures ranked by a predictor.

    Args:
        predictor: a fitted one.
        runs: a table with ``arch.*`` columns, ``run`` and optionally ``group``.

    Returns:
        A row per architecture: ``group``, ``run``, ``rank`` (within its group, from 1, ties
        shared), ``score`` (the predicted standing, larger is better) and ``se``; the best first.

    Raises:
        InputError: if the table has no rows.

    Warns:
        CurveWarning: if some are ranked by how they did in other groups (see `Predictor`).
    """
    from earlycall.curves import as_polars

    table = as_polars(runs)
    if table is None or table.height == 0:
        raise InputError("there is no architecture to rank: the table has no rows")
    score, se = predictor.predict(table, return_std=True)
    if known := np.isfinite(predictor.known_.levels(architectures(table))).sum():
        note = f"{known} of {table.height} architectures are ranked by how they did in other groups"
        warnings.warn(CurveWarning(note), stacklevel=2)
    group = pl.col("group") if "group" in table.columns else pl.lit("all")
    run = pl.col("run") if "run" in table.columns else pl.int_range(1, pl.len() + 1)
    rank = pl.col("score").rank("min", descending=True).over("group").cast(pl.Int64)
    ranked = (
        table.select(group.cast(pl.String).alias("group"), run.cast(pl.String).alias("run"))
        .with_columns(score=score, se=se)
        .select("group", "run", rank.alias("rank"), "score", "se")
    )
    return ranked.sort("group", "rank", maintain_order=True)


def _held(rows: Sequence[Architecture], same: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """What is held out together: families where several are known, else architectures."""
    families = [family(a.columns) for a in rows]
    different = len(set(families))
    if None not in families and MIN_GROUPS <= different < len(np.unique(same)):
        return "families", np.array(families)
    return "architectures", same


def _standing(predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standings from their normal scores."""
    from scipy.special import ndtr

    return np.asarray(ndtr(predicted))


def _errors(
    predicted: NDArray[np.float64], y: NDArray[np.float64], held: NDArray[Any]
) -> NDArray[np.float64]:
    """The standard error of each predicted standing of the grid.

    Around it the root mean square error of held-out predictions (a kernel average), scaled so
    that of these errors some 68 % are below one and 95 % below two of it; and how far a standing
    among so many is from that among all, whose variance is that of an order statistic. Families
    of unlike sizes count as n² / Σ nᵢ² (Kish 1965), since their members are alike.
    """
    error = np.abs(predicted - y)
    distance = (_GRID[:, None] - predicted.ravel()) / _BANDWIDTH
    weight = np.exp(-(distance**2) / 2) + 1e-9
    typical = np.sqrt(weight @ error.ravel() ** 2 / weight.sum(axis=1))
    one, two = np.quantile(error / np.interp(predicted, _GRID, typical), [0.683, 0.95])
    scale = (one + two / 1.96) / 2  # errors with long tails cannot be both: halfway
    sizes = np.unique(held, return_counts=True)[1]
    effective = len(y) ** 2 / (sizes**2).sum()
    return np.asarray(np.hypot(scale * typical, np.sqrt(_GRID * (1 - _GRID) / (effective + 2))))


def _size_alone(
    rows: Sequence[Architecture], y: NDArray[np.float64], held: NDArray[Any], seed: int
) -> float | None:
    """Cross-validated correlation of the parameter count, its direction learnt on the others."""
    size = np.array([a.columns.get(PARAMETERS) for a in rows], dtype=np.float64)  # None is NaN
    if not np.isfinite(size).all():
        return None
    predicted = np.zeros((repeats(len(y)), len(y)))
    for repeat, training, held_out in folds(held, seed):
        direction = np.sign(rank_correlation(size[training], y[training])) or 1.0
        predicted[repeat, held_out] = direction * size[held_out]
    return float(np.mean([rank_correlation(p, y) for p in predicted]))
