"""Train-less ranking and search, measured on a curve set of recurrent cells with known outcomes.

    python experiments/nas.py CURVESET [--splits 20] [--seeds 20]

Writes docs/nas_measured.md, docs/images/nas_learning.svg and docs/images/nas_search.svg. What was
measured so far is kept in .benchmarks/nas.json, so that the work can be interrupted.
"""

import argparse
import json
import time
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestRegressor

import earlycall as ec
from earlycall.nas.features import ArchitectureFeatures, Graph
from earlycall.nas.identity import canonical
from earlycall.nas.labels import label, standings
from earlycall.nas.models import ChosenRegressor
from earlycall.scores.ranks import rank_correlation

ROOT = Path(__file__).parent.parent
TARGETS = ("final", "outlook", "last_loss", "tse", "lcga_d1")
SIZES = (10, 20, 40, 80)
START, BATCH, MOST, SAMPLE, POPULATION = 10, 5, 60, 5, 20


class Cells:
    """The cells, their features and their outcomes."""

    def __init__(self, path):
        self.curves = ec.read(path)
        self.runs = self.curves.runs
        self.graphs = [Graph.of(g) for g in self.runs["arch.graph"]]
        self.same = np.array([canonical(g) for g in self.runs["arch.graph"]])
        self.X = ArchitectureFeatures().fit_transform(self.runs.select("arch.graph"))
        self.outcome = label(self.curves, target="final").value
        self.loss = self.runs["final"].to_numpy()
        ops = sorted({op for g in self.graphs for op in g.op.values()})
        self.counts = np.array([[g.operations[op] for op in ops] for g in self.graphs], float)
        self.params = self.runs["arch.params"].to_numpy().astype(float)

    def __len__(self):
        return len(self.graphs)

    @cache  # noqa: B019
    def labels(self, target):
        """The label of each cell, larger is better."""
        found = label(self.curves, target=target, epochs=5)
        return found.value

    def split(self, seed, known):
        """At least so many known cells, and others that differ from all of them."""
        order = np.random.default_rng(seed).permutation(len(self))
        first = order[np.isin(self.same[order], self.same[order[:known]])]
        return first, np.setdiff1d(order, first)


def told(cells, known, unknown, target, model="boosting"):
    """Spearman on unseen cells of a predictor of labels of the known ones."""
    y = standings(cells.labels(target)[known], ["a"] * len(known))
    fitted = ChosenRegressor(model, assess=False).fit(cells.X[known], y)
    return rank_correlation(fitted.predict(cells.X[unknown]), cells.outcome[unknown])


def unseen(cells, splits):
    """60 % known, 40 % ranked unseen."""
    rows = {name: [] for name in (*TARGETS, "operation counts", "parameter count")}
    for seed in range(splits):
        known, unknown = cells.split(seed, round(0.6 * len(cells)))
        for target in TARGETS:
            rows[target].append(told(cells, known, unknown, target))
        forest = RandomForestRegressor(300, min_samples_leaf=2, random_state=0)
        forest.fit(cells.counts[known], cells.outcome[known])
        guess = forest.predict(cells.counts[unknown])
        rows["operation counts"].append(rank_correlation(guess, cells.outcome[unknown]))
        size = rank_correlation(cells.params[unknown], cells.outcome[unknown])
        rows["parameter count"].append(size)
        print("split", seed, {k: round(v[-1], 2) for k, v in rows.items()}, flush=True)
    return rows


def learning(cells, splits):
    """Ever more known cells; the rest is ranked."""
    rows = {"final": {}, "outlook": {}}
    for size in SIZES:
        for target, found in rows.items():
            found[size] = [
                told(cells, *cells.split(100 + seed, size), target) for seed in range(splits)
            ]
            print("learning", size, target, round(np.mean(found[size]), 2), flush=True)
    return rows


def at_random(cells, draw):
    return draw.permutation(len(cells))[:MOST]


