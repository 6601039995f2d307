"""Intervals hold what they promise where the noise is like that of training."""

import numpy as np
import pytest

from earlycall import fit_many, uncertainty

N = 400
X = np.arange(1.0, N + 1)


def world(runs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True curves, and with noise that is autocorrelated and shrinks along the curve."""
    rng = np.random.default_rng(seed)
    truth = (
        rng.uniform(0.5, 3, (runs, 1)) / (1 + rng.uniform(0.01, 0.3, (runs, 1)) * X)
        + rng.uniform(0.3, 1, (runs, 1))
    )  # fmt: skip
    noise = np.zeros((runs, N))
    for k in range(N):
        noise[:, k] = 0.8 * noise[:, k - 1] + rng.normal(0, 1, runs)
    return truth, truth + 0.02 * noise * truth


def held(truth: np.ndarray, interval: tuple[np.ndarray, np.ndarray]) -> float:
    return float(np.mean((interval[0] <= truth) & (truth <= interval[1])))


def test_the_interval_of_f_holds_and_the_textbook_one_does_not():
    truth, losses = world(400)
    sure = uncertainty(fit_many(losses))
    at = np.broadcast_to(X[[40, 150, 300, 399]], (400, 4))
    inside = held(truth[:, [40, 150, 300, 399]], sure.predict_interval(at))
    assert 0.8 < inside < 0.97
    assert held(truth[:, [40, 150, 300, 399]], sure.textbook.predict_interval(at)) < inside - 0.15


def test_the_interval_of_the_slope_holds():
    truth, losses = world(400, seed=1)
    sure = uncertainty(fit_many(losses))
    slopes = np.gradient(truth, axis=1)
    at = np.broadcast_to(X[[100, 250]], (400, 2))
    assert 0.78 < held(slopes[:, [100, 250]], sure.slope(at)) < 0.97


def test_forecasts_hold_also_where_the_model_is_wrong():
    """Power laws are not hyperbolas: the textbook interval misses, the forecast's does not."""
    rng = np.random.default_rng(2)
    power = rng.uniform(1, 3, (300, 1)) * X ** -rng.uniform(0.1, 0.5, (300, 1))
    noisy = power * (1 + rng.normal(0, 0.01, power.shape))
    sure = uncertainty(fit_many(noisy[:, :100]))
    _, low, high = sure.forecast(np.full(300, 400.0))
    assert held(power[:, -1], (low, high)) > 0.8
    assert held(power[:, -1], sure.predict_interval(np.full(300, 400.0))) < 0.8


def test_scale_does_not_matter():
    _, losses = world(5)
    one, million = (uncertainty(fit_many(k * losses)) for k in (1, 1e6))
    for a, b in zip(one.predict_interval(50.0), million.predict_interval(50.0), strict=True):
        np.testing.assert_allclose(1e6 * a, b, rtol=1e-6)
    np.testing.assert_allclose(one.se, million.se, rtol=1e-6)


def test_fits_at_their_bounds():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, N)
    curves = {
        "flat": 2 + noise,
        "c=0": 2 / X + 0.5 + 0.1 * noise,
        "no floor": 3 / (1 + 0.1 * X) + noise / 10,
        "rising": 1 + X / N + noise,
        "short": np.array([1.0, 2.0]),
        "diverged": np.array([1.0, np.nan, 2.0]),
        "three": np.array([3.0, 2.0, 1.6]),
    }
    sure = uncertainty(fit_many(list(curves.values())))
    low, high = sure.predict_interval(100.0)
    middle, below, above = sure.forecast(2 * N)
    for i, name in enumerate(curves):
        if name in ("short", "diverged"):
            assert np.isnan([low[i], high[i], below[i]]).all(), name
        else:
            assert low[i] <= high[i], name
            assert below[i] < middle[i] < above[i], name
    assert low[0] < 2.01 and high[0] > 1.99
    assert high[0] - low[0] < 0.01, "a flat curve's level is known well"
    assert sure.se[2, 2] == 0, "a parameter at its bound counts as known"


