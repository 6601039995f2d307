"""How single losses become points."""

import numpy as np
import pytest

from earlycall.stopping.averaging import Averaging, noise
from earlycall.stopping.history import History


@pytest.mark.parametrize("n", [1, 199, 200, 201, 777, 12_345])
def test_points_are_means_of_equal_numbers_of_losses(n):
    rng = np.random.default_rng(0)
    losses, history = rng.normal(size=n), History()
    for i, loss in enumerate(losses):
        history.add(float(loss), 10.0 * i)
    size, whole = history.size, n - n % history.size
    assert len(history.losses) < 200
    assert history.losses == pytest.approx(losses[:whole].reshape(-1, size).mean(axis=1).tolist())
    assert history.costs == [10.0 * i for i in range(size - 1, n, size)]
    assert history.count == n % size
    assert history.total == pytest.approx(losses[whole:].sum())


def test_noise_is_the_standard_deviation_of_errors():
    rng = np.random.default_rng(1)
    line = np.linspace(3, 1, 400)
    white = rng.normal(size=400)
    assert noise((line + 0.1 * white).tolist()) == pytest.approx(0.1, rel=0.35)
    carried = np.convolve(rng.normal(size=420), 0.8 ** np.arange(21), "valid")
    assert noise((line + 0.1 * carried).tolist()) > 0.1  # neighbours hide it, means show it


def test_a_flat_run_is_judged_in_the_end():
    averaging = Averaging()
    for i, loss in enumerate(np.random.default_rng(2).normal(size=10_500).tolist()):
        averaging.add(loss, float(i))
        assert averaging.clear is False or i >= 9_999
    assert averaging.clear
