"""Architectures in, a matrix of numbers out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.curves import as_polars
from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.nas.features.counts import COUNTS
from earlycall.nas.features.family import GRAPH, Architecture, Family
from earlycall.nas.features.names import NAMES
from earlycall.nas.features.neighbourhoods import NEIGHBOURHOODS
from earlycall.nas.features.numbers import NUMBERS
from earlycall.nas.features.paths import PATHS
from earlycall.nas.features.signals import SIGNALS

with needed_for("train-less ranking", "nas"):
    from sklearn.base import BaseEstimator, TransformerMixin

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAMILIES: tuple[Family, ...] = (NUMBERS, NAMES, COUNTS, PATHS, NEIGHBOURHOODS, SIGNALS)
_OF_GRAPHS = (COUNTS, PATHS, NEIGHBOURHOODS, SIGNALS)
MIN_OCCURRENCES = 3


def architectures(table: Any) -> list[Architecture]:
    """The architectures in a table, a row each.

    Args:
        table: a pandas, polars or Arrow table, or a list of mappings, with ``arch.*`` and
            optionally ``hp.*`` and ``run`` columns.

    Raises:
        InputError: if it is no table, or has no ``arch.*`` column.
    """
    frame = None if isinstance(table, list | tuple) else as_polars(table)
    rows: list[dict[str, Any]] = list(table) if frame is None else frame.to_dicts()
    columns = {key for row in rows for key in row}
    described = sorted(c for c in columns if c.startswith(("arch.", "hp.")))
    if not any(c.startswith("arch.") for c in described):
        raise InputError(
            f"no architecture is described: columns such as 'arch.graph', 'arch.name' or "
            f"'arch.params' are needed; found: {', '.join(sorted(columns)) or 'nothing'}"
        )
    return [
        Architecture({c: row.get(c) for c in described}, str(row.get("run", number)))
        for number, row in enumerate(rows, start=1)
    ]


class ArchitectureFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """From a table of architectures to a matrix of features, as scikit-learn transformers do.

    Features that are the same in all training rows are left out, as are counts and
    neighbourhoods that occur in fewer than three (or a twentieth, if that is fewer). Unknown
    values are replaced by the median of the training rows.

    Attributes:
        names_: the features' names, in the order of the columns.
        medians_: shape (features,).

    Examples:
        >>> rows = [{"arch.name": "resnet18", "arch.params": 11e6},
        ...         {"arch.name": "resnet50", "arch.params": 25e6}]
        >>> features = ArchitectureFeatures().fit(rows)
        >>> features.names_, features.transform(rows).shape
        (['arch.params', 'name:number'], (2, 2))
    """

    def fit(self, X: Any, y: Any = None) -> ArchitectureFeatures:
        """Choose the features and learn their medians from a table of architectures."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, **_: Any) -> NDArray[np.float64]:
        """The same as `fit` and then `transform`, in one go."""
        rows = [_features(a) for a in architectures(X)]
        counts = Counter(name for row in rows for name in row)
        minimum = min(MIN_OCCURRENCES, max(1, len(rows) // 20))
        self.names_ = sorted(n for n, k in counts.items() if k >= minimum or "=" in n)
        matrix = self._matrix(rows)
        finite = np.isfinite(matrix)
        medians = np.array([np.median(column[ok]) if ok.any() else 0.0
                            for column, ok in zip(matrix.T, finite.T, strict=True)])  # fmt: skip
        filled = np.where(finite, matrix, medians)
        varies = np.ptp(filled, axis=0) > 0 if len(filled) else np.zeros(len(medians), bool)
        self.names_ = [name for name, used in zip(self.names_, varies, strict=True) if used]
        self.medians_ = medians[varies]
        if not self.names_:
            raise InputError(
                "the architectures cannot be told apart: all have the same arch.* columns"
            )
        return filled[:, varies]

    def transform(self, X: Any) -> NDArray[np.float64]:
        """The features of a table of architectures, shape (rows, features)."""
        matrix = self._matrix([_features(a) for a in architectures(X)])
        return np.where(np.isfinite(matrix), matrix, self.medians_)

    def blocks(self) -> list[list[int]]:
        """The columns of numbers and words as recorded, and those of numbers in names."""
        of = [family_of(name) for name in self.names_]
        named = [i for i, name in enumerate(self.names_) if of[i] is NAMES and "=" not in name]
        return [[i for i, family in enumerate(of) if family is NUMBERS], named]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The features' names."""
        return np.asarray(self.names_, dtype=object)

    def _matrix(self, rows: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
        """The features of these names; NaN where unknown."""
        sources = [_source(name) for name in self.names_]
        out = np.full((len(rows), len(self.names_)), np.nan)
        for i, row in enumerate(rows):
            described = {_source(name)[0] for name in row}
            for j, (name, (source, absent)) in enumerate(zip(self.names_, sources, strict=True)):
                out[i, j] = row.get(name, absent if source in described else math.nan)
        return out


@lru_cache(maxsize=65536)
def _source(name: str) -> tuple[str, float]:
    """What a feature is computed from, its family or column, and its value where it is absent."""
    family = family_of(name)
    absent = 0.0 if "=" in name and family in (NUMBERS, NAMES) else family.absent
    return name.partition("=")[0] if family is NUMBERS else family.name, absent


def _features(architecture: Architecture) -> dict[str, float]:
    """All features of an architecture; those of a graph are cached."""
    features = NUMBERS.compute(architecture) | NAMES.compute(architecture)
    if architecture.graph is not None:
        features |= _of_graph(architecture.graph.json())
    return features


@lru_cache(maxsize=4096)
def _of_graph(text: str) -> dict[str, float]:
    architecture = Architecture({GRAPH: text})
    return {k: v for family in _OF_GRAPHS for k, v in family.compute(architecture).items()}


@lru_cache(maxsize=65536)
def family_of(name: str) -> Family:
    """The family of a feature.

    Examples:
        >>> family_of("count:nodes").name, family_of("arch.params").name
        ('count', 'arch')
    """
    for family in FAMILIES[1:]:
        if name.startswith(family.name) and ":" in name:
            return family
    return NUMBERS


def meaning(name: str) -> str:
    """What a feature is, in a sentence.

    Examples:
        >>> meaning("count:depth")
        "how many nodes lie on the graph's longest path"
    """
    return family_of(name).meaning(name)


def source(name: str) -> str:
    """Where a feature comes from."""
    return family_of(name).source
