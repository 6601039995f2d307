"""Peaks between the nodes of a grid."""

import numpy as np
import pytest

from earlycall.approximation.peaks import REACH, find_peak


def largest(values):
    return values[:, REACH:-REACH].argmax(axis=1) + REACH


def test_smooth_peaks_are_found_between_the_nodes():
    t = 0.2 * np.arange(40)
    at = np.linspace(1.5, 6.3, 101)
    values = 1 / np.cosh((t - at[:, None]) / 2) ** 2
    peak = find_peak(values, largest(values))
    np.testing.assert_allclose(0.2 * (peak.node + peak.u), at, rtol=0, atol=1e-7)
    np.testing.assert_allclose(peak.value, 1, rtol=1e-8)
    assert np.abs(peak.slope).max() < 1e-9
    assert (peak.bend < 0).all()
    np.testing.assert_allclose(peak.of(np.cos(0.1 * values)), np.cos(0.1), rtol=1e-7)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("curve", [np.exp, np.arctan])
def test_there_is_no_peak_beyond_the_ends(sign, curve):
    values = curve(sign * 0.1 * np.arange(-15.0, 16))[None]
    peak = find_peak(values, largest(values))
    assert peak.node[0] == (30 - REACH if sign > 0 else REACH)
    assert peak.u[0] == 0
    assert peak.slope[0] * sign > 0
