"""Loss curves: one run's (`Curve`), a group's prefixes (`Prefixes`), many runs' (`CurveSet`)."""

from earlycall.curves.columns import AXES, COSTS, KEYS, Axis, Direction
from earlycall.curves.curve_set import CurveSet, as_polars
from earlycall.curves.prefixes import Curve, Prefixes
from earlycall.curves.ragged import Ragged

__all__ = [
    "AXES", "COSTS", "KEYS", "Axis", "Curve", "CurveSet", "Direction", "Prefixes", "Ragged",
    "as_polars",
]  # fmt: skip
