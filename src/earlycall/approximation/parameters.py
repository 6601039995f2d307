"""The parameters of approximations, and what follows from them alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from earlycall.curves import Ragged

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


class Status(StrEnum):
    """What a fit turned out to be; the limits are named rather than hidden."""

    OK = "ok"
    FLAT = "flat"  # a → 0: nothing falls, f is the mean
    LINEAR = "linear"  # c → ∞: no bend within the data
    POLE = "c=0"  # b1 = 0: as steep at the start as the model can be
    SHIFTED = "shifted"  # a negative mean loss: fitted on losses lifted above 0
    SHORT = "short"  # fewer than 3 observations: no fit
    DIVERGED = "diverged"  # not all finite: no fit


@dataclass(frozen=True)
class Parameters:
    """The parameters of m approximations of ``loss / scale``.

    On the loss itself the approximation is ``scale · (1/(b1 + b2·x) + b3) + shift``.

    Attributes:
        b1, b2, b3: shape (m,), ≥ 0; NaN where there is no fit.
        status: shape (m,), strings, see `Status`.
        scale: shape (m,), the largest loss (less ``shift``), in the units of the loss.
        shift: shape (m,), 0; where the mean loss is negative, since the published normalisation has
            no meaning there (status ``shifted``): a whole range below the smallest loss, so that
            b3 ≥ 0 leaves the curve room to fall.
    """

    b1: Floats
    b2: Floats
    b3: Floats
    scale: Floats
    shift: Floats
    status: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.b1)

    def times_power_of_two(self, exponent: int) -> Parameters:
        """The approximations of losses that are 2^exponent times as large."""
        scale, shift = (np.ldexp(a, exponent) for a in (self.scale, self.shift))
        return Parameters(self.b1, self.b2, self.b3, scale, shift, self.status)

    def predict(self, x: ArrayLike) -> Floats:
        """f(x) in the units of the loss; x of shape (m,) or (m, k) or a number for all."""
        b1, b2, x = self._aligned(x)
        with np.errstate(divide="ignore"):
            f = 1 / (b1 + b2 * x) + align(self.b3, x)
        return align(self.scale, x) * f + align(self.shift, x)

    def slope(self, x: ArrayLike) -> Floats:
        """f'(x) = −b2/(b1 + b2·x)² · scale, in loss per unit of x; shapes as in `predict`."""
        b1, b2, x = self._aligned(x)
        return -align(self.scale, x) * b2 / (b1 + b2 * x) ** 2

    def curvature(self, x: ArrayLike) -> Floats:
        """f''(x) = 2·b2²/(b1 + b2·x)³ · scale, in loss per unit of x²; shapes as in `predict`."""
        b1, b2, x = self._aligned(x)
        return 2 * align(self.scale, x) * b2**2 / (b1 + b2 * x) ** 3

    def _aligned(self, x: ArrayLike) -> tuple[Floats, Floats, Floats]:
        x = np.asarray(x, dtype=np.float64)
        x = x if x.ndim else np.full(len(self), float(x))
        return align(self.b1, x), align(self.b2, x), x

    def slopes(self, x: Ragged) -> Floats:
        """F' at the points of each curve, shape (total,)."""
        return np.asarray(-(self.scale * self.b2)[x.row] / self._denominators(x) ** 2)

    def normed_slopes(self, x: Ragged) -> Floats:
        """f'/√f'' = −√(scale/(2·(b1 + b2·x))) as in `slopes`; 0 where a curve does not fall."""
        with np.errstate(divide="ignore", invalid="ignore"):
            normed = -np.sqrt(self.scale[x.row] / (2 * self._denominators(x)))
        return np.where(self.b2[x.row] == 0, 0.0, normed)

    def _denominators(self, x: Ragged) -> Floats:
        return self.b1[x.row] + self.b2[x.row] * x.values


def align(parameter: Floats, x: Floats) -> Floats:
    """A parameter of shape (m,) made to broadcast against x of shape (m,) or (m, k)."""
    return parameter[:, None] if x.ndim == 2 else parameter
