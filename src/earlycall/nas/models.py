"""A regression model chosen among a few by cross-validated rank correlation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.extras import needed_for
from earlycall.scores.ranks import rank_correlation

with needed_for("train-less ranking", "nas"):
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.ensemble import (
        ExtraTreesRegressor,
        GradientBoostingRegressor,
        RandomForestRegressor,
    )
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.validation import check_is_fitted, validate_data

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

TREES = 150
MEAN = "mean of trees"
FOLDS, REPEATS = 5, 2
MIN_ARCHITECTURES = 6
MIN_ADVANTAGE = 0.02


_FOREST = {"n_estimators": TREES, "min_samples_leaf": 2, "max_features": 0.33}
_BOOSTING = {
    "n_estimators": TREES, "max_depth": 4, "learning_rate": 0.05, "subsample": 0.7,
    "max_features": 0.2,
}  # fmt: skip
CANDIDATES: dict[str, Callable[[int], Any]] = {  # by name: a model from its seed
    "ridge": lambda _: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 11))),
    "random forest": lambda seed: RandomForestRegressor(random_state=seed, **_FOREST),
    "extra trees": lambda seed: ExtraTreesRegressor(random_state=seed, **_FOREST),
    "boosting": lambda seed: GradientBoostingRegressor(random_state=seed, **_BOOSTING),
}
_AVERAGED = ("random forest", "extra trees", "boosting")


@dataclass(frozen=True)
class CrossValidation:
    """Predictions of held-out examples.

    Attributes:
        spearman: by model, the mean over repeats of the rank correlation of all held-out
            predictions with the labels.
        predicted: by model, shape (repeats, n).
    """

    spearman: dict[str, float]
    predicted: dict[str, NDArray[np.float64]]


class ChosenRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The best of ridge regression, two forests, boosting and the mean of the last three.

    The one with the best cross-validated Spearman correlation is fitted to all examples; an
    advantage of less than 0.02 over the mean of the trees counts as none.

    Args:
        model: the name of a model, to use that one without choosing.
        random_state: seeds the models and the folds.
        assess: whether to cross-validate; without, the mean of the trees is taken unless a model
            is named, in a tenth of the time.

    Attributes:
        model_: the name of the model that was chosen.
        members_: the fitted regressors, whose predictions are averaged.
        cv_: the cross-validation, None where there were too few examples for it.
        noise_: shape (2,), the squared error is about ``noise_[0] + noise_[1] · spread²``.

    Examples:
        >>> X = np.arange(40.0)[:, None]
        >>> chosen = ChosenRegressor().fit(X, np.sqrt(X[:, 0]))
        >>> mean, se = chosen.predict(X, return_std=True)
        >>> bool(chosen.cv_.spearman[chosen.model_] > 0.95), mean.shape == se.shape
        (True, True)
    """

    def __init__(
        self, model: str | None = None, random_state: int = 0, assess: bool = True
    ) -> None:
        self.model = model
        self.random_state = random_state
        self.assess = assess

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> ChosenRegressor:
        """Choose and fit.

        Args:
            X: shape (n, features).
            y: shape (n,).
            groups: shape (n,); examples of one group are held out together.
        """
        features, label = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        held = np.arange(len(label)) if groups is None else np.asarray(groups)
        enough = len(np.unique(held)) >= MIN_ARCHITECTURES
        names = list(CANDIDATES) if self.model is None else _members(self.model)
        self.cv_ = None
        if self.assess and enough and np.ptp(label) > 0:
            self.cv_ = _cross_validated(names, features, label, held, self.random_state)
        self.model_ = self.model or _best(self.cv_, enough=enough)
        self.members_ = [
            CANDIDATES[name](self.random_state).fit(features, label)
            for name in _members(self.model_)
        ]
        self.noise_ = np.array([float(np.var(label)), 0.0])
        if self.cv_ is not None:
            self.noise_ = self._noise(self.cv_, label)
        return self

    def _noise(self, cv: CrossValidation, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """How the squared error grows with the members' disagreement, by least squares."""
        from scipy.optimize import nnls

        squared = ((cv.predicted[self.model_] - y) ** 2).ravel()
        members = np.array([cv.predicted[name] for name in _members(self.model_)])
        spread = members.var(axis=0).ravel()
        return np.asarray(nnls(np.column_stack([np.ones_like(spread), spread]), squared)[0])

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """The predictions, shape (n,); with ``return_std`` also their standard errors."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        predicted = np.array([member.predict(X) for member in self.members_])
        mean = predicted.mean(axis=0)
        if not return_std:
            return mean
        return mean, np.sqrt(self.noise_[0] + self.noise_[1] * predicted.var(axis=0))


def _best(cv: CrossValidation | None, *, enough: bool) -> str:
    if cv is None:
        return MEAN if enough else "ridge"
    best = max(cv.spearman, key=cv.spearman.__getitem__)
    return MEAN if cv.spearman[best] - cv.spearman[MEAN] < MIN_ADVANTAGE else best


def _members(model: str) -> list[str]:
    return list(_AVERAGED) if model == MEAN else [model]


def folds(
    held: NDArray[Any], random_state: int, repeats: int = REPEATS
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Repeat, training rows and held-out rows; rows of one group are held out together."""
    groups, number = np.unique(held, return_inverse=True)
    draw = np.random.default_rng(random_state)
    for repeat in range(repeats):
        fold = (np.argsort(draw.permutation(len(groups))) % FOLDS)[number]
        for k in range(FOLDS):
            if (fold == k).any():
                yield repeat, np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def _cross_validated(
    names: list[str],
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    held: NDArray[Any],
    random_state: int,
) -> CrossValidation:
    predicted = {name: np.zeros((REPEATS, len(y))) for name in names}
    for repeat, training, held_out in folds(held, random_state):
        for name in names:
            model = CANDIDATES[name](random_state).fit(X[training], y[training])
            predicted[name][repeat, held_out] = model.predict(X[held_out])
    if set(_AVERAGED) <= set(names):
        predicted[MEAN] = np.mean([predicted[name] for name in _AVERAGED], axis=0)
    spearman = {
        name: float(np.mean([rank_correlation(p, y) for p in values]))
        for name, values in predicted.items()
    }
    return CrossValidation(spearman, predicted)
