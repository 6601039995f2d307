"""Architectures in, a matrix of numbers out."""

from __future__ import annotations

import json
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
from earlycall.nas.features.numbers import NUMBERS, is_of_one_place
from earlycall.nas.features.paths import PATHS
from earlycall.nas.features.signals import SIGNALS

with needed_for("train-less ranking", "nas"):
    from sklearn.base import BaseEstimator, TransformerMixin

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAMILIES: tuple[Family, ...] = (NUMBERS, NAMES, COUNTS, PATHS, NEIGHBOURHOODS, SIGNALS)
_OF_GRAPHS = (COUNTS, PATHS, NEIGHBOURHOODS, SIGNALS)
MIN_OCCURRENCES = 3
MAX_KEPT = 4096
_of_graphs: dict[str, dict[str, float]] = {}  # what was computed of a graph, by its JSON


def architectures(table: Any) -> list[Architecture]:
    """The architectures in a table, a row each.

    Args:
        table: a pandas, polars or Arrow table, or a list of mappings, with ``arch.*`` and
            optionally ``hp.*``, ``group`` and ``run`` columns.

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
    found = []
    for number, row in enumerate(rows, start=1):
        group = row.get("group")
        described_by = {column: row.get(column) for column in described}
        run = str(row.get("run", number))
        found.append(Architecture(described_by, run, None if group is None else str(group)))
    return found


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
        """The columns of numbers and words: of the whole, of one place each, and in names."""
        recorded: list[int] = []
        placed: list[int] = []
        named: list[int] = []
        for i, name in enumerate(self.names_):
            family = family_of(name)
            if family is NUMBERS:
                (placed if is_of_one_place(name) else recorded).append(i)
            elif family is NAMES and "=" not in name:
                named.append(i)
        return [recorded, placed, named]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The features' names."""
        return np.asarray(self.names_, dtype=object)

    def _matrix(self, rows: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
        """The features of these names; NaN where unknown."""
        place = {name: j for j, name in enumerate(self.names_)}
        absent: dict[str, tuple[list[int], list[float]]] = {}  # by source: columns and values
        for name, j in place.items():
            source, value = _source(name)
            columns, values = absent.setdefault(source, ([], []))
            columns.append(j)
            values.append(value)
        out = np.full((len(rows), len(self.names_)), np.nan)
        for line, row in zip(out, rows, strict=True):
            for source in {_source(name)[0] for name in row} & absent.keys():
                columns, values = absent[source]
                line[columns] = values
            known = [name for name in row if name in place]
            line[[place[name] for name in known]] = [row[name] for name in known]
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
    if text := architecture.columns.get(GRAPH):
        key = text if isinstance(text, str) else json.dumps(text)
        if key not in _of_graphs:
            if len(_of_graphs) >= MAX_KEPT:
                _of_graphs.clear()
            _of_graphs[key] = {
                k: v for family in _OF_GRAPHS for k, v in family.compute(architecture).items()
            }
        features |= _of_graphs[key]
    return features


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