def test_along_another_axis():
    truth, losses = world(60)
    sure = uncertainty(fit_many(losses, 10 * X))
    assert held(truth[:, 200], sure.predict_interval(np.full(60, 10 * X[200]))) > 0.75


def test_more_data_makes_surer():
    _, losses = world(100)
    widths = []
    for n in (50, 400):
        low, high = uncertainty(fit_many(losses[:, :n])).predict_interval(50.0)
        widths.append(np.median(high - low))
    assert widths[1] < widths[0]


@pytest.mark.parametrize("n", [3, 5, 31, 33, 200])
def test_any_length(n):
    losses = 2 / (1 + 0.1 * np.arange(n)) + np.random.default_rng(n).normal(0, 0.01, n)
    low, high = uncertainty(fit_many([losses] * 3)).predict_interval(float(n))
    assert np.all(low <= high)


@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_few_points_are_wide_rather_than_of_no_width(n):
    rng = np.random.default_rng(n)
    truth = 2 / (1 + 0.1 * np.arange(1, n + 1))
    sure = uncertainty(fit_many(truth + rng.normal(0, 0.05, (300, n))))
    low, high = sure.predict_interval(float(n))
    assert (high > low).all()
    assert held(truth[-1], (low, high)) > 0.8


def test_a_curve_does_not_depend_on_those_beside_it():
    rng = np.random.default_rng(0)
    curves = [
        2 / (1 + 0.1 * np.arange(n)) + rng.normal(0, 0.02, n) for n in (12, *range(50, 2000, 97))
    ]
    alone, together = uncertainty(fit_many(curves[:1])), uncertainty(fit_many(curves))
    np.testing.assert_allclose(alone.se[0], together.se[0], rtol=1e-6)
    np.testing.assert_allclose(
        [v[0] for v in alone.forecast(30.0)], [v[0] for v in together.forecast(30.0)], rtol=1e-6
    )


def test_the_textbook_errors_are_those_of_curve_fit():
    from scipy.optimize import curve_fit

    _, losses = world(5)
    fits = fit_many(losses)
    for i, y in enumerate(losses):
        start = [fits.b1[i], fits.b2[i], fits.b3[i]]
        if min(start) == 0:
            continue
        _, covariance = curve_fit(lambda x, a, b, c: 1 / (a + b * x) + c, X, y / y.max(), p0=start)
        np.testing.assert_allclose(
            uncertainty(fits).textbook.se[i], np.sqrt(np.diag(covariance)), rtol=0.05
        )


def test_any_function_of_the_parameters_has_an_interval():
    _, losses = world(20)
    sure = uncertainty(fit_many(losses))
    fits = sure.fits
    floor = np.zeros((20, 3))
    floor[:, 2] = fits.scale
    low, high = sure.interval(fits.b3 * fits.scale, floor)
    far = sure.predict_interval(1e12)
    np.testing.assert_allclose(high, far[1], rtol=1e-3)
    assert (high - low >= 0).all() and (high > low).mean() > 0.5


def test_forecasts_widen_with_lead_and_level_and_stay_possible():
    _, losses = world(50)
    sure = uncertainty(fit_many(losses[:, :100]))
    leads = np.broadcast_to([100.0, 150.0, 400.0, 1e4], (50, 4))
    _, low, high = sure.forecast(leads)
    assert (np.diff(high, axis=1) + 1e-12 > np.diff(sure.fits.predict(leads), axis=1)).all()
    assert (low >= 0).all(), "no loss was negative"
    _, low99, high99 = sure.forecast(leads, level=0.99)
    assert (high99 > high).all() and (low99 <= low).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
def test_intervals_do_not_depend_on_the_unit_of_the_loss(scale):
    _, losses = world(3)
    usual, other = (uncertainty(fit_many(losses * s)) for s in (1.0, scale))
    for name, x in (("predict_interval", 300.0), ("slope", 300.0), ("forecast", 2.0 * N)):
        for a, b in zip(getattr(usual, name)(x), getattr(other, name)(x), strict=True):
            np.testing.assert_allclose(b / scale, a, rtol=1e-6)
