"""Print the table of docs/energy.md: how often the forecast interval of a run's cost holds it.

    python experiments/forecast.py algoperf/ nas_bench_nlp/ examples/study/digits \
        examples/study/fashion demo

The sets are curve sets with ``seconds``; an observation is one with a validation loss.
"""

import itertools
import sys
from typing import Any

import numpy as np

import earlycall as ec
from earlycall.stopping import forecast
from earlycall.stopping.forecast import Costs

AT = (3, 5, 10)  # observations after which the whole run is forecast
GRID = list(itertools.product((0.0, 0.25, 0.5, 1.0, 2.0), (0.01, 0.02, 0.03)))  # DRIFT, SLACK


def timings(path: str) -> list[tuple[str, list[float]]]:
    """The group and the seconds at each observation of each run."""
    curves = ec.demo() if path == "demo" else ec.read(path)
    rows = curves.observations.drop_nulls(["val_loss", "seconds"])
    groups = curves.runs["group"].to_list()
    return [
        (groups[run], of["seconds"].to_list())
        for (run,), of in rows.sort("run_id", "step").group_by("run_id", maintain_order=True)
    ]


def judged(runs: list[tuple[str, list[float]]], n: int) -> Any:
    """Coverage, the part of runs whose lower end is too high, the half-width; means of groups."""
    groups: dict[str, list[Any]] = {}
    for group, spent in runs:
        if len(spent) < max(2 * n, 8):
            continue
        costs = Costs()
        for cost in spent[:n]:
            costs.add(cost)
        found, true = costs.forecast(len(spent)), spent[-1]
        groups.setdefault(group, []).append((
            found.low <= true <= found.high, found.low > true, (found.high - found.low) / 2 / true,
        ))  # fmt: skip
    return np.mean([np.mean(rows, axis=0) for rows in groups.values()], axis=0)


def main() -> None:
    sets = {path.rstrip("/").split("/")[-1]: timings(path) for path in sys.argv[1:]}
    tables = {}
    for forecast.DRIFT, forecast.SLACK in GRID:
        tables[forecast.DRIFT, forecast.SLACK] = {
            (name, n): judged(runs, n) for name, runs in sets.items() for n in AT
        }

    def chosen(names: Any) -> tuple[float, float]:
        """Those whose coverage of some sets falls least short of 90 %, the narrowest of them."""
        cells = list(itertools.product(names, AT))

        def falls_short(constants: tuple[float, float]) -> tuple[float, float]:
            found = [tables[constants][cell] for cell in cells]
            short = np.mean([max(0.9 - cover, 0.0) for cover, _, _ in found])
            return round(float(short), 2), float(np.mean([width for _, _, width in found]))

        return min(GRID, key=falls_short)

    print(f"on all sets: DRIFT, SLACK = {chosen(sets)}", file=sys.stderr)
    print("| set | runs | " + " | ".join(f"after {n}" for n in AT) + " | constants |")
    print("|---|---|" + "---|" * len(AT) + "---|")
    for name, runs in sets.items():
        constants = chosen([other for other in sets if other != name])
        cells = ("{:.0%}, ±{:.0%}".format(*np.delete(tables[constants][name, n], 1)) for n in AT)
        print(f"| {name} | {len(runs)} | {' | '.join(cells)} | {constants[0]:g}, {constants[1]} |")


if __name__ == "__main__":
    main()
