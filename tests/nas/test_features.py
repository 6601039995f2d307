"""Features: each says what its definition says."""

import json
import math

import numpy as np
import polars as pl
import pytest

from earlycall.errors import InputError
from earlycall.nas.features import FAMILIES, Architecture, ArchitectureFeatures, Graph, meaning
from earlycall.nas.features.names import parsed
from earlycall.nas.features.signals import SIGNALS
from nas.cells import chain, collected, renamed_nodes

LSTM_LIKE = json.dumps({
    "gate_in": {"op": "linear", "input": ["x", "h_prev_0"]},
    "gate": {"op": "activation_sigm", "input": ["gate_in"]},
    "new_in": {"op": "linear", "input": ["x", "h_prev_0"]},
    "new": {"op": "activation_tanh", "input": ["new_in"]},
    "h_new_0": {"op": "blend", "input": ["gate", "h_prev_0", "new"]},
})  # fmt: skip


def features(graph):
    known = Architecture({"arch.graph": graph})
    return {k: v for family in FAMILIES for k, v in family.compute(known).items()}


def test_paths_count_what_lies_between_an_input_and_an_output():
    found = features(LSTM_LIKE)
    assert found["path:fewest node from h_prev_0 to h_new_0"] == 1  # straight into the blend
    assert found["path:most node from h_prev_0 to h_new_0"] == 3
    assert found["path:fewest activation_* from x to h_new_0"] == 1
    assert found["path:fewest activation_sigm from x to h_new_0"] == 0  # through the tanh
    assert found["path:most activation_sigm from x to h_new_0"] == 1
    assert math.expm1(found["path:ways node from h_prev_0 to h_new_0"]) == pytest.approx(3)
    assert found["path:last blend from any to h_new_0"] == 1


def test_counts_and_neighbourhoods():
    found = features(LSTM_LIKE)
    assert found["count:op linear"] == 2
    assert found["count:depth"] == 3
    assert found["count:use of h_prev_0"] == 3
    assert found["wl1:linear(h_prev_0, x)"] == 2
    assert found["wl2:activation_tanh(linear(h_prev_0, x))"] == 1


def test_signals_tell_a_cell_that_forgets_from_one_that_remembers():
    forgets = chain(["activation_sigm"] * 4)
    skip = json.dumps({
        "a": {"op": "linear", "input": ["x"]},
        "h_new_0": {"op": "elementwise_sum", "input": ["a", "h_prev_0"]},
    })  # fmt: skip
    short, long = features(forgets), features(skip)
    assert short["signal:lag 8"] < -3 < -0.5 < long["signal:lag 8"]
    assert long["signal:lag 8"] == pytest.approx(long["signal:lag 0"], abs=1e-6)
    assert long["signal:contrast"] > short["signal:contrast"]


def test_a_readout_tells_what_a_recurrent_cell_keeps_and_multiplies():
    node = {"a": {"op": "linear", "input": ["x"]}}
    none = {"z": {"op": "none", "input": ["h_prev_0"]}}
    late = {"b": {"op": "linear", "input": ["h_prev_0"]}}
    product = {"p": {"op": "elementwise_prod", "input": ["a", "b"]}}

    def cell(nodes, *ends):
        end = {"h_new_0": {"op": "elementwise_sum", "input": list(ends)}}
        return features(json.dumps(nodes | end))

    forgets = cell(node | none, "a", "z")
    adds = cell(node | late, "a", "b")
    multiplies = cell(node | late | product, "a", "p")
    assert forgets["signal:recall 0"] > 0.9
    assert forgets["signal:recall 1"] < 0.1
    assert adds["signal:recall 1"] > 0.3
    assert multiplies["signal:product"] > 1.5 * adds["signal:product"]


def test_a_graph_with_an_operation_that_nobody_knows_has_no_signals_but_all_else():
    found = features('{"a": {"op": "frobnicate", "input": ["x"]}}')
    assert not any(name.startswith("signal") for name in found)
    assert found["count:op frobnicate"] == 1


def test_features_do_not_depend_on_the_order_or_names_of_nodes():
    ours = features(LSTM_LIKE)
    for seed in range(3):
        theirs = features(json.dumps(renamed_nodes(json.loads(LSTM_LIKE), seed)))
        assert theirs == pytest.approx(ours, rel=1e-6)


