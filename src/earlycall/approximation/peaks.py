"""Where values on a grid are largest between its nodes: a polynomial through the neighbours.

For the scan of `projection`: its values are smooth in t = log s (each is a logistic function of t,
with no pole nearer than π), so that the polynomial through 11 nodes, 0.2 apart, is as good as the
function itself: to 3e-9 of the length of the losses, and its slope to 3e-8.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

REACH = 5  # nodes on either side that the polynomial goes through
NEWTON_STEPS = 3

OFFSETS = np.arange(-REACH, REACH + 1)
# From the values at the nodes to the coefficients of the polynomial, and of its derivatives.
VALUE = np.linalg.inv(np.vander(OFFSETS.astype(np.float64), increasing=True))
_SLOPE = VALUE[1:] * np.arange(1, 2 * REACH + 1)[:, None]
_BEND = _SLOPE[1:] * np.arange(1, 2 * REACH)[:, None]


@dataclass(frozen=True)
class Peak:
    """The largest of k rows of values; each of shape (k,), but for the powers.

    Attributes:
        node: the number of the largest value on the grid.
        powers: shape (P, k): of u, how far it is from there to the peak, from u⁰ on.
        value, slope, bend: of the polynomial there, and its first two derivatives by u.
    """

    node: NDArray[np.int64]
    powers: Floats
    value: Floats
    slope: Floats
    bend: Floats

    @property
    def u(self) -> Floats:
        """How far it is from the node to the peak, in steps of the grid, between −1 and 1."""
        return np.asarray(self.powers[1])

    def at(self, coefficients: Floats) -> Floats:
        """Polynomials at the peaks, of one for each node: shape (P, G) to (k,)."""
        return _evaluate(coefficients[:, self.node], self.powers)

    def of(self, values: Floats) -> Floats:
        """Other values at the peaks, shape (k, G) to (k,)."""
        return _evaluate(VALUE @ _neighbours(values, self.node), self.powers)


def find_peak(values: Floats, node: NDArray[np.int64]) -> Peak:
    """The peaks of k rows of G values, within a step of their largest ones.

    Newton's method, uphill also where the polynomial bends upwards. Beyond the first and the last
    node that have REACH neighbours on either side there is no peak.

    Args:
        values: shape (k, G).
        node: shape (k,), the largest value of each row, from REACH to G − 1 − REACH.

    Examples:
        >>> t = np.arange(20.0)
        >>> peak = find_peak(-((t - 9.25) ** 2)[None], np.array([9]))
        >>> (peak.node + peak.u).round(6).tolist()
        [9.25]
    """
    near = _neighbours(values, node)
    coefficients, slopes, bends = VALUE @ near, _SLOPE @ near, _BEND @ near
    low = np.where(node == REACH, 0.0, -1.0)
    high = np.where(node == values.shape[1] - 1 - REACH, 0.0, 1.0)
    powers, bend = _powers(np.zeros(len(node))), bends[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(NEWTON_STEPS):
            u = powers[1] + _evaluate(slopes, powers) / np.abs(bend)
            powers = _powers(np.minimum(np.maximum(u, low), high))
            bend = _evaluate(bends, powers)
    return Peak(node, powers, _evaluate(coefficients, powers), _evaluate(slopes, powers), bend)


def _neighbours(values: Floats, node: NDArray[np.int64]) -> Floats:
    k, G = values.shape
    return np.asarray(values.reshape(-1)[np.arange(k) * G + node + OFFSETS[:, None]])


def _powers(u: Floats) -> Floats:
    powers = np.empty((len(OFFSETS), len(u)))
    powers[0] = 1
    for lower, power in itertools.pairwise(powers):
        np.multiply(lower, u, out=power)
    return powers


def _evaluate(coefficients: Floats, powers: Floats) -> Floats:
    return np.asarray(np.einsum("pk,pk->k", coefficients, powers[: len(coefficients)]))
