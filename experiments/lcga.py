"""LCGA by burn-in and orientation, beside TSE and the last loss: in how many rows which is better.

python experiments/lcga.py SET… > docs/lcga.md

A row is a group of at least 10 judged runs at 5, 10 or 20 % of training.
"""

import sys

import polars as pl

import earlycall as ec

SCORES = ("lcga_d1", "lcga_norm", "lcga_d1_ema", "lcga_norm_ema")
BURN_INS = (0, 2)
MIN_RUNS = 10

PAGE = """# LCGA by burn-in and orientation

The paper ranks by the gradient of the fitted loss curve after a burn-in of two epochs, the run
that still falls steepest first. On the public sets here an epoch is often most of what was seen,
and the burn-in takes it away; so both burn-ins and both orientations are compared, against TSE and
the last loss, on training losses. Written by `experiments/lcga.py`.

Spearman, mean over rows (a row is a group of at least {least} runs at 5, 10 or 20 % of training:
{rows} rows), and the number of rows in which the score ranks better than TSE and than the last
loss. Flattest first is the same score with its sign turned.

| score | burn-in | first | Spearman | better than TSE | than the last loss |
|---|---|---|---|---|---|"""
BY_SET = """
Rows in which the steepest first (`lcga_d1`) ranks better than TSE, by set:

| set | rows | burn-in 0 | burn-in 2 |
|---|---|---|---|"""


def main() -> None:
    sets = [ec.read(path) for path in sys.argv[1:]]
    keys = ["set", "group", "budget"]
    evaluated = [
        ec.evaluate(sets, scores=[*SCORES, "tse", "last_loss"], burn_in=b, resamples=0)
        .table.filter(pl.col("n") >= MIN_RUNS)
        .pivot("score", index=keys, values="spearman")
        .with_columns(burn_in=b)
        for b in BURN_INS
    ]
    table = pl.concat(evaluated)
    print(PAGE.format(least=MIN_RUNS, rows=evaluated[0].height))
    for score in SCORES:
        for b, rows in zip(BURN_INS, evaluated, strict=True):
            for first, sign in (("steepest", 1), ("flattest", -1)):
                value = sign * rows[score]
                cells = [f"`{score}`", b, first, f"{value.mean():+.3f}"]
                cells += [(value > rows[peer]).sum() for peer in ("tse", "last_loss")]
                print("|", " | ".join(map(str, cells)), "|")
    better = table.with_columns(better=pl.col("lcga_d1") > pl.col("tse"))
    print(BY_SET)
    for name in table["set"].unique(maintain_order=True):
        of_set = better.filter(pl.col("set") == name)
        counts = [of_set.filter(pl.col("burn_in") == b)["better"].sum() for b in BURN_INS]
        print("|", " | ".join(map(str, [name, of_set.height // len(BURN_INS), *counts])), "|")


if __name__ == "__main__":
    main()
