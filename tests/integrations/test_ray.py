"""Stopper and scheduler in real Ray Tune experiments on a cluster of two nodes on loopback."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import ray
from programs import KILLED, train
from ray.cluster_utils import Cluster

from conftest import wait_until
from earlycall import CurveSet, InputError
from earlycall.integrations.ray import EarlyCallScheduler, EarlyCallStopper

RATES = [1.0, 0.1, 0.3, 0.003, 0.5, 0.01, 0.2, 0.03]


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()
    ray.shutdown()


@pytest.fixture(scope="module")
def stopped(cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    options = {"what": "stopper", "lr": [0.1, 0.5], "iterations": 60, "address": cluster}
    return options, train("ray", folder, **options)["found"]


def test_each_trial_stops_by_itself_and_the_faster_one_first(stopped):
    _, found = stopped
    assert 3 < found["0.5"] < found["0.1"] < 60
    assert found["errors"] == 0


def test_a_killed_experiment_restored_stops_its_trials_at_the_same_iterations(stopped, tmp_path):
    options, whole = stopped
    assert train("ray", tmp_path, kill_after=9, **options) == KILLED
    assert train("ray", tmp_path, **options)["found"] == whole


@pytest.mark.slow
def test_the_scheduler_promotes_the_best_also_after_a_kill(cluster, tmp_path):
    options = {"what": "scheduler", "lr": RATES, "iterations": 12, "at_once": 1, "address": cluster}
    whole = train("ray", tmp_path / "whole", **options)["found"]
    assert whole["best"] == 1.0
    assert whole["1.0"] == 12
    stops = [whole[str(rate)] for rate in RATES]
    assert set(stops) <= {3, 6, 12}
    assert sum(stops) < 0.75 * 12 * len(RATES)
    assert train("ray", tmp_path / "killed", kill_after=25, **options) == KILLED
    assert train("ray", tmp_path / "killed", **options)["found"] == whole


@pytest.mark.slow
def test_paused_trials_go_on_from_their_checkpoints_also_when_a_node_is_lost(cluster, tmp_path):
    """Best first: of two, four and six trials at the first rung, one, two and three may go on."""
    options = {"what": "scheduler", "lr": sorted(RATES, reverse=True), "iterations": 12}
    whole = train("ray", tmp_path / "whole", address=cluster, **options)
    ended = [whole["found"][str(rate)] for rate in options["lr"]]
    assert ended == [12, 12, 6, 6, 3, 3, 3, 3]
    assert whole["resumed"]  # from a checkpoint, not from the start
    own = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        node = own.add_node(num_cpus=1)
        options |= {"address": own.address, "hold": node.node_id}
        with ThreadPoolExecutor() as pool:
            going = pool.submit(train, "ray", tmp_path / "lost", **options)
            wait_until(lambda: going.done() or (tmp_path / "lost" / "held").exists())
            own.remove_node(node, allow_graceful=False)
            lost = going.result()
    finally:
        own.shutdown()
    assert lost["found"] == whole["found"]
    assert lost["resumed"]


def test_a_scheduler_without_metric_and_one_with_two_are_refused():
    scheduler = EarlyCallScheduler()
    with pytest.raises(InputError, match="needs a metric and a mode"):
        scheduler.on_trial_add(None, None)
    assert scheduler.set_search_properties("loss", "min")
    assert not scheduler.set_search_properties("loss", "min")


def test_a_past_says_which_of_two_trials_with_equal_results_goes_on():
    """What was logged is alike; only the past knows which settings end well."""
    x = np.arange(1, 28)
    lr = np.linspace(0, 1, 20)
    past = {f"p{i}": {"loss": 1 + 1 / x - rate * (x > 9)} for i, rate in enumerate(lr)}
    frame = pl.DataFrame({
        "run": np.repeat(list(past), 27), "step": np.tile(x, 20),
        "loss": np.concatenate([of["loss"] for of in past.values()]),
    })  # fmt: skip
    known = pl.DataFrame({"run": list(past), "final": 1 - lr, "final_metric": "loss", "hp.lr": lr})
    scheduler = EarlyCallScheduler(
        metric="loss", mode="min", max_t=27, past=CurveSet.from_frame(frame, known)
    )
    verdicts = []
    for name, rate in [("good", 1.0), *((f"bad{i}", 0.02 * i) for i in range(1, 6))]:
        trial = SimpleNamespace(trial_id=name, config={"lr": rate}, last_result={}, checkpoint=None)
        scheduler.on_trial_add(None, trial)
        verdicts.append(
            scheduler.on_trial_result(
                None, trial, {"loss": 2.0, "training_iteration": 1, "should_checkpoint": False}
            )
        )
    assert verdicts == ["CONTINUE"] + ["STOP"] * 5


def test_only_what_can_go_on_later_is_paused():
    scheduler = EarlyCallScheduler(metric="loss", mode="min", max_t=27)

    def verdict(name, loss, saves):
        trial = SimpleNamespace(trial_id=name, config={}, last_result={}, checkpoint=None)
        scheduler.on_trial_add(None, trial)
        result = {"loss": loss, "training_iteration": 1, "should_checkpoint": saves}
        return scheduler.on_trial_result(None, trial, result)

    assert verdict("first", 1.0, True) == "CONTINUE"
    assert verdict("second", 2.0, True) == "PAUSE"
    assert verdict("without a checkpoint", 3.0, False) == "STOP"
    assert verdict("diverged", float("nan"), True) == "STOP"


def test_a_stopper_names_what_a_trial_reports():
    with pytest.raises(InputError, match=r"'loss' was logged; logged were: 'accuracy'"):
        EarlyCallStopper()("t", {"accuracy": 1.0, "training_iteration": 1})
    with pytest.raises(InputError, match="has not reported yet"):
        EarlyCallStopper().explain("t")
