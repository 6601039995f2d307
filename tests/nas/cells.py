"""Small recurrent cells with known outcomes, and curve sets of them."""

import json
import random

import numpy as np
import polars as pl

from earlycall.curves import CurveSet

ACTIVATIONS = ("activation_tanh", "activation_sigm", "activation_leaky_relu")


def chain(activations):
    """A cell of linear layers with these activations, one after the other."""
    nodes, last = {}, "x"
    for i, activation in enumerate(activations):
        nodes[f"lin_{i}"] = {"op": "linear", "input": [last, "h_prev_0"]}
        name = "h_new_0" if i == len(activations) - 1 else f"act_{i}"
        nodes[name] = {"op": activation, "input": [f"lin_{i}"]}
        last = name
    return json.dumps(nodes)


def renamed_nodes(nodes, seed=0):
    """The same graph: other names of all nodes but states, in another order."""
    draw = random.Random(seed)
    order = draw.sample(list(nodes), len(nodes))
    name = {n: n if "new" in n else f"other{i}" for i, n in enumerate(order)}
    return {
        name[n]: {"op": nodes[n]["op"], "input": [name.get(i, i) for i in nodes[n]["input"]]}
        for n in order
    }


def cells(n, seed=0):
    """Different random chains of one to five layers."""
    draw = random.Random(seed)
    found = {}
    while len(found) < n:
        ops = tuple(draw.choice(ACTIVATIONS) for _ in range(draw.randint(1, 5)))
        found[ops] = None
    return list(found)


def collected(n=40, seed=0, epochs=20, finished=True, noise=0.02):
    """Runs whose loss levels off higher for each sigmoid; the size of a cell says nothing."""
    draw = np.random.default_rng(seed)
    rows, runs = [], []
    for number, ops in enumerate(cells(n, seed)):
        level = 1.0 + ops.count("activation_sigm") + 0.2 * ops.count("activation_leaky_relu")
        level += draw.normal(0, noise)
        for epoch in range(epochs):
            loss = level + 2 / (epoch + 1)
            rows.append({"run": f"cell{number}", "step": epoch + 1, "epoch": epoch,
                         "train_loss": loss})  # fmt: skip
        runs.append({
            "run": f"cell{number}", "arch.graph": chain(ops),
            "arch.params": int(draw.integers(1000, 2000)),
            **({"final": level, "higher_is_better": False} if finished else {}),
        })  # fmt: skip
    return CurveSet.from_frame(pl.DataFrame(rows), pl.DataFrame(runs), name="cells")
