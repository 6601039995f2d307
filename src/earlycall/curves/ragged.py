"""Rows of different lengths in one flat array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths in one flat array: row i is ``values[offsets[i]:offsets[i+1]]``.

    Attributes:
        values: shape (total,).
        offsets: shape (rows + 1,), integers, from 0 to total.

    Examples:
        >>> r = Ragged.of([[3.0, 2.0], [5.0]])
        >>> r[0].tolist(), r.lengths.tolist(), r.last().tolist()
        ([3.0, 2.0], [2, 1], [2.0, 5.0])
    """

    values: NDArray[np.float64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[ArrayLike]) -> Ragged:
        """Concatenate rows, each of shape (n_i,)."""
        arrays = [np.asarray(row, dtype=np.float64) for row in rows]
        lengths = [len(a) for a in arrays]
        flat = np.concatenate(arrays) if arrays else np.empty(0)
        return cls(flat, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))

    @classmethod
    def join(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of several, one after the other."""
        lengths = np.concatenate([part.lengths for part in parts])
        values = np.concatenate([part.values for part in parts])
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.float64]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        return (self[i] for i in range(len(self)))

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of values in each row, shape (rows,)."""
        return np.diff(self.offsets)

    @cached_property
    def row(self) -> NDArray[np.int64]:
        """The row that each value belongs to, shape (total,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def position(self) -> NDArray[np.int64]:
        """The place of each value within its row, from 0, shape (total,)."""
        return np.arange(len(self.values)) - np.repeat(self.offsets[:-1], self.lengths)

    def reduce(self, ufunc: np.ufunc) -> NDArray[np.float64]:
        """Reduce each row by a ufunc such as ``np.minimum``; NaN for an empty row."""
        out = np.full(len(self), np.nan)
        filled = self.lengths > 0
        if filled.any():
            out[filled] = ufunc.reduceat(self.values, self.offsets[:-1][filled])
        return out

    def first(self) -> NDArray[np.float64]:
        """The first value of each row, NaN for an empty row."""
        return self._at(self.offsets[:-1])

    def last(self) -> NDArray[np.float64]:
        """The last value of each row, NaN for an empty row."""
        return self._at(self.offsets[1:] - 1)

    def _at(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        out = np.full(len(self), np.nan)
        filled = self.lengths > 0
        out[filled] = self.values[index[filled]]
        return out

    def all_finite(self) -> NDArray[np.bool_]:
        """Whether each row holds only finite values; true for an empty row."""
        bad = np.flatnonzero(~np.isfinite(self.values))
        finite = np.ones(len(self), dtype=bool)
        finite[np.searchsorted(self.offsets, bad, side="right") - 1] = False
        return finite
