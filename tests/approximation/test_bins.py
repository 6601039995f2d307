"""The bins of curves along 1…n, against sums over each bin; products as BLAS has them."""

import multiprocessing

import numpy as np
import pytest

from earlycall import fit_many
from earlycall.approximation.bins import SINGLE_BINS, bin_block, bin_starts, index_layout, product

LENGTHS = [1, 31, 32, 33, 63, 65, 127, 513, 2047, 2048, 2049, 2559, 2560, 2561, 4097, 9000, 70_001]


@pytest.mark.parametrize("n", LENGTHS)
def test_sums_moments_and_the_largest_of_each_curve(n):
    block = np.random.default_rng(n).normal(size=(3, n))
    data = np.full((len(index_layout(n).weight), 3), np.nan)
    np.testing.assert_array_equal(bin_block(block, data), block.max(axis=1))
    start = bin_starts(n)
    stop = np.append(start[1:], n)
    sums = [block[:, a:b].sum(axis=1) for a, b in zip(start, stop, strict=True)]
    moments = [
        block[:, a:b] @ (np.arange(b - a) - (b - a - 1) / 2)
        for a, b in zip(start[SINGLE_BINS:], stop[SINGLE_BINS:], strict=True)
    ]
    np.testing.assert_allclose(data, np.array([*sums, *moments]), rtol=1e-11, atol=1e-9)


def test_a_product_in_parts_is_the_product():
    rng = np.random.default_rng(0)
    b = rng.normal(size=(300, 40))
    for shape in [(1, 300), (21, 300), (43, 300), (2, 50, 300), (0, 300)]:
        a = rng.normal(size=shape)
        np.testing.assert_allclose(product(a, b), a @ b, rtol=1e-12, atol=1e-12)


def fitted_in_a_fork(curves, queue):
    queue.put(fit_many(curves).b2)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_long_curves_are_read_by_threads_in_a_forked_process_too():
    x = np.arange(1, 600_001)
    curves = 1 / (1 + np.linspace(1e-5, 1e-4, 4)[:, None] * x)
    expected = fit_many(curves).b2
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    child = fork.Process(target=fitted_in_a_fork, args=(curves, queue), daemon=True)
    child.start()
    try:
        np.testing.assert_array_equal(queue.get(timeout=60), expected)
    finally:
        child.kill()
