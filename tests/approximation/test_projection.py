"""The scan of curves of one length and what it leaves to Newton's method."""

import numpy as np
import pytest

from earlycall import fit_many
from earlycall.approximation import projection
from earlycall.approximation.bins import Bins, index_layout
from earlycall.approximation.peaks import OFFSETS, REACH, VALUE


def free_basis(n, t):
    """The basis less its mean, of length 1, in coordinates in which lengths are Euclidean."""
    layout, space = index_layout(n), projection._Workspace()
    space.evaluate(layout, t)
    basis = space.q.copy()
    basis[: layout.bins] -= (layout.count * basis[: layout.bins]).sum(axis=0) / n
    basis *= np.sqrt(layout.weight)
    return basis / np.linalg.norm(basis, axis=0)


def through_basis(n, t):
    layout, space = index_layout(n), projection._Workspace()
    space.evaluate(layout, t)
    basis = space.q * np.sqrt(layout.weight)
    return basis / np.linalg.norm(basis, axis=0)


@pytest.mark.parametrize("basis", [free_basis, through_basis])
@pytest.mark.parametrize("n", [3, 4, 10, 33, 50, 200, 2000, 20_000, 10_000_000])
def test_slopes_between_the_nodes_are_wrong_by_less_than_their_bound(n, basis):
    table = projection._table(n)
    polynomials = VALUE @ np.stack(
        [basis(n, table.t[REACH + i : table.last + i + 1]) for i in OFFSETS]
    ).transpose(1, 0, 2)
    for u in (-0.5, -0.25, 0, 0.25, 0.5):
        powers = np.arange(1, len(OFFSETS)) * u ** np.arange(len(OFFSETS) - 1.0)
        slope = np.einsum("p,epg->eg", powers, polynomials[:, 1:]) / table.step
        t, h = table.t[REACH : table.last + 1] + u * table.step, 1e-3
        ahead, behind, far, back = (basis(n, t + i * h) for i in (1, -1, 2, -2))
        exact = (8 * (ahead - behind) - (far - back)) / (12 * h)
        assert np.linalg.norm(slope - exact, axis=0).max() < projection.SLOPE_ERROR


def noisy(m, n, noise):
    rng, k = np.random.default_rng(n), np.arange(1, n + 1)
    fall = rng.uniform(0.5, 3, (m, 1)) / (1 + rng.uniform(0.1, 50, (m, 1)) * k / n)
    return fall + rng.uniform(0, 0.3, (m, 1)) + rng.normal(0, noise, (m, n))


@pytest.mark.parametrize("n", [3, 5, 50, 300, 3000])
@pytest.mark.parametrize("noise", [1e-4, 1e-2, 0.3])
def test_newtons_method_finds_nothing_better(n, noise):
    curves = noisy(200, n, noise)
    fits = fit_many(curves)
    scaled = (curves - fits.shift[:, None]) / fits.scale[:, None]
    # As curves along axes of their own, of which each is scanned and refined by itself.
    alone = fit_many(list(curves), [np.arange(1.0, n + 1)] * len(curves))
    assert (fits.sse <= alone.sse * (1 + 1e-6) + 1e-13 * (scaled**2).sum(axis=1)).all()


def test_newtons_method_is_left_for_few_noisy_curves(monkeypatch):
    left = []
    newton = projection._newton

    def counted(bins: Bins, *rest):
        left.append(bins.data.shape[1])
        return newton(bins, *rest)

    monkeypatch.setattr(projection, "_newton", counted)
    fit_many(noisy(1000, 200, 0.1))
    assert sum(left) < 10
