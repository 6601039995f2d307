"""A curve set from whatever holds curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from earlycall.curves import CurveSet
from earlycall.readers import read


def as_curve_set(curves: Any) -> CurveSet:
    """A curve set from whatever holds curves: a path, a table, a mapping run → losses, an array.

    Raises:
        InputError: if it holds no curves.
    """
    if isinstance(curves, CurveSet):
        return curves
    if isinstance(curves, str | Path):
        return read(curves)
    if isinstance(curves, dict | list | tuple | np.ndarray):
        return CurveSet.from_losses(curves)
    return CurveSet.from_frame(curves)
