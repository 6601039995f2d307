"""What counts as one architecture."""

import json

import numpy as np
import pytest

from earlycall.nas.identity import canonical, identity
from earlycall.nas.predictor import Predictor
from nas.cells import chain, collected, renamed_nodes

CELL = {
    "gate_in": {"op": "linear", "input": ["x", "h_prev_0"]},
    "gate": {"op": "activation_sigm", "input": ["gate_in"]},
    "mine_in": {"op": "linear", "input": ["x", "h_prev_0"]},
    "mine": {"op": "activation_tanh", "input": ["mine_in"]},
    "h_new_0": {"op": "blend", "input": ["gate", "h_prev_0", "mine"]},
}


def changed(node, **values):
    return CELL | {node: CELL[node] | values}


@pytest.mark.parametrize("seed", range(5))
def test_names_and_order_of_nodes_make_no_difference(seed):
    other = renamed_nodes(CELL, seed)
    assert list(other) != list(CELL)
    assert canonical(json.dumps(other)) == canonical(json.dumps(CELL))


@pytest.mark.parametrize(
    "other",
    [
        changed("mine", op="activation_sigm"),
        changed("mine_in", input=["x"]),
        changed("mine_in", input=["x", "h_prev_1"]),
        changed("mine_in", input=["x", "h_prev_0", "x"]),
        changed("h_new_0", input=["mine", "h_prev_0", "gate"]),
        changed("gate", input=["mine_in"]),
        {("h_new_1" if n == "h_new_0" else n): v for n, v in CELL.items()},
    ],
    ids=["operation", "fewer", "input", "twice", "order of a blend", "shared", "state"],
)
def test_anything_else_does(other):
    assert canonical(json.dumps(other)) != canonical(json.dumps(CELL))


def test_a_sum_does_not_tell_its_inputs_apart():
    def added(*names):
        nodes = {"a": {"op": "conv", "input": ["x"]}, "s": {"op": "sum", "input": list(names)}}
        return json.dumps(nodes)

    assert canonical(added("x", "a")) == canonical(added("a", "x"))


def test_graphs_of_other_widths_are_other_architectures_but_names_are_not():
    graph = {"arch.graph": chain(["activation_tanh"])}
    assert identity(graph | {"arch.width": 8}) != identity(graph | {"arch.width": 16})
    assert identity(graph | {"arch.name": "a"}) == identity(graph | {"arch.name": "b", "run": "c"})
    assert identity({"arch.name": "a"}) != identity({"arch.name": "b"})


def test_a_deep_graph_takes_no_time():
    nodes = {"n0": {"op": "linear", "input": ["x"]}}
    for i in range(1, 5000):
        nodes[f"n{i}"] = {"op": "tanh", "input": [f"n{i - 1}"]}
    assert canonical(json.dumps(nodes)) == canonical(json.dumps(renamed_nodes(nodes)))


def test_cells_under_other_node_names_are_held_out_together():
    """Otherwise a copy in the training part would tell the answer."""
    graphs = [json.loads(g) for g in collected(12).runs["arch.graph"]]
    rows = [{"arch.graph": json.dumps(renamed_nodes(g, s))} for s in range(3) for g in graphs]
    draw = np.random.default_rng(0).permutation(12).astype(float)
    fitted = Predictor("boosting").fit(rows, np.tile(draw, 3))
    assert fitted.quality_.architectures == 12
    assert fitted.quality_.spearman < 0.6
