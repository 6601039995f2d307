"""The fit of a curve that is still growing: `StreamingFit` keeps its bins only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.approximation.bins import (
    AXIS_BINS_PER_DOUBLING,
    BINS_PER_DOUBLING,
    SINGLE_BINS,
    Bins,
    Layout,
    bin_starts,
    index_layout,
)
from earlycall.approximation.fit import MIN_OBSERVATIONS, Fit, fit_bins
from earlycall.approximation.parameters import Status
from earlycall.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class StreamingFit:
    """The approximation of a growing curve, updated loss by loss in constant time.

    Along x = 1…n the bins depend on the number of the observation alone (see `bins`), so
    that what is kept are exactly the sums and first moments that the batch fit makes of the losses:
    92 bins after a million losses, 106 after ten million. Along an axis of its own (``x`` with each
    update) there are eight bins to each doubling of the distance from the start, which agree with
    the batch fit to about 1e-5. The fit is computed when it is asked for.

    Examples:
        >>> stream = StreamingFit()
        >>> for k in range(1, 101):
        ...     stream.update(2 / (1 + 0.1 * k) + 0.5)
        >>> round(float(stream.fit()(1000)), 4), len(stream)
        (0.5198, 100)
    """

    def __init__(self) -> None:
        self._n = 0
        self._sums: list[float] = []
        # The first moments are about the middle of a whole bin, also while it fills.
        self._moments: list[float] = []
        self._place = 0.0  # of the next loss, from the middle of its bin
        self._left = 0  # losses until the bin is full
        self._top, self._lowest, self._squares = -math.inf, math.inf, 0.0
        self._finite = True
        self._workers = 1
        self._along: AxisBins | None = None

    def __len__(self) -> int:
        """The number of losses so far."""
        return self._n

    def update(self, loss: float, x: float | None = None) -> None:
        """Take in the next loss; one that is not finite makes the fit ``diverged`` for good.

        Args:
            loss: the loss.
            x: where it lies on the axis, not below the one before; with every loss or with none.

        Raises:
            InputError: if x falls, is negative or not finite, or came with some losses only.
        """
        if x is not None or self._along is not None:
            self._update_along(loss, x)
            return
        if self._left == 0:
            width = _width(self._n)
            self._left, self._place = width, (1 - width) / 2
            self._sums.append(0.0)
            self._moments.append(0.0)
        self._n += 1
        self._sums[-1] += loss
        self._moments[-1] += self._place * loss
        self._squares += loss * loss
        self._place += 1
        self._left -= 1
        self._top = max(self._top, loss)
        self._lowest = min(self._lowest, loss)
        if not -math.inf < loss < math.inf:
            self._finite = False

    def _update_along(self, loss: float, x: float | None) -> None:
        if x is None or (self._along is None and self._n):
            raise InputError("give x with every loss of a stream or with none")
        if self._along is None:
            self._along = AxisBins()
        self._along.add(loss, x)
        self._n += 1
        self._squares += loss * loss
        self._top, self._lowest = max(self._top, loss), min(self._lowest, loss)
        self._finite = self._finite and math.isfinite(loss)

    def extend(self, losses: Iterable[float]) -> None:
        """Take in several losses, much faster than one by one.

        Args:
            losses: a flat sequence of numbers, or an array of shape (k,).

        Raises:
            InputError: if it is not flat, or the stream has an axis of its own.
        """
        if self._along is not None:
            raise InputError("give x with every loss of a stream or with none")
        values = np.asarray(
            losses if isinstance(losses, np.ndarray) else list(losses), dtype=np.float64
        )
        if values.ndim != 1:
            raise InputError(f"losses must be flat, got shape {values.shape}")
        at = 0
        while at < len(values):
            if self._left <= 1:
                self.update(float(values[at]))
                at += 1
                continue
            part = values[at : at + self._left]
            self._n += len(part)
            self._sums[-1] += float(part.sum())
            self._moments[-1] += float((self._place + np.arange(len(part))) @ part)
            self._squares += float(part @ part)
            self._place += len(part)
            self._left -= len(part)
            self._top = max(self._top, float(part.max()))
            self._lowest = min(self._lowest, float(part.min()))
            self._finite = self._finite and bool(np.isfinite(part).all())
            at += len(part)

    def fit(self) -> Fit:
        """The fit of the losses so far, that of `earlycall.fit` of the same losses.

        Its ``sse`` comes from the sum of squares less what is explained: to about a millionth of
        the sum of squares, where the batch fit computes it from the losses themselves.
        """
        if self._n < MIN_OBSERVATIONS or not self._finite:
            nan = float("nan")
            status = Status.SHORT if self._n < MIN_OBSERVATIONS else Status.DIVERGED
            return Fit(nan, nan, nan, nan, status, self._n, nan, nan)
        bins = self._bins() if self._along is None else self._along.bins()
        copied = Bins(bins.layout, bins.data.copy())
        part = fit_bins(copied, np.array([self._top]), lambda _: self._lowest)
        b1, b2, b3 = float(part.b1[0]), float(part.b2[0]), float(part.b3[0])
        scale, shift = float(part.scale[0]), float(part.shift[0])
        fitted = Fit(b1, b2, b3, 0.0, str(part.status[0]), self._n, scale, shift)
        return Fit(
            b1, b2, b3, self._squared_error(fitted, bins), fitted.status, self._n, scale, shift
        )

    def _bins(self) -> Bins:
        moments = self._moments[SINGLE_BINS:]
        if moments and self._left:
            # The last bin is not full: its moment is about the middle of what is there.
            moments[-1] += self._sums[-1] * self._left / 2
        return Bins(index_layout(self._n), np.array([*self._sums, *moments])[:, None])

    def _squared_error(self, fitted: Fit, bins: Bins) -> float:
        """Σ(y − f)² on the normalised loss, with f averaged over each bin and its slope."""
        layout = bins.layout
        B, wide = layout.bins, slice(layout.bins - layout.wide, None)
        x, count, weight = layout.x[:, 0], layout.count[:, 0], layout.weight[B:, 0]
        scale, shift = fitted.scale, fitted.shift
        f = (fitted(x) - shift) / scale
        slope = fitted.slope(x)[wide] / scale
        f[wide] += fitted.curvature(x)[wide] / scale * layout.spread[:, 0] / 2
        sums = (bins.data[:B, 0] - shift * count) / scale
        total = self._squares - 2 * shift * float(bins.data[:B].sum()) + self._n * shift**2
        product = float(sums @ f + bins.data[B:, 0] @ slope / scale)
        square = float(count @ (f * f) + weight @ (slope * slope))
        return max(total / scale**2 - 2 * product + square, 0.0)

    def merge(self, later: StreamingFit) -> StreamingFit:
        """The stream of these losses averaged with those that others saw at the same steps.

        Workers that train one model together each see a loss of their own at every step; the mean
        of their losses is the loss of the model. Means weigh each worker alike. The fit on the
        scale of the losses is that of the means; ``scale`` is the mean of the workers' largest
        losses, and ``sse`` is the mean over workers of the squared errors of their own losses.

        Raises:
            InputError: if their lengths differ, or they have an axis of their own.

        Examples:
            >>> a, b = StreamingFit(), StreamingFit()
            >>> a.extend([4.0, 2.0, 1.0]); b.extend([2.0, 2.0, 3.0])
            >>> a.merge(b).state_dict()["sums"]
            [3.0, 2.0, 2.0]
        """
        if self._along is not None or later._along is not None:
            raise InputError("streams with an axis of their own cannot be merged")
        if len(self) != len(later):
            raise InputError(
                f"streams of {len(self)} and {len(later)} losses cannot be merged: workers must "
                "have seen equally many steps"
            )
        state, other = self.state_dict(), later.state_dict()
        own, others = state["workers"], other["workers"]
        for key in ("sums", "moments"):
            state[key] = [
                (own * a + others * b) / (own + others)
                for a, b in zip(state[key], other[key], strict=True)
            ]
        for key in ("squares", "top", "lowest"):
            state[key] = (own * state[key] + others * other[key]) / (own + others)
        state["finite"] = state["finite"] and other["finite"]
        state["workers"] = own + others
        return StreamingFit.from_state(state)

    def state_dict(self) -> dict[str, Any]:
        """What has to be kept to go on, exactly: numbers and lists of numbers, for JSON."""
        return {
            "version": 1,
            "n": self._n,
            "sums": list(self._sums),
            "moments": list(self._moments),
            "squares": self._squares,
            "top": self._top,
            "lowest": self._lowest,
            "finite": self._finite,
            "workers": self._workers,
            "along": None if self._along is None else self._along.rows,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> StreamingFit:
        """The stream of which `state_dict` was taken; it goes on as if nothing had happened.

        Raises:
            InputError: if it is no such state.

        Examples:
            >>> stream = StreamingFit()
            >>> stream.extend([3.0, 2.0, 1.5])
            >>> StreamingFit.from_state(stream.state_dict()).fit() == stream.fit()
            True
        """
        try:
            if state["version"] != 1:
                raise InputError(f"a stream of version {state['version']}; this is version 1")
            stream = cls()
            stream._n, stream._finite = int(state["n"]), bool(state["finite"])
            stream._workers = int(state["workers"])
            stream._sums = [float(v) for v in state["sums"]]
            stream._moments = [float(v) for v in state["moments"]]
            stream._squares, stream._top, stream._lowest = (
                float(state[k]) for k in ("squares", "top", "lowest")
            )
            if state["along"] is not None:
                stream._along = AxisBins([[float(v) for v in row] for row in state["along"]])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not the state of a StreamingFit: {error!r}") from None
        if stream._along is not None:
            return stream
        if stream._n:
            start = int(bin_starts(stream._n)[-1])
            width = _width(start)
            stream._left = start + width - stream._n
            stream._place = (1 - width) / 2 + stream._n - start
        if len(stream._sums) != len(bin_starts(stream._n)) or len(stream._moments) != len(
            stream._sums
        ):
            raise InputError(f"not the state of a StreamingFit of {stream._n} losses: bins missing")
        return stream


class AxisBins:
    """Bins along an axis of its own, eight to each doubling of the distance from the start.

    A row is a bin: its first x, then of d = x − first x and the loss y the count, Σd, Σd², Σd³,
    Σd⁴, Σy, Σd·y. The first row holds the first x and the first gap instead, and no losses.
    """

    def __init__(self, rows: list[list[float]] | None = None) -> None:
        self.rows = rows or []

    def add(self, loss: float, x: float) -> None:
        """Take in a loss at x.

        Raises:
            InputError: if x falls, is negative or not finite.
        """
        if not (0 <= x < math.inf):
            raise InputError(f"x must be finite and at least 0, got {x}")
        if not self.rows:
            self.rows = [[x, 0.0, x, 0.0]]
        start = self.rows[0]
        if x < start[2]:
            raise InputError(f"x must not fall along a curve; {x:g} came after {start[2]:g}")
        if not start[1]:
            start[1] = x - start[0]  # the unit of distance: the first gap there is
        start[2] = x
        # The place of the bin; everything at the first x is one bin.
        distance = (x - start[0]) / start[1] + 1 if start[1] else 1.0
        place = float(int(AXIS_BINS_PER_DOUBLING * math.log2(distance)))
        if len(self.rows) == 1 or place > start[3]:
            start[3] = place
            self.rows.append([x, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        row, d = self.rows[-1], x - self.rows[-1][0]
        for i, value in enumerate((1.0, d, d * d, d**3, d**4, loss, d * loss), start=1):
            row[i] += value

    def bins(self) -> Bins:
        """The bins with their central moments, every one counted as wide."""
        first, count, d1, d2, d3, d4, total, moment = np.array(self.rows[1:]).T
        m = d1 / count
        spread = np.maximum(d2 / count - m**2, 0.0)
        fourth = d4 / count - 4 * m * d3 / count + 6 * m**2 * d2 / count - 3 * m**4
        weight = np.concatenate([count, count * spread])[:, None]
        data = np.concatenate([total, moment - m * total])[:, None]
        layout = Layout(
            (first + m)[:, None], spread[:, None], np.maximum(fourth, 0.0)[:, None], weight
        )
        return Bins(layout, data)


def _width(index: int) -> int:
    """How many observations a whole bin holds, of which the first is at this index, from 0."""
    if index < SINGLE_BINS:
        return 1
    return int((1 << (index.bit_length() - 1)) // BINS_PER_DOUBLING)
