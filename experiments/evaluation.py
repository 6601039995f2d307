"""The comparison of all scores on public curve sets.

    python experiments/evaluation.py SET… > docs/evaluation.md

The sets are folders in the project's file format; their data is not part of the project.
"""

import sys
import time

import polars as pl

import earlycall as ec

INTRODUCTION = """# Benchmark of early scores

Every score against the outcomes of finished runs, by the protocol of [the method](method.md):
Spearman correlation, mean over the groups of a set, with the mean of the groups' 95 % bootstrap
intervals, and in parentheses the median over groups of the top-1 regret. Written by
`experiments/evaluation.py` from {sets} public sets ({runs} runs, {seconds:.0f} s on two
cores). Nothing was left out.

**What it says.** {verdict}
"""


def cell(row: dict[str, float]) -> str:
    low, high = row["spearman_low"], row["spearman_high"]
    return f"{row['spearman']:+.3f} [{low:+.2f}, {high:+.2f}] ({row['top1_regret']:.2f})"


def verdict(table: pl.DataFrame) -> str:
    mean = table.group_by("score").agg(pl.col("spearman").mean()).sort("spearman", descending=True)
    listed = ", ".join(f"`{score}` {rho:+.3f}" for score, rho in mean.rows())
    return (
        f"Mean over sets and budgets, of the sets where the score can be computed: {listed}. "
        "(`outlook` uses validation losses where there are any, as here; from training losses "
        "alone see [the default score](outlook.md).)"
    )


def main() -> None:
    start = time.perf_counter()
    sets = [ec.read(path) for path in sys.argv[1:]]
    table = ec.evaluate(sets).table
    seconds = time.perf_counter() - start
    by_set = table.group_by("set", "budget", "score", maintain_order=True).agg(
        pl.col("spearman", "spearman_low", "spearman_high").mean(),
        pl.col("top1_regret").median(),
        pl.len().alias("groups"),
        pl.col("n", "excluded").sum(),
    )
    print(INTRODUCTION.format(sets=len(sets), runs=sum(map(len, sets)), seconds=seconds,
                              verdict=verdict(by_set)))  # fmt: skip
    for name in by_set["set"].unique(maintain_order=True).to_list():
        rows = by_set.filter(pl.col("set") == name)
        groups, n, excluded = rows.select("groups", "n", "excluded").row(0)
        print(f"\n## {name}\n\n{groups} groups; at 5 % of training {n} runs judged, {excluded} "
              "excluded.\n\n| score | 5 % | 10 % | 20 % |\n|---|---|---|---|")  # fmt: skip
        for score in rows["score"].unique(maintain_order=True).to_list():
            cells = [cell(r) for r in rows.filter(pl.col("score") == score).to_dicts()]
            print(f"| `{score}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
