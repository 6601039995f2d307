"""Logs of further tools, written out as the tools' own sources write them (cited at each)."""

import json

import pytest

from earlycall import read
from earlycall.readers.growing.follower import Follower


# dmlc/xgboost 5935a5a8, python-package/xgboost/callback.py, CallbackContainer._update_history: a
# dictionary of data sets, of metrics, of one number a round.
# microsoft/LightGBM, python-package/lightgbm/callback.py, _RecordEvaluationCallback: the same.
@pytest.mark.parametrize("sets", [("train", "eval"), ("training", "valid_0")])
def test_evaluations_of_boosting(tmp_path, sets):
    train, valid = sets
    history = {
        train: {"auc": [0.6, 0.7, 0.8], "binary_logloss": [0.6, 0.5, 0.4]},
        valid: {"auc": [0.5, 0.6, 0.7], "binary_logloss": [0.7, 0.6, 0.65]},
    }
    (tmp_path / "evals_result.json").write_text(json.dumps(history))
    curves = read(tmp_path)
    rows = curves.observations
    assert rows["step"].to_list() == [1, 2, 3]
    assert rows["train_loss"].to_list() == [0.6, 0.5, 0.4]
    assert rows["val_loss"].to_list() == [0.7, 0.6, 0.65]
    assert rows[f"{valid}/auc"].to_list() == [0.5, 0.6, 0.7]


def test_two_evaluation_sets_of_xgboost_are_not_told_apart_by_guessing(tmp_path):
    # XGBClassifier.fit(eval_set=[a, b]) calls them so; either may be the training's.
    sets = {f"validation_{i}": {"rmse": [2.0, 1.0 + i]} for i in range(2)}
    (tmp_path / "a.json").write_text(json.dumps(sets, indent=2))
    assert read(tmp_path).metrics == ["validation_0/rmse", "validation_1/rmse"]


# catboost/catboost 0ffde07c, catboost/libs/loggers/logger.h: TErrorFileLoggingBackend,
# TTimeFileLoggingBackend (milliseconds) and TJsonLoggingBackend; the meta data are those of
# GetJsonMeta in 1c900d5b, catboost/libs/loggers/catboost_logger_helpers.cpp.
CATBOOST_META = (
    '{\n"meta":{"test_sets":["test"],"test_metrics":[{"best_value":"Max","name":"AUC"},'
    '{"best_value":"Min","name":"MultiClass"}],"learn_metrics":[{"best_value":"Min","name":'
    '"MultiClass"}],"launch_mode":"Train","iteration_count":1000,"learn_sets":["learn"],'
    '"name":"experiment"},\n"iterations":[\n'
)


def catboost(folder, rounds):
    for events in ("learn", "test"):
        (folder / events).mkdir(parents=True, exist_ok=True)
        (folder / events / "loss.csv").write_text("step,loss\n1,1\n2,1\n")  # read it if not owned
    lines = [f"{i}\t{2 - i / 8}\n" for i in range(rounds)]
    (folder / "learn_error.tsv").write_text("iter\tMultiClass\n" + "".join(lines))
    lines = [f"{i}\t{i / 8}\t{3 - i / 8}\n" for i in range(rounds)]
    (folder / "test_error.tsv").write_text("iter\tAUC\tMultiClass\n" + "".join(lines))
    lines = [f"{i}\t{500 * (i + 1)}\t9000\n" for i in range(rounds)]
    (folder / "time_left.tsv").write_text("iter\tPassed\tRemaining\n" + "".join(lines))
    (folder / "catboost_training.json").write_text(CATBOOST_META + "]}")


