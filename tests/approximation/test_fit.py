"""The fit against scipy's, on curves that are easy, hard and impossible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import OptimizeWarning, curve_fit

from earlycall import InputError, fit, fit_many, read


def model(x, b1, b2, b3):
    return 1 / (b1 + b2 * x) + b3


def published(y):
    """The squared error that the published settings reach, on y / max(y)."""
    k = np.arange(1, len(y) + 1)
    with np.errstate(all="ignore"):
        try:
            p = curve_fit(model, k, y / y.max(), bounds=(0, np.inf), maxfev=2000)[0]
        except RuntimeError:
            return np.inf
    return float(np.sum((model(k, *p) - y / y.max()) ** 2))


def squared_error(f, y):
    k = np.arange(1, len(y) + 1)
    return float(np.sum((model(k, f.b1, f.b2, f.b3) - (y - f.shift) / f.scale) ** 2))


@pytest.mark.filterwarnings("ignore::scipy.optimize.OptimizeWarning")
@settings(max_examples=60, deadline=None)
@given(
    n=st.sampled_from([3, 4, 7, 30, 65, 200, 1000, 4000]),
    drop=st.floats(0, 50),
    floor=st.floats(0, 1),
    noise=st.sampled_from([0, 1e-6, 1e-3, 0.1, 0.5]),
    seed=st.integers(0, 1000),
)
def test_never_worse_than_curve_fit(n, drop, floor, noise, seed):
    rng = np.random.default_rng(seed)
    k = np.arange(1, n + 1)
    y = np.abs(rng.uniform(0.5, 3) / (1 + drop * k / n) + floor + rng.normal(0, noise, n)) + 1e-3
    f = fit(y)
    assert min(f.b1, f.b2, f.b3) >= 0
    assert f.sse == pytest.approx(squared_error(f, y), rel=1e-6, abs=1e-14)
    # Long stretches of a curve are summed before they are fitted: a few parts in a million worse.
    assert f.sse <= published(y) * (1 + 1e-5) + 1e-12


@pytest.mark.parametrize("b", [(1, 0.1, 0.2), (0.5, 3, 0), (2, 1e-3, 0.1), (0, 1, 0.3), (40, 2, 9)])
@pytest.mark.parametrize("n", [20, 300, 20_000])
@pytest.mark.parametrize("scale", [1e-12, 1, 1e12])
def test_the_parameters_of_an_exact_curve_are_found(b, n, scale):
    k = np.arange(1, n + 1)
    y = scale * model(k, *b)
    f = fit(y)
    np.testing.assert_allclose(f(k), y, rtol=1e-6)
    far = 3 * n
    np.testing.assert_allclose(f(far), scale * model(far, *b), rtol=1e-4)
    slope = -scale * b[1] / (b[0] + b[1] * k) ** 2
    np.testing.assert_allclose(f.slope(k), slope, rtol=1e-3)
    np.testing.assert_allclose(f.curvature(k), -2 * slope * b[1] / (b[0] + b[1] * k), rtol=1e-2)


def test_limits_have_names():
    k = np.arange(1, 101)
    assert fit(np.full(100, 2.5)).status == "flat"
    assert fit(np.full(100, 2.5))(7) == pytest.approx(2.5)
    assert fit(0.5 + 0.01 * k).status == "flat", "a rising curve"
    assert fit(0.5 + 0.01 * k)(1) == pytest.approx(np.mean(0.5 + 0.01 * k))
    assert fit(2 / k + 0.5).status == "c=0"
    assert fit(np.zeros(10)).status == "flat"
    assert fit(np.zeros(10))(3) == 0
    assert fit([1.0, 2.0]).status == "short"
    assert fit([1.0, np.nan, 2.0]).status == "diverged"
    assert fit([1.0, np.inf, 2.0]).status == "diverged"
    assert fit([]).status == "short"
    assert np.isnan(fit([1.0]).b1)


def test_a_straight_line_keeps_its_slope():
    k = np.arange(1, 101)
    line = 1000 - 0.001 * k
    f = fit(line)
    np.testing.assert_allclose(f(k), line, rtol=1e-6)
    np.testing.assert_allclose(f.slope(k), -0.001, rtol=1e-2)
    assert f.status == "linear"


def test_negative_losses_are_fitted_above_their_smallest():
    k = np.arange(1, 201)
    y = -100 + 50 / (1 + 0.1 * k)
    f = fit(y)
    assert f.status == "shifted"
    np.testing.assert_allclose(f(k), y, rtol=1e-6)
    assert np.all(f.slope(k) < 0)


def test_a_little_noise_below_zero_is_fitted_as_published():
    rng = np.random.default_rng(0)
    y = 1 / np.arange(1, 200) + rng.normal(0, 0.05, 199)
    assert y.min() < 0
    f = fit(y)
    assert f.status != "shifted"
    assert f.sse <= published(y) * (1 + 1e-9)


def test_one_outlier_of_a_million():
    k = np.arange(1, 501)
    y = 2 / (1 + 0.05 * k) + 0.5
    y[250] = 1e6
    f = fit(y)
    assert np.isfinite([f.b1, f.b2, f.b3, f.sse]).all()
    assert f.sse <= published(y) * (1 + 1e-6)


def test_float32_and_repeated_x():
    k = np.arange(1, 301)
    y = 2 / (1 + 0.05 * k) + 0.5
    np.testing.assert_allclose(fit(y.astype(np.float32))(k), y, rtol=1e-5)
    f = fit(np.repeat(y, 2), x=np.repeat(k, 2))
    np.testing.assert_allclose(f(k), y, rtol=1e-6)


def test_other_axes():
    x = np.sort(np.random.default_rng(1).uniform(0, 5000, 2000))
    x[0] = 0
    y = 3 / (1 + 0.01 * x) + 0.25
    np.testing.assert_allclose(fit(y, x=x)(x), y, rtol=1e-5)
    with pytest.raises(InputError, match="a value per loss"):
        fit(y, x=x[1:])
    with pytest.raises(InputError, match="must not fall"):
        fit([3.0, 2.0, 1.0], x=[1, 3, 2])
    with pytest.raises(InputError, match="at least 0"):
        fit([3.0, 2.0, 1.0], x=[-1, 0, 2])


def test_many_are_fitted_as_each_alone():
    rng = np.random.default_rng(3)
    curves = [2 / (1 + rng.uniform(0.01, 1) * np.arange(1, n + 1)) + rng.normal(0, 0.01, n)
              for n in (3, 50, 50, 2, 700, 50, 1300)]  # fmt: skip
    fits = fit_many(curves)
    for i, y in enumerate(curves):
        one = fit(y)
        assert fits[i].status == one.status
        np.testing.assert_allclose(
            [fits.b1[i], fits.b2[i], fits.b3[i]], [one.b1, one.b2, one.b3], rtol=1e-7
        )
    matrix = np.stack([curves[1], curves[2], curves[5]])
    np.testing.assert_allclose(fit_many(matrix).b2, fits.b2[[1, 2, 5]], rtol=1e-9)
    assert fits.predict(10.0).shape == (7,)
    assert fits.slope(np.ones((7, 4))).shape == (7, 4)


@pytest.mark.parametrize("n_lengths", [2, 12])
@pytest.mark.parametrize("own_axis", [False, True])
def test_curves_of_falling_lengths_keep_their_own_fits(n_lengths, own_axis):
    lengths = range(40 + n_lengths, 40, -1)
    curves = [n / (1 + np.arange(n)) + 1 for n in lengths]
    x = [np.arange(1.0, n + 1) for n in lengths] if own_axis else None
    fits = fit_many(curves, x)
    for i, y in enumerate(curves):
        one = fit(y, None if x is None else x[i])
        assert fits.scale[i] == one.scale == y.max()
        np.testing.assert_allclose(fits[i](np.arange(1, 41)), one(np.arange(1, 41)), rtol=1e-6)


def test_a_curve_set_is_fitted_along_any_axis(digits):
    curves = read(digits)
    fits = fit_many(curves)
    assert len(fits) == len(curves)
    first = curves.curve(curves.runs["run"][0])
    assert fits[0].b2 == pytest.approx(fit(first.loss).b2)
    by_time = fit_many(curves, axis="seconds")
    timed = curves.curve(curves.runs["run"][3], axis="seconds")
    assert by_time[3].b2 == pytest.approx(fit(timed.loss, timed.x).b2)


def test_ten_million_steps():
    k = np.arange(1, 10_000_001)
    y = 2 / (1 + 0.001 * k) + 0.5
    np.testing.assert_allclose(fit(y)(k[::100_000]), y[::100_000], rtol=1e-6)


def test_a_shape_that_is_no_set_of_curves_is_refused():
    with pytest.raises(InputError, match=r"shape \(2, 2, 2\)"):
        fit_many(np.zeros((2, 2, 2)))


def test_elasticity_is_percent_of_loss_per_percent_of_x():
    f = fit(2 / np.arange(1.0, 50.0))
    assert float(f.elasticity(20)) == pytest.approx(1.0, rel=1e-6)


_ = OptimizeWarning
