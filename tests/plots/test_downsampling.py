"""Thinned curves look as whole ones do."""

from itertools import pairwise

import numpy as np
import pytest

from earlycall.curves import Ragged
from earlycall.plots.downsampling import corners, extremes


@pytest.mark.parametrize("tolerance", [0.01, 0.1, 1.0])
def test_lines_between_corners_pass_all_points_within_the_tolerance(tolerance):
    rng = np.random.default_rng(0)
    lengths = [1, 2, 3, 500, 0, 40, 1000]
    x = Ragged.of([np.cumsum(rng.uniform(0, 2, n)) for n in lengths])
    y = Ragged.of([3 / (1 + row) + rng.normal(0, 0.05, len(row)) for row in x])
    kept = corners(x, y, tolerance)
    assert (np.diff(kept) > 0).all()
    for i, n in enumerate(lengths):
        mine = kept[(kept >= x.offsets[i]) & (kept < x.offsets[i + 1])]
        if not n:
            assert not len(mine)
            continue
        assert (mine[0], mine[-1]) == (x.offsets[i], x.offsets[i + 1] - 1)
        line = np.interp(x[i], x.values[mine], y.values[mine])
        assert np.abs(line - y[i]).max() <= tolerance + 1e-12
    if tolerance == 1.0:
        assert len(kept) < 20


def test_extremes_hold_the_range_of_every_column_of_pixels():
    rng = np.random.default_rng(0)
    x, y = np.arange(10_000.0), rng.standard_cauchy(10_000)
    thin_x, thin_y = extremes(x, y, 2000)
    assert len(thin_x) <= 2000
    assert (np.diff(thin_x) > 0).all()
    assert (thin_x[0], thin_x[-1]) == (0, 9999)
    assert (thin_y == y[thin_x.astype(int)]).all()
    columns = np.linspace(0, 10_000, 1000).astype(int)
    for first, last in pairwise(columns.tolist()):
        mine = thin_y[(thin_x >= first) & (thin_x < last)]
        assert (mine.min(), mine.max()) == (y[first:last].min(), y[first:last].max())
