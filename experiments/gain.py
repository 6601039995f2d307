"""What each constant of the gain rule buys: the tables of docs/elasticity.md.

    python experiments/gain.py SET…

The sets are folders in the project's file format; their data is not part of the project.
"""

import sys

import numpy as np

import earlycall as ec
from earlycall.stopping import gain

THRESHOLDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
PATIENCE = ("1", "2", "3", "5", "10", "3:0.001", "3:0.005", "3:0.01", "5:0.001", "1:0.01")
MANY = np.geomspace(1e-5, 5, 80)
VARIANTS = {
    "as it is": {},
    "memory 2": {"MEMORY": 2.0},
    "memory 8": {"MEMORY": 8.0},
    "slow average 2.5 times as slow": {"SLOW_FACTOR": 2.5},
    "slow average 10 times as slow": {"SLOW_FACTOR": 10.0},
    "power 0: no fading": {"FADE_POWER": 0.0},
    "power 1": {"FADE_POWER": 1.0},
    "power 4": {"FADE_POWER": 4.0},
}
GRID = [
    {"MEMORY": memory, "SLOW_FACTOR": slow, "FADE_POWER": power}
    for memory in (3.0, 3.5, 4.0, 4.5, 5.0, 6.0)
    for slow in (3.0, 4.0, 5.0, 6.0, 8.0)
    for power in (1.0, 1.5, 2.0, 2.5, 3.0)
]


def points(curves, rules):
    """Cost and regret in percent, a row per rule."""
    return ec.replay(curves, rules).means().select("cost_pct", "regret_pct").to_numpy()


def gain_points(curves, thresholds, constants):
    """The same of gain rules with other constants."""
    old = {name: getattr(gain, name) for name in constants}
    try:
        for name, value in constants.items():
            setattr(gain, name, value)
        return points(curves, [f"gain:{threshold:.6g}" for threshold in thresholds])
    finally:
        for name, value in old.items():
            setattr(gain, name, value)


def matched(gains, patience):
    """How many settings of patience have neither less cost nor less regret than a gain rule."""
    return sum(bool((gains <= point).all(axis=1).any()) for point in patience)


def beaten(gains, patience):
    """How many gain rules have more cost and more regret than a setting of patience."""
    return sum(bool((patience < point).all(axis=1).any()) for point in gains)


def saved(many, patience):
    """Points of cost less than patience at equal regret, on average over its settings."""
    order = np.argsort(many[:, 1])
    cost = np.minimum.accumulate(many[order, 0])
    return float(np.mean(patience[:, 0] - np.interp(patience[:, 1], many[order, 1], cost)))


def main(paths):
    """Print what each constant buys, then what others chose for the set left out."""
    sets = {curves.name: curves for curves in map(ec.read, paths)}
    rivals = {
        name: points(curves, [f"patience:{setting}" for setting in PATIENCE])
        for name, curves in sets.items()
    }
    print("| | " + " | ".join(sets) + " |\n|---|" + "---|" * len(sets))
    for variant, constants in VARIANTS.items():
        cells = []
        for name, curves in sets.items():
            ten = gain_points(curves, THRESHOLDS, constants)
            margin = saved(gain_points(curves, MANY, constants), rivals[name])
            lost = beaten(ten, rivals[name])
            text = f"{matched(ten, rivals[name])}, {margin:.1f}"
            cells.append(text + (f" ({lost} beaten)" if lost else ""))
        print(f"| {variant} | " + " | ".join(cells) + " |", flush=True)
    table = np.array(
        [
            [matched(gain_points(c, THRESHOLDS, constants), rivals[n]) for n, c in sets.items()]
            for constants in GRID
        ]
    )
    print("\n| left out | chosen on the others | matched |\n|---|---|---|")
    for i, name in enumerate(sets):
        others = np.delete(table, i, axis=1).mean(axis=1)
        best = np.flatnonzero(others >= others.max() - 1e-9)
        chosen = "; ".join(" / ".join(f"{v:g}" for v in GRID[j].values()) for j in best)
        print(f"| {name} | {chosen} | {table[best, i].mean():.1f} |")
    print(f"\nMean over the grid: {', '.join(f'{m:.1f}' for m in table.mean(axis=0))}")


if __name__ == "__main__":
    main(sys.argv[1:])
