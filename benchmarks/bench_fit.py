"""Fitting many curves: earlycall against scipy, lmfit and a batched solver, on the same curves.

Written to ``docs/benchmarks.md`` by `make bench`: times are the best of several runs, and the
squared error of each is given relative to the least that any of them reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import curve_fit

from earlycall import CurveSet, StreamingFit, fit_many, rank

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
SIZES = ((4000, 50), (4000, 200), (1000, 2000), (400, 20_000), (60, 200_000))
BY_HAND = "\n## The engine, before and after\n"  # on the page, from here on
FEW = 6  # curves for the solvers that fit one at a time
BATCH = 64  # curves for the batched solver, of which memory is the limit
lines: list[str] = []


def model(x, b1, b2, b3):
    return 1 / (b1 + b2 * x) + b3


def curves(m: int, n: int) -> np.ndarray:
    rng, k = np.random.default_rng(0), np.arange(1, n + 1)
    rise = rng.uniform(0.5, 3, (m, 1)) / (1 + rng.uniform(0.1, 50, (m, 1)) * k / n)
    return rise + rng.uniform(0, 1, (m, 1)) + rng.normal(0, 0.1, (m, n))


def seconds(run: Callable[[], object], times: int = 3) -> float:
    best = np.inf
    for _ in range(times):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def squared(y: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums of squared errors on y / max(y); b of shape (m, 3)."""
    k = np.arange(1, y.shape[1] + 1)
    scaled = y / y.max(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        return ((model(k, *b.T[:, :, None]) - scaled) ** 2).sum(axis=1)


def by_curve_fit(y: np.ndarray) -> np.ndarray:
    k = np.arange(1, y.shape[1] + 1)
    return np.stack(
        [curve_fit(model, k, v / v.max(), bounds=(0, np.inf), maxfev=2000)[0] for v in y]
    )


def by_lmfit(y: np.ndarray) -> np.ndarray:
    lmfit = pytest.importorskip("lmfit")
    hyperbola = lmfit.Model(model)
    start = hyperbola.make_params(**{k: {"value": 1.0, "min": 0} for k in ("b1", "b2", "b3")})
    k = np.arange(1, y.shape[1] + 1)
    fits = [hyperbola.fit(v / v.max(), start, x=k) for v in y]
    return np.array([[f.params[b].value for b in ("b1", "b2", "b3")] for f in fits])


def by_optimistix() -> Callable[[np.ndarray], np.ndarray]:
    """Levenberg-Marquardt for all curves at once; parameters are squares, so that they are ≥ 0."""
    jax = pytest.importorskip("jax")
    optimistix = pytest.importorskip("optimistix")
    jax.config.update("jax_enable_x64", True)
    solver = optimistix.LevenbergMarquardt(rtol=1e-8, atol=1e-8)

    def residual(root, y):
        b1, b2, b3 = root**2
        return 1 / (b1 + b2 * jax.numpy.arange(1, len(y) + 1)) + b3 - y

    def solve(y):
        start = jax.numpy.ones(3)
        found = optimistix.least_squares(residual, solver, start, y, max_steps=500, throw=False)
        return found.value**2

    together = jax.jit(jax.vmap(solve))
    return lambda y: np.asarray(together(y / y.max(axis=1, keepdims=True)))


def by_earlycall(y: np.ndarray) -> np.ndarray:
    fits = fit_many(y)
    return np.stack([fits.b1, fits.b2, fits.b3], axis=1)


@pytest.mark.parametrize(("m", "n"), SIZES)
def test_against_peers(m, n):
    warnings.simplefilter("ignore")
    y = curves(m, n)
    found, took = {}, {}
    fit_many(y[:4])
    found["earlycall"], took["earlycall"] = by_earlycall(y[:FEW]), seconds(lambda: fit_many(y)) / m
    for name, solve in (("curve_fit", by_curve_fit), ("lmfit", by_lmfit)):
        try:
            found[name] = solve(y[:FEW])
            took[name] = seconds(lambda: solve(y[:FEW]), 2 if n < 20_000 else 1) / FEW  # noqa: B023
        except pytest.skip.Exception as missing:
            lines.append(f"| {n} | {name} | not measured: {missing} | | |")
    few = min(BATCH, m, max(4, 2_000_000 // n))
    try:
        batched = by_optimistix()
        found["optimistix"] = batched(y[:few])[:FEW]
        took["optimistix"] = seconds(lambda: batched(y[:few]), 1) / few
    except pytest.skip.Exception as missing:
        lines.append(f"| {n} | optimistix | not measured: {missing} | | |")
    errors = {name: squared(y[:FEW], b) for name, b in found.items()}
    least = np.nanmin(np.stack(list(errors.values())), axis=0)
    one_pass = seconds(lambda: y.sum(axis=1)) / m
    for name, spent in took.items():
        worse = np.nanmax(errors[name] / least - 1)
        ratio = "1" if name == "earlycall" else f"{spent / took['earlycall']:,.0f} times slower"
        passes = f" ({spent / one_pass:.1f} sums)" if name == "earlycall" else ""
        lines.append(f"| {n:,} | {name} | {spent * 1e6:,.1f} µs{passes} | {ratio} | {worse:+.0e} |")


def test_growth_with_the_number_of_curves():
    y = curves(40_000, 200)
    times = {m: seconds(lambda: fit_many(y[:m])) / m for m in (1, 10, 100, 1000, 10_000, 40_000)}  # noqa: B023
    lines.append("\n## Growth with the number of curves (200 observations each)\n")
    lines.append("| curves | µs each |\n|---|---|")
    lines.extend(f"| {m:,} | {spent * 1e6:,.1f} |" for m, spent in times.items())


def test_ranking_takes_a_few_times_as_long_as_fitting():
    y = curves(10_000, 200)
    whole = CurveSet.from_losses(y)
    rank(whole, score="outlook")
    fitted, ranked = seconds(lambda: fit_many(y)), seconds(lambda: rank(whole, score="outlook"))
    lines.append("\n## Ranking 10,000 curves of 200 observations\n")
    lines.append(
        f"`rank` with the default score takes {ranked:.3f} s, {ranked / fitted:.1f} times as long "
        f"as fitting them ({fitted:.3f} s)."
    )


def test_streaming():
    losses = curves(1, 1_000_000)[0]
    stream, values = StreamingFit(), losses.tolist()
    one = seconds(lambda: [stream.update(v) for v in values[:200_000]], 1) / 200_000
    whole = StreamingFit()
    many = seconds(lambda: whole.extend(losses), 1) / len(losses)
    size = len(json.dumps(whole.state_dict()))
    lines.append("\n## Growing curves\n")
    lines.append(
        f"`update` takes {one * 1e6:.2f} µs a loss, `extend` {many * 1e9:.1f} ns, a fit "
        f"{seconds(whole.fit) * 1e3:.2f} ms; after a million losses the state is {size:,} bytes."
    )


BENCHMARK = """
import re, sys, time
import polars as pl, scipy.stats
import earlycall as ec
from earlycall.scores import names
names()
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
base = peak()
start = time.perf_counter(); table = pl.read_parquet(sys.argv[1] + "/curves.parquet")
plain = time.perf_counter() - start
size = table.estimated_size() / 2**20; del table
start = time.perf_counter(); curves = ec.read(sys.argv[1]); read = time.perf_counter() - start
start = time.perf_counter(); ec.rank(curves, score="lcga_d1"); first = time.perf_counter() - start
start = time.perf_counter(); ec.rank(curves, score="outlook"); default = time.perf_counter() - start
print(plain, read, first, default, peak() - base, size)
"""


def test_a_whole_benchmark_is_ranked_in_one_call(tmp_path):
    import polars as pl

    m, n = 46_875, 200
    y = curves(m, n)
    names = pl.Series([f"run{i:05d}" for i in range(m)])
    pl.DataFrame(
        {
            "run": names.gather(np.repeat(np.arange(m), n)),
            "step": np.tile(np.arange(1, n + 1, dtype=np.int32), m),
            "train_loss": y.ravel(),
        }
    ).write_parquet(tmp_path / "curves.parquet")
    fitted = seconds(lambda: fit_many(y))
    done = subprocess.run(
        [sys.executable, "-c", BENCHMARK, tmp_path], capture_output=True, text=True, check=True
    )
    plain, read, lcga, default, peak, size = map(float, done.stdout.split())
    lines.append(f"\n## {m:,} curves of {n} observations\n")
    lines.append("| | seconds | times reading the Parquet |\n|---|---|---|")
    for what, spent in (
        ("polars reads the Parquet", plain),
        ("`read`: runs, steps and duplicates checked", read),
        ("`fit_many` of the array", fitted),
        ("`rank --score lcga_d1`: fitted and ranked in one call", lcga),
        ("`rank`, the default score", default),
    ):
        lines.append(f"| {what} | {spent:.2f} | {spent / plain:.1f} |")
    lines.append(
        f"\nPeak memory of reading and ranking: {peak:,.0f} MB, {peak / size:.1f} times the "
        f"table of {size:,.0f} MB in memory."
    )


@pytest.fixture(scope="module", autouse=True)
def page():
    lines.clear()
    yield
    head = (
        "# Benchmarks\n\nWritten by `make bench` on the machine that last ran it; compare the "
        "ratios, which were measured in one process. The squared error is relative to the least "
        "that any of the solvers reached on the same curves (0 is best); solvers other than "
        "earlycall's were given a few of the curves, and their mean time is shown.\n\n"
        "## Against other solvers\n\n"
        "| observations | solver | a curve | | squared error |\n|---|---|---|---|---|\n"
    )
    by_hand = PAGE.read_text().partition(BY_HAND)
    PAGE.write_text(head + "\n".join(lines) + "\n" + "".join(by_hand[1:]))
    print("\n" + "\n".join(lines))