def test_a_folder_of_catboost(tmp_path):
    catboost(tmp_path / "catboost_info", 3)
    follower = Follower(tmp_path)
    assert follower.update().runs["run"].to_list() == ["catboost_info"]
    catboost(tmp_path / "catboost_info", 4)
    for curves in (read(tmp_path), follower.update()):
        rows = curves.observations
        assert rows["step"].to_list() == [0, 1, 2, 3]
        assert rows["train_loss"].to_list() == [2, 1.875, 1.75, 1.625]
        assert rows["val_loss"].to_list() == [3, 2.875, 2.75, 2.625]
        assert rows["test/AUC"].to_list() == [0, 0.125, 0.25, 0.375]
        assert rows["seconds"].to_list() == [0.5, 1.0, 1.5, 2.0]
        assert curves.runs["step_hint"].to_list() == [999]


# DLR-RM/stable-baselines3 02533bac, stable_baselines3/common/monitor.py, Monitor.__init__ and .step
def monitor(file, started, episodes):
    head = {"t_start": started, "env_id": "CartPole-v1"}
    lines = [f"#{json.dumps(head)}\n", "r,l,t\r\n", *(f"{r},{n},{t}\r\n" for r, n, t in episodes)]
    file.write_bytes("".join(lines).encode())


def test_the_monitors_of_several_environments_are_one_training(tmp_path):
    monitor(tmp_path / "0.monitor.csv", 1000.0, [(9.0, 9, 0.5), (30.0, 30, 2.0)])
    monitor(tmp_path / "1.monitor.csv", 1000.5, [(12.0, 12, 0.5)])
    follower = Follower(tmp_path)
    curves = follower.update()
    rows = curves.observations
    assert rows["step"].to_list() == [9, 21, 51]
    assert rows["episode_reward"].to_list() == [9, 12, 30]
    assert rows["seconds"].to_list() == [0.5, 1.0, 2.0]
    with (tmp_path / "1.monitor.csv").open("ab") as file:
        file.write(b"50.0,50,3.5\r\n60")
    assert follower.update().observations["step"].to_list() == [9, 21, 51, 101]
    assert len(read(tmp_path / "0.monitor.csv")) == 1


def test_a_monitor_beside_the_folders_of_runs_is_none(tmp_path):
    from earlycall.readers.discovery import sources

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log.csv").write_text("step,loss\n1,2\n2,1\n")
    monitor(tmp_path / "0.monitor.csv", 1.0, [(9.0, 9, 0.5)])
    assert not any(source.reader.NAME.startswith("Stable") for source in sources(tmp_path))


# DLR-RM/stable-baselines3 00dc23b0, stable_baselines3/common/logger.py, CSVOutputFormat.write: the
# header is written again when a key is new, and the rows before are filled up.
def test_the_logger_of_stable_baselines(tmp_path):
    header = "time/fps,time/iterations,time/time_elapsed,time/total_timesteps"
    (tmp_path / "progress.csv").write_text(f"{header}\n1024,1,2,2048\n")
    monitor(tmp_path / "monitor.csv", 1.0, [(9.0, 9, 0.5)])
    follower = Follower(tmp_path)
    follower.update()
    rows = "1024,1,2,2048,\n900,2,4,4096,0.5\n900,3,6,6144,0.25\n"
    (tmp_path / "progress.csv").write_text(f"{header},train/loss\n{rows}")
    for curves in (read(tmp_path), follower.update()):
        rows = curves.observations
        assert rows["step"].to_list() == [2048, 4096, 6144]
        assert rows["train/loss"].to_list() == [None, 0.5, 0.25]
        assert rows["seconds"].to_list() == [2, 4, 6]


