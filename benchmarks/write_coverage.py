"""Do intervals of fits hold the later losses of real curves?

python benchmarks/write_coverage.py SET… > docs/coverage.md
"""

import sys
from collections.abc import Iterator

import numpy as np
import polars as pl

import earlycall as ec

BUDGETS = (0.1, 0.2, 0.4)
LEADS = (1.0, 1.25, 1.5, 2.0, 4.0)
MOST = 300  # runs of a group
PAGE = """# Do the intervals of fits hold?

Fits of the first 10, 20 and 40 % of real curves: does the 90 % interval at 1 (the end of the
prefix), 1.25, 1.5, 2 and 4 times the prefix hold the losses recorded there (the mean over the
neighbouring 10 % of steps)? Written by `benchmarks/write_coverage.py`; no constant was fitted to
these numbers.

- **forecast**: `uncertainty(fits).forecast`, whose interval counts how far forecasts of one
  doubling went wrong within the curve itself;
- **robust**: `uncertainty(fits).at`, which takes the hyperbola for the truth (jackknife over
  blocks);
- **textbook**: the same with independent noise of one size, what `curve_fit` reports;
- **width**: median full width of the forecast's interval, as a part of the loss there.

**What it says.** Taking the hyperbola for the truth is wrong on real curves: even the robust
intervals hold far fewer later losses than the 90 % they promise, the textbook ones fewer still. The
forecast's intervals are the ones to use beyond the data. They hold about what they promise on
curves that fall smoothly, and too little where the learning rate drops after the prefix.
"""
HEADER = """
| set | seen | at | curves | forecast | robust | textbook | width |
|---|---|---|---|---|---|---|---|"""


def prefixes(path: str, budget: float) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    """The losses of finite curves of a group, and those of their prefixes."""
    curves = ec.read(path)
    seen = curves.prefix(budget=budget).prefixes()
    for whole, part in zip(curves.prefixes(), seen, strict=True):
        long = (part.loss.lengths >= 5) & part.loss.all_finite()
        rows = np.flatnonzero(long)[:MOST]
        if len(rows):
            yield [whole.loss[int(i)] for i in rows], [part.loss[int(i)] for i in rows]


def coverage(path: str, budget: float) -> Iterator[dict[str, float]]:
    for whole, seen in prefixes(path, budget):
        sure = ec.uncertainty(ec.fit_many(ec.Ragged.of(seen)))
        textbook = ec.Uncertainty(sure.fits, sure.naive, sure.naive)
        ends = np.array([len(y) for y in seen], dtype=np.float64)
        for lead in LEADS:
            at = ends * lead
            actual = np.array([_around(y, x) for y, x in zip(whole, at, strict=True)])
            there = np.isfinite(actual) & np.isfinite(sure.fits.b3)
            if not there.any():
                continue
            _, low, high = sure.forecast(at)
            kinds = {"forecast": (low, high), "robust": sure.at(at), "textbook": textbook.at(at)}
            held = {k: ((a <= actual) & (actual <= b))[there] for k, (a, b) in kinds.items()}
            width = ((high - low) / np.abs(actual))[there]
            yield {"lead": lead, "n": float(there.sum()), "width": float(np.median(width)),
                   **{k: float(v.sum()) for k, v in held.items()}}  # fmt: skip


def _around(losses: np.ndarray, x: float) -> float:
    """The mean loss within 5 % of x; NaN beyond the end of the curve."""
    if x > len(losses):
        return float("nan")
    first, last = round(0.95 * x), min(max(round(1.05 * x), round(x)), len(losses))
    return float(losses[max(0, first - 1) : last].mean())


def main() -> None:
    print(PAGE + HEADER)
    for path in sys.argv[1:]:
        for budget in BUDGETS:
            rows = pl.DataFrame(list(coverage(path, budget)))
            if not rows.height:
                continue
            counts = ("n", "forecast", "robust", "textbook")
            by_lead = rows.group_by("lead", maintain_order=True).agg(
                pl.col(*counts).sum(), pl.col("width").median()
            )
            for r in by_lead.sort("lead").to_dicts():
                held = " | ".join(f"{r[k] / r['n']:.0%}" for k in counts[1:])
                name = path.rstrip("/").split("/")[-1]
                cells = f"{name} | {budget:.0%} | {r['lead']:g}× | {r['n']:.0f}"
                print(f"| {cells} | {held} | {r['width']:.1%} |")


if __name__ == "__main__":
    main()
