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
from earlycall.approximation.fit import MIN_OBSERVATIONS, Fit, exponent, fit_bins
from earlycall.approximation.parameters import Parameters, Status
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
        # Sums are of losses / 2^exponent, squares of their distances from the first one.
        self._exponent, self._peak, self._first = 0, 0.0, 0.0
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
        loss = self._take_in(loss)
        self._sums[-1] += loss
        self._moments[-1] += self._place * loss
        self._place += 1
        self._left -= 1

    def _update_along(self, loss: float, x: float | None) -> None:
        if x is None or (self._along is None and self._n):
            raise InputError("give x with every loss of a stream or with none")
        if self._along is None:
            self._along = AxisBins()
        self._along.open(x)
        self._along.add(self._take_in(loss), x)

    def _take_in(self, loss: float) -> float:
        """Count the loss, in all but its bin; the loss in the unit of the sums."""
        self._top = max(self._top, loss)
        self._lowest = min(self._lowest, loss)
        if not -math.inf < loss < math.inf:
            self._finite = False
        elif abs(loss) > self._peak:
            self._grow(abs(loss))
        if self._exponent:
            loss = math.ldexp(loss, -self._exponent)
        if not self._n:
            self._first = loss
        self._n += 1
        self._squares += (loss - self._first) * (loss - self._first)
        return loss

    def _grow(self, peak: float) -> None:
        """Note the largest size of a loss so far, and change the unit of the sums if it asks so."""
        self._peak, old, self._exponent = peak, self._exponent, exponent(peak)
        if by := old - self._exponent:
            self._sums = [math.ldexp(v, by) for v in self._sums]
            self._moments = [math.ldexp(v, by) for v in self._moments]
            self._first = math.ldexp(self._first, by)
            self._squares = math.ldexp(self._squares, 2 * by)
            if self._along is not None:
                self._along.multiply_losses(by)

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
            self._extend_bin(part)
            at += len(part)

    def _extend_bin(self, part: Floats) -> None:
        """Take in several losses of the bin that is being filled."""
        top, lowest = float(part.max()), float(part.min())
        self._top, self._lowest = max(self._top, top), min(self._lowest, lowest)
        peak = max(top, -lowest)
        if not -math.inf < peak < math.inf:
            self._finite = False
        elif peak > self._peak:
            self._grow(peak)
        if self._exponent:
            part = np.ldexp(part, -self._exponent)
        self._n += len(part)
        with np.errstate(invalid="ignore"):
            away = part - self._first
            self._sums[-1] += float(part.sum())
            self._moments[-1] += float((self._place + np.arange(len(part))) @ part)
            self._squares += float(away @ away)
        self._place += len(part)
        self._left -= len(part)

    def fit(self) -> Fit:
        """The fit of the losses so far, that of `earlycall.fit` of the same losses.

        Its ``sse`` comes from the sum of squares less what is explained: to about a
        hundred-thousandth of the sum of squares; the batch fit computes it from the losses.
        """
        if self._n < MIN_OBSERVATIONS or not self._finite:
            nan = float("nan")
            status = Status.SHORT if self._n < MIN_OBSERVATIONS else Status.DIVERGED
            return Fit(nan, nan, nan, nan, status, self._n, nan, nan)
        bins = self._bins() if self._along is None else self._along.bins()
        copied = Bins(bins.layout, bins.data.copy())
        top, lowest = (math.ldexp(v, -self._exponent) for v in (self._top, self._lowest))
        part = fit_bins(copied, np.array([top]), lambda _: lowest)
        sse = self._squared_error(part, bins)
        part = part.times_power_of_two(self._exponent)
        b1, b2, b3, scale, shift = (
            float(v[0]) for v in (part.b1, part.b2, part.b3, part.scale, part.shift)
        )
        return Fit(b1, b2, b3, sse, str(part.status[0]), self._n, scale, shift)

    def _bins(self) -> Bins:
        moments = self._moments[SINGLE_BINS:]
        if moments and self._left:
            # The last bin is not full: its moment is about the middle of what is there.
            moments[-1] += self._sums[-1] * self._left / 2
        return Bins(index_layout(self._n), np.array([*self._sums, *moments])[:, None])

    def _squared_error(self, part: Parameters, bins: Bins) -> float:
        """Σ(y − f)² on the normalised loss, with f averaged over each bin and its slope."""
        if part.status[0] == Status.FLAT and self._top == self._lowest:
            return 0.0
        layout = bins.layout
        B, wide = layout.bins, slice(layout.bins - layout.wide, None)
        x, count, weight = layout.x, layout.count[:, 0], layout.weight[B:, 0]
        scale, shift = float(part.scale[0]), float(part.shift[0])
        f = (part.predict(x.T)[0] - shift) / scale
        slope = part.slope(x.T)[0, wide] / scale
        f[wide] += part.curvature(x.T)[0, wide] / scale * layout.spread[:, 0] / 2
        # From the first loss, of which the squares are the distances, to the fit.
        away = (self._first - shift) / scale - f
        gaps = (bins.data[:B, 0] - self._first * count) / scale
        moment = bins.data[B:, 0] / scale
        square = float(count @ (away * away) + weight @ (slope * slope))
        product = float(gaps @ away - moment @ slope)
        return max(self._squares / scale / scale + 2 * product + square, 0.0)

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
        one, two = (StreamingFit.from_state(s.state_dict()) for s in (self, later))
        for stream in (one, two):
            stream._grow(max(self._peak, later._peak))
        gap = two._first - one._first
        two._squares += gap * (2 * (math.fsum(two._sums) - len(two) * two._first) + len(two) * gap)
        state, other = one.state_dict(), two.state_dict()
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
            "first": self._first,
            "exponent": self._exponent,
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
            stream._peak = max(stream._top, -stream._lowest, 0.0)
            stream._first, stream._exponent = float(state["first"]), int(state["exponent"])
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

    def open(self, x: float) -> None:
        """Make room for a loss at x.

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

    def add(self, loss: float, x: float) -> None:
        """Take in a loss at x, for which there is room."""
        row, d = self.rows[-1], x - self.rows[-1][0]
        for i, value in enumerate((1.0, d, d * d, d**3, d**4, loss, d * loss), start=1):
            row[i] += value

    def multiply_losses(self, exponent: int) -> None:
        """Make the losses so far 2^exponent times as large."""
        for row in self.rows[1:]:
            row[6:] = (math.ldexp(v, exponent) for v in row[6:])

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
