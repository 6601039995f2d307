"""Groups ranked, fitted and evaluated by a real Ray cluster of two nodes: as on one machine."""

import os
import socket
import threading

import numpy as np
import polars as pl
import pytest
import ray
from polars.testing import assert_frame_equal
from ray.cluster_utils import Cluster

from conftest import earlycall
from earlycall import CurveSet, InputError, evaluate, fit_many
from earlycall.integrations import ray_groups
from earlycall.ranking.rank import rank
from earlycall.study import ray_cluster

pytestmark = pytest.mark.slow  # starting nodes, and losing one


@pytest.fixture(scope="module")
def cluster():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    cluster.client = f"ray://127.0.0.1:{port}"
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level=40)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def curves():
    rng = np.random.default_rng(0)
    rows = [
        {"group": f"task {g}", "run": f"run {i}", "step": step,
         "train_loss": 1 + rng.uniform(1, 3) / (step + g) + i / 20}
        for g in range(6) for i in range(8 - g) for step in range(1, 41)
    ]  # fmt: skip
    table = pl.DataFrame(rows)
    last = table.group_by("group", "run").agg(final=pl.col("train_loss").last())
    last = last.with_columns(higher_is_better=False)
    return CurveSet.from_frame(table, last, name="set")


def test_a_cluster_of_two_nodes_gives_the_same_tables(cluster, curves):
    there = ray_groups.rank(curves, address=cluster.address, budget=0.2)
    here = rank(curves, budget=0.2)
    assert there.to_dict() == here.to_dict()
    fits = ray_groups.fit(curves, address=cluster.address, epochs=10)
    assert_frame_equal(fits.table, fit_many(curves, epochs=10).table)
    options = {"scores": ["last_loss", "outlook"], "budgets": [0.1, 0.5]}
    judged = ray_groups.evaluate(curves, address=cluster.address, **options)
    assert_frame_equal(judged.table, evaluate(curves, **options).table)


def test_the_command_prints_the_same(cluster, curves, tmp_path):
    folder = curves.write(tmp_path / "set")
    options = ("--budget", "20%", "--format", "json")
    here = earlycall("rank", folder, *options).json
    for address in (cluster.address, cluster.client):
        there = earlycall("rank", folder, *options, "--address", address)
        assert there.code == 0, there.err
        assert there.json == here


def test_a_node_lost_in_the_middle_changes_nothing(cluster, curves, monkeypatch):
    node = cluster.add_node(num_cpus=2)
    lost = []

    def lose(done, total):
        if not lost:
            lost.append(done)
            thread = threading.Thread(
                target=cluster.remove_node, args=(node,), kwargs={"allow_graceful": False}
            )
            thread.start()
            thread.join()

    there = ray_groups.rank(curves, address=cluster.address, budget=0.2, progress=lose)
    assert lost == [1]
    assert there.to_dict() == rank(curves, budget=0.2).to_dict()


def test_what_no_cluster_can_share_is_said(curves):
    one = curves.select(group="task 0")
    with pytest.raises(InputError, match="has one group, which one machine works on"):
        ray_groups.rank(one, address="auto")
    with pytest.raises(InputError, match="leave out --over or --address"):
        ray_groups.rank(curves, address="auto", over="hp.seed")
    with pytest.raises(InputError, match=r"no Ray cluster at '127\.0\.0\.1:9'"):
        ray.shutdown()
        ray_groups.rank(curves, address="127.0.0.1:9")


def test_what_ray_is_told_here_is_told_here_only(cluster, curves):
    """A person's own Tune experiments in this process still write their logs."""
    before = dict(os.environ)
    ray_groups.rank(curves, address=cluster.address, budget=0.2)
    assert dict(os.environ) == before


def test_a_client_whose_server_did_not_start_tries_again(monkeypatch):
    """The server that Ray forks for a client dies at its start now and then."""
    answers = [ConnectionError("Initialization failure from server:\nsee its log"), None]

    def init(**_):
        if answer := answers.pop(0):
            raise answer

    monkeypatch.setattr(ray, "init", init)
    ray_cluster._connect("ray://127.0.0.1:1", {})
    assert not answers
    answers.append(ConnectionError("ray client connection timeout"))  # no token: once is enough
    with pytest.raises(InputError, match="needs RAY_AUTH_MODE=token"):
        ray_cluster._connect("ray://127.0.0.1:1", {})
