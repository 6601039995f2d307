"""A regression model chosen among a few by cross-validated rank correlation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.nas.kernels import OnColumns
from earlycall.scores.ranks import rank_correlation

with needed_for("train-less ranking", "nas"):
    from sklearn.base import BaseEstimator, RegressorMixin, clone
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.validation import check_is_fitted, validate_data

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

TREES = 300
MAX_LEAF = 4  # examples that a leaf has at least, where there are a hundred
FOLDS = 10
RESAMPLES = 200
MIN_GROUPS = 6
MODELS = ("gaussian process", "boosting", "ridge")
MAX_OF_GAUSSIAN_PROCESS = 1000  # examples, as it takes time with their cube
MAX_OF_KERNEL = 400  # examples that its kernel is learnt from


@dataclass(frozen=True)
class CrossValidation:
    """Predictions of held-out examples.

    Attributes:
        spearman: by model, the mean over repeats of the rank correlation of all held-out
            predictions with the labels.
        predicted: by model, shape (repeats, n).
        resampled: by model, shape (200,), its correlation when groups are drawn with replacement.
        from_half: the correlation of the best model if half of the groups are held out.
    """

    spearman: dict[str, float]
    predicted: dict[str, NDArray[np.float64]]
    resampled: dict[str, NDArray[np.float64]]
    from_half: float = 0.0

    @property
    def best(self) -> str:
        """The first model, unless another is better by two standard errors of the difference."""
        return max(self.spearman, key=lambda name: self.spearman[name] - 2 * self._error(name))

    @property
    def optimism(self) -> float:
        """How much of the best model's correlation is the luck of having been chosen.

        In resamples, the correlation of the model that is the best there, above its correlation
        on all examples (the bootstrap's estimate of optimism, Efron 1983).
        """
        names = list(self.spearman)
        of_all = np.array([[self.spearman[name]] for name in names])
        resampled = np.array([self.resampled[name] for name in names])
        error = np.array([[self._error(name)] for name in names])
        lucky = np.argmax(resampled - 2 * error, axis=0)
        above = np.take_along_axis(resampled - of_all, lucky[None], axis=0)
        return max(float(above.mean()), 0.0)

    def _error(self, name: str) -> float:
        first = next(iter(self.resampled.values()))
        return float(np.std(self.resampled[name] - first))


class ChosenRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The best of gradient boosting, ridge regression and a Gaussian process.

    The Gaussian process, or boosting where there is none, is fitted to all examples, unless the
    cross-validated Spearman correlation of another is higher by two standard errors of the
    difference. The process is additive over ``blocks`` of columns (Matérn
    5/2, one length scale for each block, and noise); it is a candidate where there are some, and
    at most 1,000 examples.

    Args:
        model: the name of a model, to use that one without choosing.
        random_state: seeds the models and the folds.
        assess: whether to cross-validate; without, boosting is taken unless a model is named.
        blocks: the columns that the Gaussian process sees; by default all are one block.

    Attributes:
        model_: the name of the model that was chosen.
        regressor_: it, fitted.
        cv_: the cross-validation, None where there were too few examples for it.

    Examples:
        >>> X = np.arange(40.0)[:, None]
        >>> chosen = ChosenRegressor().fit(X, np.sqrt(X[:, 0]))
        >>> bool(chosen.cv_.spearman[chosen.model_] > 0.95), chosen.predict(X).shape
        (True, (40,))
    """

    def __init__(
        self,
        model: str | None = None,
        random_state: int = 0,
        assess: bool = True,
        blocks: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.model = model
        self.random_state = random_state
        self.assess = assess
        self.blocks = blocks

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> ChosenRegressor:
        """Choose and fit.

        Args:
            X: shape (n, features).
            y: shape (n,).
            groups: shape (n,); examples of one group are held out together.
        """
        features, label = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        held = np.arange(len(label)) if groups is None else np.asarray(groups)
        enough = len(np.unique(held)) >= MIN_GROUPS
        assessed = self.assess and enough and np.ptp(label) > 0
        names = MODELS if self.model is None and assessed else [self.model or _unassessed(enough)]
        if unknown := set(names) - set(MODELS):
            raise InputError(f"no model {unknown.pop()!r}; there are: {', '.join(MODELS)}")
        models = self._models(names, features, label)
        self.cv_ = (
            _cross_validated(models, features, label, held, self.random_state) if assessed else None
        )
        self.model_ = next(iter(models)) if self.cv_ is None else self.cv_.best
        self.regressor_ = clone(models[self.model_]).fit(features, label)
        return self

    def _models(
        self, names: Sequence[str], X: NDArray[np.float64], y: NDArray[np.float64]
    ) -> dict[str, Any]:
        """The candidates, not fitted; only the kernel of the Gaussian process is learnt."""
        blocks = [range(X.shape[1])] if self.blocks is None else [b for b in self.blocks if b]
        if self.model == "gaussian process" and not blocks:
            raise InputError(
                "a Gaussian process learns from numbers and words (arch.params, arch.name …), and "
                "there are none; leave out the model"
            )
        seed = self.random_state
        models: dict[str, Any] = {}
        for name in names:
            if name == "boosting":
                models[name] = GradientBoostingRegressor(
                    n_estimators=TREES, max_depth=4, learning_rate=0.03, subsample=0.7,
                    max_features=0.2, random_state=seed,
                    min_samples_leaf=max(1, min(MAX_LEAF, len(y) // 25)),
                )  # fmt: skip
            elif name == "ridge":
                models[name] = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 11)))
            elif self.model or (blocks and len(y) <= MAX_OF_GAUSSIAN_PROCESS):
                models[name] = _gaussian_process(blocks, X, y, seed)
        return models

    def predict(self, X: ArrayLike) -> Any:
        """The predictions, shape (n,)."""
        check_is_fitted(self)
        return self.regressor_.predict(validate_data(self, X, reset=False, dtype=np.float64))


def _unassessed(enough: bool) -> str:
    return "boosting" if enough else "ridge"


def _gaussian_process(
    blocks: Sequence[Sequence[int]], X: NDArray[np.float64], y: NDArray[np.float64], seed: int
) -> Any:
    """A Gaussian process, additive over blocks of columns, whose kernel explains y best.

    The kernel's numbers are learnt once and not again in each fold, which would take hundreds of
    times as long.
    """
    kernel, start = WhiteKernel(0.1, (1e-4, 1.0)), 0
    for columns in blocks:
        stop, root = start + len(columns), np.sqrt(len(columns))  # distances grow with the root
        matern = Matern(2 * root, (0.5 * root, 100 * root), nu=2.5)
        kernel += OnColumns(ConstantKernel(1.0, (1e-3, 1e3)) * matern, start, stop)
        start = stop
    used = [column for columns in blocks for column in columns]
    scaled = ColumnTransformer([("used", StandardScaler(), used)])
    some = np.random.default_rng(seed).permutation(len(y))[:MAX_OF_KERNEL]
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    with warnings.catch_warnings():
        # A length scale at a bound says that its columns do not matter, or nothing else does.
        warnings.simplefilter("ignore", ConvergenceWarning)
        learnt = process.fit(scaled.fit_transform(X[some]), y[some]).kernel_
    return make_pipeline(scaled, GaussianProcessRegressor(learnt, optimizer=None, normalize_y=True))


def folds(
    held: NDArray[Any], random_state: int, parts: int = FOLDS
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Repeat, training rows and held-out rows; rows of one group are held out together.

    A tenth of the groups is held out at a time, since a model that has seen fewer is a worse one;
    small sets are divided again and again, as the result depends on the division.
    """
    groups, number = np.unique(held, return_inverse=True)
    draw = np.random.default_rng(random_state)
    for repeat in range(repeats(len(held))):
        fold = (np.argsort(draw.permutation(len(groups))) % parts)[number]
        for k in range(parts):
            if (fold == k).any():
                yield repeat, np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def repeats(n: int) -> int:
    """How often ``n`` examples are divided into folds."""
    return 3 if n <= 150 else 2 if n <= 500 else 1


def _cross_validated(
    models: dict[str, Any],
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    held: NDArray[Any],
    random_state: int,
) -> CrossValidation:
    predicted = _held_out(models, X, y, held, random_state, FOLDS)
    draw = np.random.default_rng(random_state)
    rows = [np.flatnonzero(held == group) for group in np.unique(held)]
    resampled = {name: np.zeros(RESAMPLES) for name in models}
    for i in range(RESAMPLES):
        sample = np.concatenate([rows[j] for j in draw.integers(0, len(rows), len(rows))])
        for name, values in predicted.items():
            resampled[name][i] = _correlation(values[:, sample], y[sample])
    spearman = {name: _correlation(values, y) for name, values in predicted.items()}
    cv = CrossValidation(spearman, predicted, resampled)
    half = _held_out({cv.best: models[cv.best]}, X, y, held, random_state, 2)
    return replace(cv, from_half=_correlation(half[cv.best], y))


def _held_out(
    models: dict[str, Any],
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    held: NDArray[Any],
    random_state: int,
    parts: int,
) -> dict[str, NDArray[np.float64]]:
    """What each model predicts of examples that it has not seen, shape (repeats, n)."""
    predicted = {name: np.zeros((repeats(len(y)), len(y))) for name in models}
    for repeat, training, held_out in folds(held, random_state, parts):
        for name, model in models.items():
            fitted = clone(model).fit(X[training], y[training])
            predicted[name][repeat, held_out] = fitted.predict(X[held_out])
    return predicted


def _correlation(predicted: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The mean over repeats of the rank correlation."""
    return float(np.mean([rank_correlation(p, y) for p in predicted]))
