"""Architectures that other groups know: ranked by how they did there, not by their features."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.extras import needed_for
from earlycall.nas.features.family import NAME, Architecture
from earlycall.nas.identity import identity
from earlycall.nas.models import MIN_GROUPS
from earlycall.scores.ranks import rank_correlation

with needed_for("train-less ranking", "nas"):
    from scipy.sparse import hstack
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import OneHotEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OF_DATA = ("arch.params", "arch.flops")  # they change with the images and classes of a data set


@dataclass(frozen=True)
class Known:
    """How good architectures were in the collected groups, and what settings add to it.

    Attributes:
        level: by architecture (see `elsewhere`), in normal scores.
        slope: shape (features,), what each feature adds; zero for all but settings.
        collected: by group, such as a data set, the architectures that have runs there.
    """

    level: dict[str, float] = field(default_factory=dict)
    slope: Sequence[float] = ()
    collected: dict[str, list[str]] = field(default_factory=dict)

    def levels(self, rows: Sequence[Architecture]) -> NDArray[np.float64]:
        """The levels of architectures; NaN where only their features tell.

        That is so where no other group knows an architecture, its own group does, or the group
        is not told.
        """
        if not self.level:
            return np.full(len(rows), math.nan)
        here = {group: frozenset(names) for group, names in self.collected.items()}
        level = []
        for row in rows:
            name = elsewhere(row.columns)
            away = row.group is not None and name not in here.get(row.group, ())
            level.append(self.level.get(name, math.nan) if away else math.nan)
        return np.array(level)

    def scores(self, rows: Sequence[Architecture], X: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same with the settings, among the features X: normal scores."""
        return np.asarray(self.levels(rows) + (X @ np.array(self.slope) if self.level else 0.0))


def elsewhere(columns: Mapping[str, Any]) -> str:
    """What is equal for an architecture and its like for another data set, whose size may differ.

    Its name, or where it has none all that is known of it but parameters and FLOPs; these, too,
    where nothing else is.
    """
    if name := columns.get(NAME):
        return f"name {name}"
    rest = identity({key: value for key, value in columns.items() if key not in _OF_DATA})
    return identity(columns) if rest == identity({}) else f"but size {rest}"


def known_of(
    rows: Sequence[Architecture],
    names: Sequence[str],
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    told: NDArray[np.float64] | None,
) -> Known:
    """What is known of the architectures of collected runs.

    A ridge regression of the normal scores y, shape (n,), on the architecture (one level each,
    with a variance like the rest's) and on the settings (``hp.*``) among the features X, shape
    (n, features), with these names. Nothing is known where a name means several architectures in
    one group; nor where ``told``, shape (n,), which is predicted without a run's architecture,
    ranks the architectures that several groups share at least as well as the other groups do.
    """
    unit = [elsewhere(row.columns) for row in rows]
    group = [str(row.group) for row in rows]
    meant = defaultdict(set)
    collected = defaultdict(set)
    for row, name, where in zip(rows, unit, group, strict=True):
        meant[where, name].add(identity(row.columns))
        collected[where].add(name)
    if any(len(different) > 1 for different in meant.values()):
        return Known()  # names, or what else is not size, do not tell architectures apart
    if told is not None and not _agree(unit, group, y, told):
        return Known()
    settings = np.array([name.startswith("hp.") for name in names])
    spread = np.where(settings, X.std(axis=0), 1.0)
    own = OneHotEncoder().fit_transform(np.array(unit)[:, None])
    ridge = Ridge().fit(hstack([own, X[:, settings] / spread[settings]]).tocsr(), y)
    slope = np.zeros(len(names))
    slope[settings] = ridge.coef_[own.shape[1] :] / spread[settings]
    level = ridge.intercept_ + ridge.coef_[: own.shape[1]]
    return Known(
        dict(zip(sorted(set(unit)), level.tolist(), strict=True)),
        slope.tolist(),
        {where: sorted(found) for where, found in collected.items()},
    )


def _agree(
    unit: Sequence[str], group: Sequence[str], y: NDArray[np.float64], told: NDArray[np.float64]
) -> bool:
    """Whether other groups tell more of an architecture than its features; also where few do."""
    means: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, where, value in zip(unit, group, y.tolist(), strict=True):
        means[name][where].append(value)
    others = np.array([
        np.mean([np.mean(values) for at, values in means[name].items() if at != where] or math.nan)
        for name, where in zip(unit, group, strict=True)
    ])  # fmt: skip
    shared = np.isfinite(others)
    if len({name for name, among in zip(unit, shared, strict=True) if among}) < MIN_GROUPS:
        return True
    return rank_correlation(others[shared], y[shared]) > rank_correlation(told[shared], y[shared])
