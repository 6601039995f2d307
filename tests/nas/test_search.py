"""Search: samplers on spaces, and a small loop that really trains."""

import json
import sys

import numpy as np
import optuna
import polars as pl
import pytest
from optuna.trial import FixedTrial

from conftest import earlycall
from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.nas.costs import predicted_cost
from earlycall.nas.evolution_sampler import RegularizedEvolutionSampler
from earlycall.nas.explain import explain
from earlycall.nas.features import Graph
from earlycall.nas.identity import canonical, identity
from earlycall.nas.model_file import save
from earlycall.nas.mutations import MUTATIONS, differing
from earlycall.nas.predictor import Predictor, fit_predictor
from earlycall.nas.search import SAMPLERS, search
from earlycall.nas.spaces import GraphSpace, ModelSpace, OptunaSpace
from earlycall.nas.store import Store
from earlycall.nas.training_search import Budget, Loop, SearchPlan
from nas.cells import cells, chain, collected

DIGITS = {
    "name": "digits", "data": {"name": "digits", "train": 300, "val": 200}, "epochs": 5, "early": 2,
    "setting": {"lr": 0.05, "batch_size": 32},
    "space": [
        {"model": "thin/mlp", "widths": [[4], [8], [16], [32], [16, 16], [32, 32], [8, 8, 8]]},
        {"model": "thin/cnn", "widths": [[2, 4], [4, 8], [8, 16], [16, 32], [4, 8, 16]]},
        {"model": "thin/vgg", "widths": [[4, 8], [8, 16]], "convolutions": [1, 2, 3]},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def predictor():
    return fit_predictor(collected(), model="boosting")


def parents():
    return [Graph.of(chain(ops)) for ops in cells(5, seed=3)]


@pytest.mark.parametrize("sampler", SAMPLERS[:3])
def test_samplers_find_better_graphs_than_they_start_from(predictor, sampler):
    start = predictor.predict([{"arch.graph": g.json()} for g in parents()])
    found = search(GraphSpace(parents()), predictor, trials=60, sampler=sampler)
    assert found.table["score"][0] >= start.max()
    assert found.table["score"].is_sorted(descending=True)
    assert found.table["arch.graph"].n_unique() == found.table.height


def test_a_seed_repeats_a_search_and_known_ones_are_left_out(predictor):
    one = search(GraphSpace(parents()), predictor, trials=30, seed=1)
    two = search(GraphSpace(parents()), predictor, trials=30, seed=1)
    assert one.table.equals(two.table)
    best = one.table["arch.graph"][0]
    known = [identity({"arch.graph": best})]
    rest = search(GraphSpace(parents()), predictor, trials=30, seed=1, known=known)
    assert best not in rest.table["arch.graph"]


def test_score_against_cost_gives_a_front():
    rows = [{"arch.params": 10.0**i, "arch.depth": i} for i in range(1, 9)]
    model = Predictor("ridge").fit(rows, [float(i) for i in range(8)])
    space = OptunaSpace(lambda t: {
        "arch.params": 10 ** t.suggest_float("p", 1, 8), "arch.depth": t.suggest_int("d", 1, 8),
    })  # fmt: skip
    found = search(space, model, trials=80, cost="arch.params")
    front = found.table.filter(pl.col("front"))
    assert 1 < front.height < found.table.height
    assert front["cost"].is_sorted(descending=True)  # less score, less cost
    with pytest.raises(InputError, match=r"no number 'arch\.flops'"):
        search(space, model, trials=5, cost="arch.flops")


def test_predicted_joules_are_a_cost():
    """Runs of a parameter count's joules; the search prefers what they say is cheap."""
    frame = pl.DataFrame([
        {"run": str(r), "step": s, "train_loss": 9.0 - r, "joules": s * 2.0**r}
        for r in range(8) for s in (1, 2, 3)
    ])  # fmt: skip
    curves = CurveSet.from_frame(
        frame, pl.DataFrame([{"run": str(r), "arch.depth": r} for r in range(8)])
    )
    cost = predicted_cost(curves)
    space = OptunaSpace(lambda t: {"arch.depth": t.suggest_int("depth", 0, 7)})
    model = Predictor("ridge").fit(curves.runs, [float(r) for r in range(8)])
    front = search(space, model, trials=60, cost=cost).table.filter(pl.col("front"))
    assert front["cost"][0] > 2 * front["cost"][-1]
    with pytest.raises(InputError, match="no column 'joules'"):
        predicted_cost(collected(3))


def test_every_mutation_gives_a_graph_without_cycles():
    draw = np.random.default_rng(0)
    for graph in parents():
        for mutate in MUTATIONS.values():
            changed = 0
            for _ in range(40):
                where, what = draw.random(2)
                child = mutate(graph, where, what, ["activation_tanh", "activation_sigm"])
                assert set(child.inputs) <= set(graph.inputs)
                assert "h_new_0" in child.op
                changed += child != graph
            assert changed or mutate.__name__ == "remove"


def test_every_suggestion_is_another_graph_and_more_edits_lead_further():
    """Also where the numbers ask for the operation that is there, or to take an edit back."""
    draw, operations = np.random.default_rng(0), ("activation_tanh", "activation_sigm")
    for parent in parents():
        space = GraphSpace([parent], operations, mutations=3)
        for _ in range(30):
            edits = {
                f"{i}.{key}": float(draw.random()) for i in range(3) for key in ("where", "what")
            }
            kinds = {f"{i}.kind": str(draw.choice(list(MUTATIONS))) for i in range(3)}
            found = [
                Graph.of(space.suggest(FixedTrial({"parent": 0, "edits": n, **edits, **kinds}))
                         .columns["arch.graph"])
                for n in (1, 2, 3)
            ]  # fmt: skip
            distances = [differing(graph, parent) for graph in found]
            assert 0 < distances[0] < distances[1] < distances[2]
            assert len({canonical(g.json()) for g in (parent, *found)}) == 4


def test_children_are_new_until_all_are_tried_and_then_lie_further_away():
    """Eight combinations; every suggestion is another one, then all have been."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=RegularizedEvolutionSampler(2, 1, seed=0))
    study.enqueue_trial({"x0": 0, "x1": 0, "x2": 0})
    study.enqueue_trial({"x0": 1, "x1": 1, "x2": 1})
    study.optimize(lambda t: sum(t.suggest_int(f"x{i}", 0, 1) for i in range(3)), 8)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 8
    study.optimize(lambda t: sum(t.suggest_int(f"x{i}", 0, 1) for i in range(3)), 2)


def test_a_child_differs_from_its_parent_in_one_parameter():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=RegularizedEvolutionSampler(5, 2, seed=0))
    study.optimize(lambda t: sum(t.suggest_int(f"x{i}", 0, 99) for i in range(6)), 40)
    for number in range(5, 40):
        trial = study.trials[number]
        living = study.trials[max(0, number - 5) : number]
        same = [sum(trial.params[k] == p.params[k] for k in p.params) for p in living]
        assert max(same) == 5, number


def test_models_that_cannot_be_built_are_passed_over():
    space = ModelSpace([{"model": "thin/vgg", "widths": [[4, 8, 16, 32, 64], [4, 8]]}], 1, 10, 8)
    assert space.suggest(FixedTrial({"family": 0, "0.widths": 0})) is None  # 8 pixels, 5 halvings
    found = space.suggest(FixedTrial({"family": 0, "0.widths": 1}))
    assert found.columns["arch.stage1.width"] == 4
    assert found.columns["arch.stage2.width"] == 8
    assert "conv2d" in found.columns["arch.graph"]


def test_a_whole_small_loop(tmp_path):
    """Six runs collected, a fit, a search of 200 candidates, two trained, a refit."""
    plan = SearchPlan.of(DIGITS)
    said = []
    with Store(tmp_path / "experiments.db") as store:
        first = Loop(plan, store, tmp_path / "first", trials=30, train=6, log=said.append)
        assert first.run(Budget(runs=6)).rounds[0]["by"] == "random"
        assert len(store) == 6
        loop = Loop(plan, store, tmp_path / "search", trials=200, train=2, log=said.append)
        done = loop.run(Budget(runs=2))
        assert len(store) == 8
        assert (len(done.trained), done.waiting, done.rounds[0]["runs_known"]) == (2, [], 6)
        assert set(done.trained) & set(first.progress.trained) == set()
        curves = store.curves()
        assert curves.observations["epoch"].max() == 1  # early epochs only
        refit = fit_predictor(curves, epochs=2, force=True)
        assert refit.target_ == "outlook"
        assert (refit.quality_.n, refit.quality_.architectures) == (8, 8)
        # Started again, it goes on where it was: nothing is trained twice.
        again = Loop(plan, store, tmp_path / "search", trials=200, train=2).run(Budget(runs=2))
        assert again.trained == done.trained
        assert len(store) == 8
        more = Loop(plan, store, tmp_path / "search", train=2, log=said.append).run(Budget(runs=4))
        assert list(more.made) == more.trained
        assert more.rounds[1]["by"] == "random" or more.rounds[1]["candidates"] <= 20


def test_a_space_that_is_used_up_ends_the_search_in_words(tmp_path):
    plan = SearchPlan.of(DIGITS | {"space": [{"model": "thin/mlp", "widths": [[4], [8]]}]})
    said = []
    with Store(tmp_path / "experiments.db") as store:
        loop = Loop(plan, store, tmp_path / "search", trials=20, train=2, log=said.append)
        done = loop.run(Budget(runs=5))
    assert len(done.trained) == 2
    assert "there are no runs yet to learn from; chosen at random" in said[0]
    assert "all found are trained already; the search ends" in said[-1]


def test_a_choice_at_random_says_why(tmp_path):
    """No predictor is better than the parameter count where that says all."""
    rows = [{"run": str(n), "step": s, "epoch": s, "train_loss": n + 1 / (s + 1)}
            for n in range(8) for s in (0, 1)]  # fmt: skip
    runs = [{"run": str(n), "group": "digits", "arch.params": 2.0**n} for n in range(8)]
    frame = pl.DataFrame(rows).with_columns(group=pl.lit("digits"))
    said = []
    with Store(tmp_path / "experiments.db") as store:
        store.add(CurveSet.from_frame(frame, pl.DataFrame(runs)))
        loop = Loop(SearchPlan.of(DIGITS), store, tmp_path / "s", trials=9, log=said.append)
        assert loop._choose()
    made = loop.progress.rounds[0]
    assert (made["by"], made["expected"], len(made["chosen"])) == ("random", None, 2)
    assert "than the parameter count alone (1.00)" in made["why"]
    assert f"{made['why']}; chosen at random: {', '.join(made['chosen'])}" in said[0]


def test_children_of_what_was_trained_are_filtered_by_the_predictor():
    rows = [{"arch.a": a, "arch.b": b, "arch.c": a * b % 7} for a in range(6) for b in range(6)]
    model = Predictor("ridge").fit(rows, [float(sum(row.values())) for row in rows])
    space = OptunaSpace(lambda t: {f"arch.{n}": t.suggest_int(n, 0, 9) for n in "abc"})
    good, bad = (dict.fromkeys("abc", value) for value in (5, 1))
    known = [identity({f"arch.{n}": value for n in "abc"}) for value in (5, 1)]
    found = search(space, model, trials=20, known=known, parents=[(good, 0.9), (bad, 0.1)])
    assert found.table.height == 20  # all different
    changed = found.table.select(sum((pl.col(f"arch.{n}") != 5).cast(int) for n in "abc"))
    assert changed.to_series().to_list() == [1] * 20  # children of the better one, an edit away
    assert found.table["score"].is_sorted(descending=True)


def test_a_model_beside_the_plan_is_found_as_in_a_study(tmp_path):
    (tmp_path / "own_networks.py").write_text(OWN)
    plan = tmp_path / "space.yaml"
    space = [{"model": "own_networks:network", "width": [2, 4, 8, 16]}]
    plan.write_text(json.dumps(DIGITS | {"space": space}))
    ran = earlycall("nas", "search", plan, "--store", tmp_path / "s.db", "--budget", "2",
                    "-o", tmp_path / "search", "--trials", 10)  # fmt: skip
    assert ran.code == 0, ran.err
    assert "trained 2 runs" in ran.out


OWN = """
import torch


def network(num_classes, image_size, width):
    layers = torch.nn.Linear(image_size**2, width), torch.nn.ReLU()
    return torch.nn.Sequential(torch.nn.Flatten(), *layers, torch.nn.Linear(width, num_classes))
"""


def test_a_budget_of_energy_needs_a_meter(tmp_path, monkeypatch):
    for module in ("codecarbon", "codecarbon.output_methods.base_output", "pynvml"):
        monkeypatch.setitem(sys.modules, module, None)  # as where they are not installed
    with Store(tmp_path / "experiments.db") as store:
        loop = Loop(SearchPlan.of(DIGITS), store, tmp_path / "search", trials=5, train=1)
        with pytest.raises(InputError, match="energy cannot be measured here"):
            loop.run(Budget(runs=1, joules=10.0))


def test_a_choice_that_was_not_trained_yet_is_trained_after_a_kill(tmp_path):
    plan = SearchPlan.of(DIGITS)
    with Store(tmp_path / "experiments.db") as store:
        loop = Loop(plan, store, tmp_path / "search", trials=20, train=2)
        loop._choose()
        waiting = [w["name"] for w in loop.progress.waiting]
        del loop
        done = Loop(plan, store, tmp_path / "search", trials=20, train=2).run(Budget(runs=2))
        assert [t.removesuffix("-search-s0") for t in done.trained] == waiting


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epoch": 3}, "unknown key 'epoch'"),
        ({"space": []}, "'space' is missing or empty"),
        ({"early": 9}, "'early' must be"),
        ({"epochs": "many"}, "'epochs' must be"),
    ],
)
def test_a_plan_that_is_none_is_one_sentence(change, said):
    with pytest.raises(InputError, match=said):
        SearchPlan.of(DIGITS | change)


def test_what_matters_is_what_the_outcomes_were_made_of(predictor):
    table = explain(predictor, collected().runs, repeats=2)
    assert (
        "activation_sigm" in " ".join(table["feature"].head(12)) or "signal" in table["feature"][0]
    )
    assert "arch.params" not in table["feature"].head(5)
    assert table["importance"].is_sorted(descending=True)


def test_the_commands(predictor, tmp_path):
    model = save(predictor, tmp_path / "model")
    collected(10).write(tmp_path / "set")
    where = tmp_path / "proposals.parquet"
    ran = earlycall("nas", "search", tmp_path / "set", "--model", model, "--trials", 20,
                    "-o", where, "--format", "json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert pl.read_parquet(where).height == len(ran.json["candidates"])
    ranked = earlycall("nas", "rank", where, "--model", model, "--format", "json").json["runs"]
    assert sorted(r["rank"] for r in ranked)[0] == 1
    assert set(ranked[0]) == {"group", "run", "rank", "score", "se"}
    told = earlycall("nas", "explain", tmp_path / "set", "--model", model, "--format", "json",
                     "--plot", tmp_path / "features.html")  # fmt: skip
    assert told.json["features"][0]["meaning"]
    assert "plotly" in (tmp_path / "features.html").read_text()[:5000].lower()


def test_bad_commands_are_one_sentence(tmp_path):
    plan = tmp_path / "space.yaml"
    plan.write_text(json.dumps(DIGITS))
    for arguments, said in (
        ([plan], "give --model to propose"),
        ([plan, "--store", tmp_path / "s.db", "--budget", "soon"], "budget 'soon' is none"),
        ([tmp_path / "none.yaml", "--store", tmp_path / "s.db"], "cannot be read"),
    ):
        ran = earlycall("nas", "search", *arguments)
        assert (ran.code, ran.out) == (2, ""), ran.err
        assert said in ran.err
        assert ran.err.count("\n") == 1