def by_evolution(cells, draw):
    """Regularised evolution (Real et al. 2019): a mutation is the most similar untrained cell."""
    scaled = (cells.X - cells.X.mean(0)) / cells.X.std(0)
    trained = list(draw.permutation(len(cells))[:START])
    while len(trained) < MOST:
        living = trained[-POPULATION:]
        parents = draw.choice(living, min(SAMPLE, len(living)), replace=False)
        parent = max(parents, key=lambda i: cells.outcome[i])
        distance = ((scaled - scaled[parent]) ** 2).sum(1)
        distance[trained] = np.inf
        trained.append(int(np.argmin(distance)))
    return np.array(trained)


def by_predictor(cells, draw, target="final"):
    """Ten at random, then the five most promising, again and again."""
    trained = list(draw.permutation(len(cells))[:START])
    while len(trained) < MOST:
        y = standings(cells.labels(target)[trained], ["a"] * len(trained))
        fitted = ChosenRegressor("boosting", assess=False).fit(cells.X[trained], y)
        promise = fitted.predict(cells.X)
        promise[trained] = -np.inf
        trained += np.argsort(-promise)[:BATCH].tolist()
    return np.array(trained)


SEARCHES = {
    "random search": at_random,
    "regularised evolution": by_evolution,
    "predictor, outcomes as labels": by_predictor,
    "predictor, 5 epochs as labels": lambda cells, draw: by_predictor(cells, draw, "outlook"),
}


def search(cells, seeds):
    """The lowest loss found after each training, by search and seed."""
    rows = {}
    for name, run in SEARCHES.items():
        orders = [run(cells, np.random.default_rng(seed)) for seed in range(seeds)]
        rows[name] = [np.minimum.accumulate(cells.loss[o]).tolist() for o in orders]
        print("search", name, np.mean([r[19] for r in rows[name]]), flush=True)
    return rows


def speed(cells):
    """Seconds an architecture: features, and prediction."""
    fitted = ChosenRegressor("boosting", assess=False).fit(cells.X, cells.outcome)
    many = np.repeat(cells.X, 20, axis=0)
    start = time.perf_counter()
    fitted.predict(many)
    predicted = (time.perf_counter() - start) / len(many)
    from earlycall.nas.features.table import _of_graphs

    _of_graphs.clear()
    start = time.perf_counter()
    ArchitectureFeatures().fit_transform(cells.runs.select("arch.graph"))
    return {"features": (time.perf_counter() - start) / len(cells), "prediction": predicted}


def draw_learning(rows):
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    names = {"final": "outcomes as labels", "outlook": "first 5 epochs as labels"}
    for (target, found), colour in zip(rows.items(), ("#0072B2", "#E69F00"), strict=True):
        mean = [float(np.mean(found[s])) for s in found]
        spread = [float(np.std(found[s])) for s in found]
        figure.add_trace(Scatter(
            x=[int(s) for s in found], y=mean, error_y={"array": spread}, name=names[target],
            line={"color": colour},
        ))  # fmt: skip
    figure.update_xaxes(title="cells trained", type="log", tickvals=SIZES)
    figure.update_yaxes(title="Spearman on unseen cells", range=[0, 1])
    return figure


def draw_search(rows, best):
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    colours = ("#999999", "#E69F00", "#0072B2", "#009E73")
    for (name, found), colour in zip(rows.items(), colours, strict=True):
        low, middle, high = np.quantile(np.array(found), [0.25, 0.5, 0.75], axis=0)
        x = list(range(1, len(middle) + 1))
        figure.add_trace(Scatter(
            x=x + x[::-1], y=[*high, *low[::-1]], fill="toself", fillcolor=colour, opacity=0.15,
            line={"width": 0}, showlegend=False, hoverinfo="skip",
        ))  # fmt: skip
        figure.add_trace(Scatter(x=x, y=middle, name=name, line={"color": colour}))
    figure.add_hline(y=best, line={"dash": "dot", "color": "#555555"})
    figure.update_xaxes(title="cells trained")
    figure.update_yaxes(title="lowest test loss found")
    return figure


def write_figure(figure, path):
    figure.update_layout(
        template="plotly_white", width=760, height=420, font={"size": 13},
        margin={"t": 20, "r": 20, "b": 60, "l": 70}, legend={"x": 0.5, "y": 0.98},
    )  # fmt: skip
    figure.write_image(path)