# open-mmlab/mmengine 00d10dc6, mmengine/visualization/vis_backend.py, LocalVisBackend.add_scalars
# writes into two files; 01604009, mmengine/hooks/logger_hook.py, after_val_epoch: step=runner.epoch
def test_validations_of_mmengine_lie_at_the_iteration_that_they_follow(tmp_path):
    folder = tmp_path / "20250101_000000" / "vis_data"
    folder.mkdir(parents=True)
    records = []
    for epoch in (1, 2):
        for i in (50, 100):
            step = 100 * (epoch - 1) + i
            losses = {"loss": 100 / step, "loss_cls": 50 / step, "time": 0.3, "epoch": epoch}
            records.append({"lr": 0.02, **losses, "iter": step, "memory": 900, "step": step})
        records.append({"coco/bbox_mAP": 0.1 * epoch, "step": epoch})
    text = "".join(json.dumps(record) + "\n" for record in records)
    for name in ("scalars.json", "20250101_000000.json"):
        (folder / name).write_text(text)
    (folder / "config.py").write_text(
        "train_cfg = dict(max_iters=400, type='IterBasedTrainLoop')\n"
    )
    for path in (tmp_path, folder / "scalars.json"):
        curves = read(path)
        assert len(curves) == 1
        rows = curves.observations
        assert rows["step"].to_list() == [50, 100, 150, 200]
        assert rows["coco/bbox_mAP"].to_list() == [None, 0.1, None, 0.2]
        assert not {"time", "memory"} & set(curves.metrics)
    assert read(tmp_path).runs["step_hint"].to_list() == [400]


# open-mmlab/mmcv 041f2446, mmcv/runner/hooks/logger/text.py: before_run dumps runner.meta first,
# log counts iterations in the epoch, and those of the validation's batches after it.
@pytest.mark.parametrize("by_epoch", [True, False])
def test_logs_of_mmdetection_2(tmp_path, by_epoch):
    meta = {"env_info": "Linux\n" * 3000, "config": "a = 1\n" * 2000, "seed": 7, "exp_name": "a.py"}
    records = [meta]
    for epoch in (1, 2):
        for i in (50, 100):
            step = i if by_epoch else 100 * (epoch - 1) + i
            row = {"mode": "train", "epoch": epoch, "iter": step, "lr": 0.02, "memory": 900}
            records.append(row | {"data_time": 0.1, "loss": 3 / epoch - i / 100, "time": 0.4})
        records.append(
            {"mode": "val", "epoch": epoch, "iter": 25, "lr": 0.02, "bbox_mAP": epoch / 8}
        )
    text = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "20250101_000000.log.json").write_text(text)
    curves = read(tmp_path)
    rows = curves.observations
    assert rows["step"].to_list() == [50, 100, 150, 200]
    assert rows["loss"].to_list() == [2.5, 2.0, 1.0, 0.5]
    assert rows["bbox_mAP"].to_list() == [None, 0.125, None, 0.25]
    assert curves.runs["hp.seed"].to_list() == [7]


# hiyouga/LlamaFactory 9174a7a8, src/llamafactory/train/callbacks.py, LogCallback.on_log
def test_logs_of_llama_factory(tmp_path):
    file = tmp_path / "trainer_log.jsonl"
    rows = [
        {"current_steps": 10, "total_steps": 300, "loss": 1.5, "lr": 1e-4, "epoch": 0.1}
        | {"percentage": 3.33, "elapsed_time": "0:01:05", "remaining_time": "0:31:25"},
        {"current_steps": 10, "total_steps": 300, "eval_loss": 1.75, "epoch": 0.1}
        | {"percentage": 3.33, "elapsed_time": "1 day, 0:01:10", "remaining_time": "0:31:25"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    follower = Follower(tmp_path)
    follower.update()
    last = {
        "current_steps": 20,
        "total_steps": 300,
        "loss": 1.25,
        "elapsed_time": "2 days, 0:00:00",
    }
    with file.open("a") as log:
        log.write(json.dumps(last) + '\n{"current_st')
    for curves in (read(tmp_path), follower.update()):
        rows = curves.observations
        assert rows["step"].to_list() == [10, 20]
        assert rows["loss"].to_list() == [1.5, 1.25]
        assert rows["eval_loss"].to_list() == [1.75, None]
        assert rows["seconds"].to_list() == [86470, 172800]
        assert curves.runs["step_hint"].to_list() == [300]
        assert "percentage" not in curves.metrics
