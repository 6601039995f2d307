"""The same losses stop a plain monitor and every adapter at one step, each as it is by default.

In Optuna, objectives update a plain monitor. XGBoost, LightGBM, skorch and Ignite, which compute
their losses themselves, are compared with one in test_loops.py.
"""

import json

import numpy as np
import pytest
from programs import KILLED, train
from ray.cluster_utils import Cluster

from earlycall import Monitor

# In units of 1/4096: the hosts' means over batches in single precision are exact.
NOISE = np.random.default_rng(5).normal(size=60) * 0.004
LOSSES = (np.round((0.5 + 0.85 ** np.arange(60) + NOISE) * 4096) / 4096).tolist()

STRAIGHT_AND_RESUMED = pytest.mark.parametrize(
    "kill",
    [pytest.param(False, id="straight"), pytest.param(True, id="resumed", marks=pytest.mark.slow)],
)


def stop(monitor, losses, after=0):
    at = (i for i, loss in enumerate(losses, start=after + 1) if monitor.update(loss))
    return next(at, None)


@pytest.fixture(scope="module")
def plain():
    at = stop(Monitor(), LOSSES)
    # Before it the rule alone would have stopped, so that averaging alike is tested, too.
    assert stop(Monitor(every=1), LOSSES) < at < 50
    return at


def test_a_plain_monitor_resumed(plain):
    for kill in range(1, plain):
        first, second = Monitor(), Monitor()
        assert stop(first, LOSSES[:kill]) is None
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert stop(second, LOSSES[kill:], after=kill) == plain


@pytest.fixture
def cluster():
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    yield cluster.address
    cluster.shutdown()


@STRAIGHT_AND_RESUMED
def test_ray(plain, cluster, tmp_path, kill):
    options = {"what": "stopper", "lr": [0.1], "iterations": 60, "address": cluster,
               "losses": LOSSES, "rule": None}  # fmt: skip
    if kill:
        assert train("ray", tmp_path, kill_after=7, **options) == KILLED
    assert train("ray", tmp_path, **options)["found"]["0.1"] == plain


@STRAIGHT_AND_RESUMED
@pytest.mark.parametrize(
    ("host", "kill_at"), [("keras", 7), ("lightning", 7), ("transformers", 17)]
)
def test_callbacks(plain, tmp_path, host, kill_at, kill):
    options = {"losses": LOSSES, "rule": None}
    if kill:
        assert train(host, tmp_path, kill_at=kill_at, **options) == KILLED
    found = train(host, tmp_path, **options)
    (found,) = found.values() if host != "transformers" else [found["found"]]
    done = found["step"] / 2 if host == "transformers" else found["epoch"]
    assert found["updates"] == done == plain
