"""The features that matter to a predictor: permutation importance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.nas.features import meaning, source
from earlycall.scores.ranks import rank_correlation

if TYPE_CHECKING:
    from earlycall.nas.predictor import Predictor

REPEATS = 5
MAX_FEATURES = 100


def explain(
    predictor: Predictor, runs: Any, *, repeats: int = REPEATS, random_state: int = 0
) -> pl.DataFrame:
    """How much of a predictor's ranking is lost when a feature's values are shuffled.

    For each feature, its column is permuted between the architectures and the Spearman correlation
    of the new predictions with the old ones is taken; ``importance`` is 1 minus its mean (Breiman
    2001, with ranks). Correlated features share their importance, so that whole families are
    shuffled, too (``feature`` ends in ``*``). Of trees, the 100 features with the largest splits
    are tried.

    Args:
        predictor: a fitted one.
        runs: the architectures to try it on, a table with ``arch.*`` columns.
        repeats: the number of permutations of each feature.
        random_state: the seed of the permutations.

    Returns:
        A row per feature and family that matters: ``feature``, ``importance``, ``direction`` (the
        Spearman correlation of the feature with the prediction), ``meaning``, ``source``; the most
        important first.

    Examples:
        >>> from earlycall.nas.predictor import Predictor
        >>> rows = [{"arch.depth": i, "arch.width": i * 7 % 5} for i in range(20)]
        >>> predictor = Predictor("ridge").fit(rows, [float(i) for i in range(20)])
        >>> explain(predictor, rows)["feature"][0]
        'arch.depth'
    """
    X = predictor.features_.transform(runs)
    names = predictor.features_.names_
    predicted = predictor.regressor_.predict(X)
    draw = np.random.default_rng(random_state)
    rows = []
    for name, columns in _columns(names, _used(predictor.regressor_)).items():
        shuffled = np.concatenate([X] * repeats)
        orders = [draw.permutation(len(X)) for _ in range(repeats)]
        shuffled[:, columns] = np.concatenate([X[order][:, columns] for order in orders])
        again = predictor.regressor_.predict(shuffled).reshape(repeats, len(X))
        lost = [1 - rank_correlation(permuted, predicted) for permuted in again]
        single = len(columns) == 1
        rows.append({
            "feature": name,
            "importance": float(np.mean(lost)),
            "direction": rank_correlation(X[:, columns[0]], predicted) if single else None,
            "meaning": meaning(name) if single else f"all {len(columns)} features of this family",
            "source": source(names[columns[0]]),
        })  # fmt: skip
    table = pl.DataFrame(rows, schema_overrides={"direction": pl.Float64})
    return table.filter(pl.col("importance") > 0).sort("importance", descending=True)


def _used(regressor: Any) -> list[int]:
    """The features that trees split by, those of the largest splits first; all of other models."""
    if not hasattr(regressor.regressor_, "estimators_"):
        return list(range(regressor.n_features_in_))
    weight = regressor.regressor_.feature_importances_
    return [int(i) for i in np.argsort(-weight)[:MAX_FEATURES] if weight[i] > 0]


def _columns(names: list[str], used: list[int]) -> dict[str, list[int]]:
    """The columns to shuffle together: each feature, and each family of at least two."""
    families: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        head, colon, _ = name.partition(":")
        if colon:
            families.setdefault(f"{head}:*", []).append(i)
    families = {name: columns for name, columns in families.items() if len(columns) > 1}
    return families | {names[i]: [i] for i in used}
