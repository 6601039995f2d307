"""Features of an architecture, before any training.

Each family is a file: numbers, names, and of graphs the counts, paths, neighbourhoods and signals.
`module` describes a ``torch.nn.Module`` in the columns that these read, `zero_cost` adds measures
on one batch.
"""

from earlycall.nas.features.family import Architecture, Family
from earlycall.nas.features.graph import Graph
from earlycall.nas.features.table import (
    FAMILIES,
    ArchitectureFeatures,
    architectures,
    meaning,
    source,
)

__all__ = [
    "FAMILIES", "Architecture", "ArchitectureFeatures", "Family", "Graph", "architectures",
    "meaning", "source",
]  # fmt: skip
