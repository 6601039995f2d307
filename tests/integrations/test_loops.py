"""XGBoost, LightGBM, skorch and Ignite: real trainings stop as a plain monitor, also resumed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import KILLED, train

from conftest import PATIENCE
from earlycall import InputError, Monitor

HOSTS = ("xgboost", "lightgbm", "skorch", "ignite")
RULE = "gain:0.1"


@pytest.fixture(scope="module", params=HOSTS)
def undisturbed(request, tmp_path_factory):
    pytest.importorskip(request.param)
    return request.param, train(request.param, tmp_path_factory.mktemp("whole"), rule=RULE)


def test_training_stops_where_a_plain_monitor_does(undisturbed):
    _, run = undisturbed
    found, losses = run["found"], run["losses"]
    monitor = Monitor(RULE)
    stop = next(i for i, loss in enumerate(losses, start=1) if monitor.update(loss))
    assert 12 <= found["step"] < 100
    assert (found["step"], found["updates"]) == (stop, stop) == (len(losses), len(losses))
    assert found["reason"] == monitor.reason
    assert not found.get("left")


def test_killed_and_resumed_it_stops_at_the_same_step(undisturbed, tmp_path):
    host, run = undisturbed
    assert train(host, tmp_path, rule=RULE, kill_at=6) == KILLED
    again = train(host, tmp_path, rule=RULE)
    assert len(again["losses"]) < len(run["losses"]) or host == "skorch"  # it did go on
    assert again["found"]["step"] == run["found"]["step"]
    assert again["found"]["updates"] == run["found"]["updates"]


def test_a_metric_that_is_not_there_is_named(undisturbed, tmp_path):
    said = train(undisturbed[0], tmp_path, rule=RULE, metric="eval/logloss")
    assert "InputError: nothing called 'eval/logloss' was logged; logged were: " in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "observations"),
    [("keras", 60), ("lightning", 4), ("transformers", 60), ("lightgbm", 300), ("skorch", 100),
     ("ignite", 100)],
)  # fmt: skip
def test_a_host_that_knows_the_end_tells_a_forecast_of_it(host, observations, tmp_path):
    options = {"rule": "forecast:seconds:1e-9", "cost": "seconds", "max_epochs": 4}
    ran = train(host, tmp_path, **options)
    found = ran["rank0" if host == "lightning" else "found"]
    assert found["planned"] == pytest.approx(observations)
    assert found["reason"].startswith("the whole run would cost ")
    assert found["updates"] <= 30


def test_the_seconds_of_a_skorch_history_go_on_after_a_kill(tmp_path):
    pytest.importorskip("skorch")
    options = {"rule": "budget:1e9 or patience:20", "cost": "seconds"}
    assert train("skorch", tmp_path, kill_at=6, **options) == KILLED
    spent, in_history = train("skorch", tmp_path, **options)["spent"]
    assert spent == pytest.approx(in_history)


@pytest.mark.parametrize("host", ["xgboost", "ignite"])
def test_rank_0_decides_for_all(host):
    pytest.importorskip(host)
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "programs" / "two_workers.py", host],
        capture_output=True, text=True, check=False, timeout=PATIENCE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(re.findall(r"rank (\d) ended at (\d+)", done.stdout)) == [("0", "5"), ("1", "5")]


@pytest.fixture
def data():
    x = np.random.default_rng(0).normal(size=(300, 3))
    return x, np.sin(3 * x[:, 0]) + x[:, 1]


def test_one_callback_for_several_xgboost_trainings_and_for_cv(data):
    xgboost = pytest.importorskip("xgboost")
    from earlycall.integrations.xgboost import EarlyCall

    matrix = xgboost.DMatrix(data[0], label=data[1])
    early = EarlyCall("train/rmse", "gain:0.2", verbose=False)
    rounds = [
        xgboost.train({"nthread": 1}, matrix, 300, evals=[(matrix, "train")], verbose_eval=False,
                      callbacks=[early]).num_boosted_rounds()
        for _ in range(2)
    ]  # fmt: skip
    assert rounds[0] == rounds[1] < 300
    early = EarlyCall("test/rmse", "gain:0.2", verbose=False)
    table = xgboost.cv({"nthread": 1}, matrix, 300, nfold=3, callbacks=[early], as_pandas=False)
    means = table["test-rmse-mean"]
    monitor = Monitor("gain:0.2")
    assert len(means) == next(i for i, m in enumerate(means, start=1) if monitor.update(m)) < 300


def test_the_state_is_in_every_xgboost_checkpoint_and_in_no_finished_model(data, tmp_path):
    xgboost = pytest.importorskip("xgboost")
    from earlycall.integrations.xgboost import EarlyCall

    matrix = xgboost.DMatrix(data[0], label=data[1])
    early = EarlyCall("train/rmse", "budget:8", verbose=False)
    checkpoints = xgboost.callback.TrainingCheckPoint(tmp_path, interval=4)
    booster = xgboost.train({"nthread": 1}, matrix, 20, evals=[(matrix, "train")],
                            verbose_eval=False, callbacks=[checkpoints, early])  # fmt: skip
    assert booster.num_boosted_rounds() == 8
    assert booster.attr("earlycall") is None
    saved = xgboost.Booster(model_file=tmp_path / "model_4.ubj")
    assert '"last_cost": 4.0' in saved.attr("earlycall")
    other = EarlyCall("train/rmse", "patience:3", verbose=False)
    with pytest.raises(InputError, match="saved state is of the rule 'budget:8"):
        xgboost.train({}, matrix, 20, evals=[(matrix, "train")], xgb_model=saved, callbacks=[other])


def test_lightgbm_cv_and_a_direction_that_is_not_lightgbms(data):
    lightgbm = pytest.importorskip("lightgbm")
    from earlycall.integrations.lightgbm import EarlyCall

    parameters = {"verbosity": -1, "metric": "l2", "num_threads": 1}

    def matrix():
        return lightgbm.Dataset(data[0], label=data[1])

    early = EarlyCall("valid/l2", "gain:0.2", verbose=False)
    folds = lightgbm.cv(parameters, matrix(), 300, nfold=3, stratified=False, callbacks=[early])
    means = folds["valid l2-mean"]
    monitor = Monitor("gain:0.2")
    assert len(means) == next(i for i, m in enumerate(means, start=1) if monitor.update(m)) < 300
    wrong = EarlyCall("training/l2", mode="max")
    with pytest.raises(InputError, match="LightGBM takes 'training/l2' as mode='min'"):
        lightgbm.train(parameters, d := matrix(), 9, valid_sets=[d], callbacks=[wrong])


def test_a_state_file_of_an_older_lightgbm_training_is_not_taken_up(data, tmp_path):
    lightgbm = pytest.importorskip("lightgbm")
    from earlycall.integrations.lightgbm import EarlyCall

    parameters = {"verbosity": -1, "metric": "l2", "num_threads": 1}

    def train(*more):
        d = lightgbm.Dataset(data[0], label=data[1])
        early = EarlyCall("training/l2", "budget:30", state_path=tmp_path / "s.json", verbose=False)
        return lightgbm.train(parameters, d, 99, valid_sets=[d], callbacks=[early, *more])

    class Stop:  # as a training that ended otherwise, with the state left behind
        def __call__(self, env):
            if env.iteration == 10:
                raise lightgbm.callback.EarlyStopException(10, env.evaluation_result_list)

    stop = Stop()
    stop.order = 99
    assert train(stop).current_iteration() < 30
    assert train().current_iteration() == 30


def test_skorch_clones_the_callback_and_begins_anew_at_each_fit():
    pytest.importorskip("skorch")
    import torch
    from sklearn.base import clone
    from skorch import NeuralNetRegressor

    from earlycall.integrations.skorch import EarlyCall

    x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    net = NeuralNetRegressor(
        torch.nn.Linear(2, 1), max_epochs=300, verbose=0, train_split=None,
        callbacks=[("early", EarlyCall("train_loss", verbose=False))],
    )  # fmt: skip
    net = clone(net).set_params(callbacks__early__rule="budget:9")
    assert [len(net.fit(x, x[:, :1]).history) for _ in range(2)] == [9, 9]
    assert len(net.partial_fit(x, x[:, :1]).history) == 10  # it was to stop, and does