def test_columns_that_differ_in_a_number_are_summed_up():
    row = {"arch.block0_k": 3, "arch.block1_k": 5, "arch.l0": "a", "arch.l1": "a", "arch.l2": "b"}
    found = {k: v for family in FAMILIES for k, v in family.compute(Architecture(row)).items()}
    assert found["arch.block*_k"] == 8
    assert (found["arch.l*=a"], found["arch.l*=b"]) == (2, 1)
    assert meaning("arch.l*=a") == "how many of arch.l* are a"


def test_other_graphs_before_it_do_not_change_the_signals_of_a_graph():
    """Pieces that graphs share are computed once."""
    parts = ("conv_3x3", "avg_pool", "none", "skip")
    cells = [
        json.dumps({
            "a": {"op": a, "input": ["x"]}, "b": {"op": b, "input": ["x"]},
            "c": {"op": "conv_1x1", "input": ["a", "b"]}, "out": {"op": "sum", "input": ["b", "c"]},
        })
        for a in parts for b in parts
    ]  # fmt: skip
    alone = SIGNALS.compute(Architecture({"arch.graph": cells[-1]}))
    for cell in cells:
        SIGNALS.compute(Architecture({"arch.graph": cell}))
    again = SIGNALS.compute(Architecture({"arch.graph": cells[-1]}))
    assert again == alone
    assert len({str(SIGNALS.compute(Architecture({"arch.graph": c}))) for c in cells}) > 12


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        ("{", "not JSON"),
        ("[]", "an object"),
        ('{"a": {"input": []}}', "node 'a' of the graph has no 'op'"),
        ('{"a": {"op": "x", "input": "b"}}', "must be a list"),
        ('{"a": {"op": "l", "input": ["b"]}, "b": {"op": "l", "input": ["a"]}}', "cycle"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_graph_that_is_none_is_one_sentence(graph, said):
    with pytest.raises(InputError, match=said):
        Graph.of(graph)


def test_names():
    found = parsed("vit_small_patch16_224")
    assert found["name:family=vit"] == 1
    assert (found["name:patch"], found["name:resolution"]) == (16, 224)
    assert parsed("resnet101")["name:number"] == 101
    assert parsed("resnet32ts")["name:family=resnet"] == 1
    assert parsed("efficientnet_b4")["name:variant"] == 4
    assert parsed("convnextv2_tiny")["name:version"] == 2
    assert parsed("timm/convnext_large")["name:size"] > parsed("convnext_nano")["name:size"]


def test_every_feature_has_a_definition_and_a_source():
    table = collected(20).runs.with_columns(pl.lit("resnet18").alias("arch.name"))
    table = table.with_columns(pl.Series("arch.depth", range(20)))
    chosen = ArchitectureFeatures().fit(table)
    for name in chosen.names_:
        assert meaning(name) != name, name
    assert all(family.source for family in FAMILIES)


def test_what_is_unknown_of_a_row_is_the_median_and_what_is_absent_is_none():
    rows = [{"arch.params": 10.0**i, "arch.kind": "ab"[i % 2]} for i in range(1, 6)]
    chosen = ArchitectureFeatures().fit(rows)
    place = {name: i for i, name in enumerate(chosen.names_)}
    row = chosen.transform([{"arch.params": None, "arch.kind": "a"}])[0]
    assert row[place["arch.params"]] == 3
    assert (row[place["arch.kind=a"]], row[place["arch.kind=b"]]) == (1, 0)


def test_architectures_without_any_difference_are_refused():
    with pytest.raises(InputError, match="told apart"):
        ArchitectureFeatures().fit([{"arch.params": 5}, {"arch.params": 5}])
    with pytest.raises(InputError, match=r"arch\.graph"):
        ArchitectureFeatures().fit([{"run": "a"}])


def test_deep_graphs_are_no_trouble():
    nodes = {"n0": {"op": "linear", "input": ["x"]}}
    for i in range(1, 5000):
        nodes[f"n{i}"] = {"op": "tanh", "input": [f"n{i - 1}"]}
    found = features(json.dumps(nodes))
    assert found["count:depth"] == 5000
    assert np.isfinite(list(found.values())).all()