def page(found, cells):
    best, n = cells.loss.min(), len(cells)
    kinds = Counter(op for g in cells.graphs for op in g.op.values())
    lines = [
        "# Train-less ranking, as measured", "",
        f"Written by `experiments/nas.py` from {n} recurrent cells of NAS-Bench-NLP "
        f"(Klyuchnikov et al. 2022) trained on WikiText-2, with {len(kinds)} operations.", "",
        "## Unseen cells", "",
        f"60 % of the cells are known, the other 40 % are ranked from their graphs alone; mean and "
        f"standard deviation over {len(found['unseen']['final'])} random splits, in which no "
        "cell is on both sides. Labels other than the outcome come from the first 5 of 50 "
        "epochs.", "",
        "| learnt from | Spearman with the outcome | standard deviation |", "|---|---|---|",
    ]  # fmt: skip
    names = {
        "final": "the outcome", "operation counts": "baseline: counts of operations, random forest",
        "parameter count": "baseline: the parameter count alone",
    }  # fmt: skip
    for name, values in found["unseen"].items():
        shown = names.get(name, f"`{name}` of 5 epochs")
        lines.append(f"| {shown} | {np.mean(values):.2f} | {np.std(values):.2f} |")
    lines += [
        "", "## Against the number of trained cells", "",
        "![Learning curve](images/nas_learning.svg)", "",
        "| cells trained | " + " | ".join(map(str, SIZES)) + " |", "|---|" + "---|" * len(SIZES),
    ]  # fmt: skip
    for target, rows in found["learning"].items():
        shown = "outcomes" if target == "final" else "first 5 epochs"
        cells_ = " | ".join(f"{np.mean(v):.2f} ± {np.std(v):.2f}" for v in rows.values())
        lines.append(f"| labels: {shown} | {cells_} |")
    seeds = len(found["search"]["random search"])
    lines += [
        "", "## Search", "",
        f"Each search chooses what to train from the {n} cells; outcomes are looked up. Ten cells "
        "at random, then the predictor's five most promising at a time. Evolution is regularised "
        f"(population {POPULATION}, sample {SAMPLE}); its mutation of a cell is the most similar "
        f"untrained one. Medians of {seeds} seeds, quartiles shaded; dotted: the best cell there "
        f"is ({best:.3f}).", "", "![Search](images/nas_search.svg)", "",
        "| search | lowest loss after 15 | 20 | 30 | 60 | trained until the best (median) |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, rows in found["search"].items():
        a = np.array(rows)
        after = " | ".join(f"{np.mean(a[:, k - 1]):.3f}" for k in (15, 20, 30, 60))
        first = np.where((a <= best).any(1), (a <= best).argmax(1) + 1.0, np.inf)
        middle = np.median(first)
        until = f"{middle:.0f}" if np.isfinite(middle) else "more than 60"
        lines.append(f"| {name} | {after} | {until} |")
    s = found["speed"]
    lines += [
        "", "## Speed", "",
        f"Features of a graph take {1e3 * s['features']:.1f} ms on one core, most of them the "
        f"signals; the prediction takes {1e6 * s['prediction']:.0f} µs an architecture in a table "
        "of thousands.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("curve_set", type=Path)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--keep", type=Path, default=ROOT / ".benchmarks" / "nas.json")
    given = parser.parse_args()
    cells = Cells(given.curve_set)
    found = json.loads(given.keep.read_text()) if given.keep.exists() else {}
    parts = {
        "unseen": lambda: unseen(cells, given.splits),
        "search": lambda: search(cells, given.seeds),
        "learning": lambda: learning(cells, given.splits),
        "speed": lambda: speed(cells),
    }
    for name, measure in parts.items():
        if name not in found:
            found[name] = measure()
            given.keep.parent.mkdir(exist_ok=True)
            given.keep.write_text(json.dumps(found))
    images = ROOT / "docs" / "images"
    write_figure(draw_learning(found["learning"]), images / "nas_learning.svg")
    write_figure(draw_search(found["search"], cells.loss.min()), images / "nas_search.svg")
    (ROOT / "docs" / "nas_measured.md").write_text(page(found, cells))


if __name__ == "__main__":
    main()
