"""The runs that come with earlycall: sixteen small networks on handwritten digits, really trained.

Written by ``examples/pack_digits.py`` from ``examples/digits``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earlycall.curves import CurveSet

FOLDER = Path(__file__).parent


def demo() -> CurveSet:
    """The bundled runs with their outcomes, the accuracies on test images.

    Examples:
        >>> curves = demo()
        >>> len(curves), curves.metrics
        (16, ['train_loss', 'val_loss', 'val_accuracy'])
    """
    from earlycall.readers import read

    return replace(read(FOLDER), name="digits")
