"""Logs of further tools, written out as the tools' own sources write them (cited at each)."""

import base64
import json
import math
import struct
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from earlycall import InputError, read
from earlycall.readers.growing.follower import Follower


# dmlc/xgboost 5935a5a8, python-package/xgboost/callback.py, CallbackContainer._update_history: a
# dictionary of data sets, of metrics, of one number a round.
# microsoft/LightGBM, python-package/lightgbm/callback.py, _RecordEvaluationCallback: the same.
def boosting(folder, train="train", valid="eval"):
    history = {
        train: {"auc": [0.6, 0.7, 0.8], "binary_logloss": [0.6, 0.5, 0.4]},
        valid: {"auc": [0.5, 0.6, 0.7], "binary_logloss": [0.7, 0.6, 0.65]},
    }
    (folder / "evals_result.json").write_text(json.dumps(history))


@pytest.mark.parametrize("sets", [("train", "eval"), ("training", "valid_0")])
def test_evaluations_of_boosting(tmp_path, sets):
    train, valid = sets
    boosting(tmp_path, train, valid)
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
SB3_HEADER = "time/fps,time/iterations,time/time_elapsed,time/total_timesteps"


def sb3_logger(folder):
    rows = "1024,1,2,2048,\n900,2,4,4096,0.5\n900,3,6,6144,0.25\n"
    (folder / "progress.csv").write_text(f"{SB3_HEADER},train/loss\n{rows}")


def test_the_logger_of_stable_baselines(tmp_path):
    (tmp_path / "progress.csv").write_text(f"{SB3_HEADER}\n1024,1,2,2048\n")
    monitor(tmp_path / "monitor.csv", 1.0, [(9.0, 9, 0.5)])
    follower = Follower(tmp_path)
    follower.update()
    sb3_logger(tmp_path)
    for curves in (read(tmp_path), follower.update()):
        rows = curves.observations
        assert rows["step"].to_list() == [2048, 4096, 6144]
        assert rows["train/loss"].to_list() == [None, 0.5, 0.25]
        assert rows["seconds"].to_list() == [2, 4, 6]


# open-mmlab/mmengine 00d10dc6, mmengine/visualization/vis_backend.py, LocalVisBackend.add_scalars
# writes into two files; 01604009, mmengine/hooks/logger_hook.py, after_val_epoch: step=runner.epoch
def mmengine(root):
    folder = root / "20250101_000000" / "vis_data"
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


def test_validations_of_mmengine_lie_at_the_iteration_that_they_follow(tmp_path):
    mmengine(tmp_path)
    for path in (tmp_path, tmp_path / "20250101_000000" / "vis_data" / "scalars.json"):
        curves = read(path)
        assert len(curves) == 1
        rows = curves.observations
        assert rows["step"].to_list() == [50, 100, 150, 200]
        assert rows["coco/bbox_mAP"].to_list() == [None, 0.1, None, 0.2]
        assert not {"time", "memory"} & set(curves.metrics)
    assert read(tmp_path).runs["step_hint"].to_list() == [400]


# open-mmlab/mmcv 041f2446, mmcv/runner/hooks/logger/text.py: before_run dumps runner.meta first,
# log counts iterations in the epoch, and those of the validation's batches after it.
def mmdetection_2(folder, by_epoch=True):
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
    (folder / "20250101_000000.log.json").write_text(text)


@pytest.mark.parametrize("by_epoch", [True, False])
def test_logs_of_mmdetection_2(tmp_path, by_epoch):
    mmdetection_2(tmp_path, by_epoch)
    curves = read(tmp_path)
    rows = curves.observations
    assert rows["step"].to_list() == [50, 100, 150, 200]
    assert rows["loss"].to_list() == [2.5, 2.0, 1.0, 0.5]
    assert rows["bbox_mAP"].to_list() == [None, 0.125, None, 0.25]
    assert curves.runs["hp.seed"].to_list() == [7]


# hiyouga/LlamaFactory 9174a7a8, src/llamafactory/train/callbacks.py, LogCallback.on_log
def llama_factory(folder):
    rows = [
        {"current_steps": 10, "total_steps": 300, "loss": 1.5, "lr": 1e-4, "epoch": 0.1}
        | {"percentage": 3.33, "elapsed_time": "0:01:05", "remaining_time": "0:31:25"},
        {"current_steps": 10, "total_steps": 300, "eval_loss": 1.75, "epoch": 0.1}
        | {"percentage": 3.33, "elapsed_time": "1 day, 0:01:10", "remaining_time": "0:31:25"},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "trainer_log.jsonl").write_text(text)


def test_logs_of_llama_factory(tmp_path):
    llama_factory(tmp_path)
    follower = Follower(tmp_path)
    follower.update()
    last = {
        "current_steps": 20,
        "total_steps": 300,
        "loss": 1.25,
        "elapsed_time": "2 days, 0:00:00",
    }
    with (tmp_path / "trainer_log.jsonl").open("a") as log:
        log.write(json.dumps(last) + '\n{"current_st')
    for curves in (read(tmp_path), follower.update()):
        rows = curves.observations
        assert rows["step"].to_list() == [10, 20]
        assert rows["loss"].to_list() == [1.5, 1.25]
        assert rows["eval_loss"].to_list() == [1.75, None]
        assert rows["seconds"].to_list() == [86470, 172800]
        assert curves.runs["step_hint"].to_list() == [300]
        assert "percentage" not in curves.metrics


# skorch-dev/skorch 06423db1, skorch/history.py, History.to_file; what NeuralNet records of an epoch
def skorch(folder):
    epochs = [
        {"batches": [{"train_loss": 9.0, "train_batch_size": 128}], "epoch": i + 1, "dur": 0.5}
        | {"train_loss": 2.0 - i / 4, "train_loss_best": True, "valid_loss": 2.5, "valid_acc": 0.5}
        for i in range(3)
    ]
    (folder / "history.json").write_text(json.dumps(epochs))


def test_a_history_of_skorch(tmp_path):
    skorch(tmp_path)
    curves = read(tmp_path)
    rows = curves.observations
    assert rows["epoch"].to_list() == [0, 1, 2]
    assert rows["train_loss"].to_list() == [2.0, 1.75, 1.5]
    assert rows["seconds"].to_list() == [0.5, 1.0, 1.5]
    assert curves.metrics == ["train_loss", "valid_loss", "valid_acc", "val_loss"]


# IDSIA/sacred 0218792e, sacred/observers/file_storage.py, FileStorageObserver: save_json sorts the
# names; times are utcnow().isoformat().
def sacred(root):
    folder = root / "runs" / "1"
    folder.mkdir(parents=True)
    times = [f"2026-01-01T00:00:{i}0.000000" for i in (1, 2, 3)]
    metrics = {
        "training.loss": {"steps": [0, 10, 20], "values": [2.0, 1.5, 1.25], "timestamps": times},
        "val.loss": {"steps": [10], "values": [1.75], "timestamps": times[1:2]},
    }
    run = {"start_time": "2026-01-01T00:00:00.000000", "status": "RUNNING", "result": None}
    config = {"seed": 3, "model": {"depth": 4}}
    for name, content in (("metrics", metrics), ("run", run), ("config", config)):
        (folder / f"{name}.json").write_text(json.dumps(content, sort_keys=True, indent=2))
    (folder / "cout.txt").write_text("step,loss\n1,2\n2,1\n")


def test_a_run_of_sacred(tmp_path):
    sacred(tmp_path)
    curves = read(tmp_path)
    rows = curves.observations
    assert curves.runs["run"].to_list() == ["runs/1"]
    assert rows["step"].to_list() == [0, 10, 20]
    assert rows["training.loss"].to_list() == [2.0, 1.5, 1.25]
    assert rows["val.loss"].to_list() == [None, 1.75, None]
    assert rows["seconds"].to_list() == [10, 20, 30]
    assert curves.runs.select("hp.seed", "hp.model.depth", "started").row(0) == (3, 4, 1767225600)


# syne-tune/syne-tune 40a52a30, syne_tune/results_callback.py, StoreResultsCallback.store_results:
# DataFrame.to_csv, whose file ends in .zip (09cee263, syne_tune/constants.py).
def syne_tune(folder, packed=True):
    header = "epoch,mean_loss,st_worker_timestamp,st_worker_time,st_worker_iter,st_decision,"
    header += "st_status,trial_id,config_lr,config_optimizer,st_tuner_time\n"
    rows = "".join(
        f"{epoch},{3 - trial - epoch / 8},1.7e9,{epoch * 2.0},{epoch - 1},CONTINUE,InProgress,"
        f"{trial},{0.1 * (trial + 1)},sgd,{epoch * 5.0}\n"
        for epoch in (1, 2, 3)
        for trial in (0, 1)
    )
    if packed:
        with zipfile.ZipFile(folder / "results.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("results.csv", header + rows)
    else:
        (folder / "results.csv").write_text(header + rows)
    (folder / "metadata.json").write_text(json.dumps({"metric_names": ["mean_loss"]}))


@pytest.mark.parametrize("packed", [True, False])
def test_results_of_syne_tune(tmp_path, packed):
    syne_tune(tmp_path, packed)
    curves = read(tmp_path)
    assert curves.runs["run"].to_list() == ["0", "1"]
    assert curves.runs["hp.lr"].to_list() == [0.1, 0.2]
    first = curves.observations.filter(run_id=0)
    assert first["step"].to_list() == [1, 2, 3]
    assert first["mean_loss"].to_list() == [2.875, 2.75, 2.625]
    assert first["seconds"].to_list() == [2, 4, 6]
    assert curves.metrics == ["mean_loss"]


def test_an_archive_that_is_too_large_unpacked_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("earlycall.readers.base.zip_file.MAX_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "results.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("results.csv", "trial_id,loss\n" + "0,1.0\n" * 1000)
    with pytest.raises(InputError, match="larger than"):
        read(tmp_path / "results.csv.zip")


# ultralytics/ultralytics, engine/trainer.py, save_metrics: a row an epoch, padded or not by version
def test_the_losses_of_ultralytics_are_summed(tmp_path):
    names = [f"{part}/{loss}_loss" for part in ("train", "val") for loss in ("box", "cls", "dfl")]
    header = ["epoch", "time", *names[:3], "metrics/mAP50(B)", *names[3:], "lr/pg0"]
    rows = [[1, 30, 1.5, 2.0, 0.5, 0.1, 1.0, 1.0, 0.5, 0.01], [2, 60, 1, 1, 1, 0.2, 2, 2, 2, 0.01]]
    lines = [header, *rows]
    text = "".join(",".join(f"{cell!s:>20}" for cell in line) + "\n" for line in lines)
    (tmp_path / "results.csv").write_text(text)
    rows = read(tmp_path).observations
    assert rows["train_loss"].to_list() == [4.0, 3.0]
    assert rows["val_loss"].to_list() == [2.5, 6.0]


# What the chart's menu of a workspace gives: the axis that the chart has, then three columns a run
@pytest.mark.parametrize("axis", ["train/global_step", "evaluations", "Relative Time (Wall)"])
def test_charts_of_wandb_along_any_axis(tmp_path, axis):
    header = [axis, *(f"run-{r} - train/loss{end}" for r in "ab" for end in ("", "__MIN", "__MAX"))]
    rows = [[10, 2.0, 2.0, 2.0, 2.5, 2.5, 2.5], [20, 1.5, 1.5, 1.5, "", "", ""]]
    text = "".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in [header, *rows])
    (tmp_path / "chart.csv").write_text(text)
    curves = read(tmp_path)
    assert curves.runs["run"].to_list() == ["run-a", "run-b"]
    first = curves.observations.filter(run_id=0)
    assert first["step"].to_list() == [10, 20]
    assert first["train/loss"].to_list() == [2.0, 1.5]
    assert ("seconds" in first.columns) == axis.startswith("Relative")


# The lines as the programs print them, with what a log has around them.
PRINTED = {
    # NVIDIA/Megatron-LM, megatron/training/training.py: training_log, evaluate_and_print_results
    "megatron": (
        " [2026-01-01 00:00:00] iteration      100/  500000 | consumed samples:        25600 | "
        "elapsed time per iteration (ms): 123.4 | learning rate: 1.500000E-04 | global batch size:"
        "   256 | lm loss: 2.500000E+00 | load_balancing_loss: 1.0E+00 | loss scale: 1.0 | "
        "grad norm: 1.0 |\n"
        " [2026-01-01 00:00:09] iteration      200/  500000 | consumed samples:        51200 | "
        "learning rate: 1.500000E-04 | lm loss: 1.500000E+00 | loss scale: 1.0 |\n"
        "-----\n validation loss at iteration 200 | lm loss value: 1.750000E+00 | "
        "lm loss PPL: 5.754603E+00 | \n"
        " validation loss at iteration 200 on test set | lm loss value: 9.0E+00 | \n",
        [100, 200],
    ),
    # karpathy/nanoGPT, train.py
    "nanogpt": (
        "number of parameters: 10.65M\nstep 0: train loss 4.2874, val loss 1.75\n"
        "iter 0: loss 2.5, time 9521.43ms, mfu -100.00%\n"
        "iter 10: loss 1.5, time 14.61ms, mfu 13.89%\n",
        [0, 10],
    ),
    # karpathy/llm.c 046d0015, llmc/logger.h
    "llm.c": (
        "s:0 tel:11.0\ns:0 eval:0.25\ns:1 trl:2.5 lr:0.000001 norm:15.98\n"
        "s:2 trl:1.5 lr:0.000002 norm:16.01\ns:2 tel:1.75\n",
        [0, 1, 2],
    ),
    # pytorch/torchtune 0019629b, torchtune/training/metric_logging.py, DiskLogger.log_dict
    "torchtune": (
        "Step 1 | loss:2.5 lr:2e-05 tokens_per_second_per_gpu:512.5 \n"
        "Step 2 | loss:1.5 lr:4e-05 tokens_per_second_per_gpu:510.2 \nStep 2 | val_loss:1.75 \n"
        "Step 3 | peak_memory_active:14.6 \n",
        [1, 2],
    ),
    # facebookresearch/fairseq 0400ebb5, fairseq/logging/progress_bar.py, SimpleProgressBar
    "fairseq": (
        "2026-01-01 00:00:00 | INFO | train_inner | epoch 001:    100 / 200 loss=2.5, nll_loss=2, "
        "ppl=9, wps=9, num_updates=100, lr=5e-05\n"
        "2026-01-01 00:00:00 | INFO | train_inner | epoch 001:    200 / 200 loss=1.5, nll_loss=1, "
        "ppl=9, wps=9, num_updates=200, lr=5e-05\n"
        "2026-01-01 00:00:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 1.75 | "
        "nll_loss 1.5 | ppl 3 | wps 9 | num_updates 200\n"
        "2026-01-01 00:00:00 | INFO | train | epoch 001 | loss 2.0 | ppl 9 | num_updates 200\n",
        [100, 200],
    ),
    # the same, JsonProgressBar
    "fairseq json": (
        '2026-01-01 00:00:00 | INFO | train_inner | {"epoch": 1, "update": 0.5, "loss": "2.5", '
        '"nll_loss": "2", "num_updates": "100", "lr": "5e-05"}\n'
        '2026-01-01 00:00:00 | INFO | train_inner | {"epoch": 1, "update": 1.0, "loss": "1.5", '
        '"nll_loss": "1", "num_updates": "200", "lr": "5e-05"}\n'
        '2026-01-01 00:00:00 | INFO | valid | {"epoch": 1, "valid_loss": "1.75", '
        '"valid_ppl": "3", "valid_num_updates": "200"}\n',
        [100, 200],
    ),
}


@pytest.mark.parametrize("printed", PRINTED)
def test_patterns_by_name(tmp_path, printed):
    text, steps = PRINTED[printed]
    name = printed.removesuffix(" json")
    (tmp_path / "train.log").write_text(text)
    curves = read(tmp_path, pattern=name)
    rows = curves.observations
    assert rows["step"].to_list() == steps
    assert rows["train_loss"].drop_nulls().to_list() == [2.5, 1.5]
    assert rows["val_loss"].drop_nulls().to_list()[-1] == 1.75
    assert rows["val_loss"].null_count() == 1
    if name == "megatron":
        assert curves.runs["step_hint"].to_list() == [500_000]


def test_a_log_of_nanogpt_with_evaluations_only(tmp_path):
    text = "step 0: train loss 4.25, val loss 4.5\nstep 500: train loss 2.5, val loss 2.75\n"
    (tmp_path / "train.log").write_text(text)
    assert read(tmp_path, pattern="nanogpt").metrics == ["mean_train_loss", "val_loss"]


def test_the_names_of_patterns_are_told(tmp_path):
    (tmp_path / "a.log").write_text("step 1\n")
    with pytest.raises(InputError, match="megatron, nanogpt, torchtune"):
        read(tmp_path, pattern="megatronn")


def test_a_package_can_name_a_pattern(tmp_path, monkeypatch):
    from earlycall.readers.formats import patterns

    site = tmp_path / "site"
    (site / "log_patterns-1.0.dist-info").mkdir(parents=True)
    (site / "log_patterns.py").write_text('PATTERN = r"at (?P<step>\\d+): (?P<loss>\\S+)"\n')
    metadata = site / "log_patterns-1.0.dist-info"
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: log_patterns\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[earlycall.patterns]\nours = log_patterns:PATTERN\n"
    )
    monkeypatch.syspath_prepend(site)
    patterns.named_patterns.cache_clear()
    try:
        (tmp_path / "a.log").write_text("at 1: 2.5\nat 2: 1.5\n")
        rows = read(tmp_path / "a.log", pattern="ours").observations
    finally:
        patterns.named_patterns.cache_clear()
    assert rows["loss"].to_list() == [2.5, 1.5]


# SwanHubX/SwanLab 3876fdb6, swanlab/data/porter/datastore.py: DataStore.write; the records as in
# 19d02d89, swanlab/proto/v0.py: BaseModel.to_record, with Scalar.metric of 04f69ac1, exp.py.
def swanlab_record(kind, **data):
    text = json.dumps({"model_type": kind, "data": data}, ensure_ascii=False) + "\n"
    content = text.encode()
    checksum = zlib.crc32(content, zlib.crc32(b"\x01"))
    return struct.pack("<IHB", checksum, len(content), 1) + content


def swanlab_scalar(key, step, value):
    metric = {"index": step, "data": value, "create_time": f"2026-01-01T00:00:0{step}+00:00"}
    return swanlab_record("Scalar", metric=metric, key=key, step=step, epoch=step)


# SwanHubX/SwanLab 045e136b, swanlab/data/run/config.py, SwanLabConfig.__save; the same in 0.10.3.
SWANLAB_CONFIG = """\
lr:
  desc: ''
  sort: 0
  value: 0.1
model:
  desc: ''
  sort: 1
  value:
    depth: 4
"""


def swanlab(root):
    folder = root / "swanlog" / "run-20260101_000000-a1b2c3d4"
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "config.yaml").write_text(SWANLAB_CONFIG)
    records = [
        struct.pack("<4sHB", b":SWL", 0xE1D6, 1),
        swanlab_record("Header", backup_type="DEFAULT", create_time="2026-01-01T00:00:00+00:00"),
        swanlab_record("Experiment", name="möwe-1", description=None, tags=None),
        swanlab_scalar("train/loss", 1, 2.5),
        swanlab_scalar("__swanlab__.mem", 1, 50.0),
        swanlab_scalar("val/loss", 1, 2.75),
        swanlab_scalar("train/loss", 2, 1.5),
    ]
    (folder / "backup.swanlab").write_bytes(b"".join(records))


def test_a_run_of_swanlab(tmp_path):
    swanlab(tmp_path)
    log = next(tmp_path.rglob("backup.swanlab"))
    follower = Follower(tmp_path)
    follower.update()
    new = swanlab_scalar("train/loss", 3, "NaN")
    with log.open("ab") as file:
        file.write(new + new[:20])
    for curves in (read(tmp_path), follower.update()):
        rows = curves.observations
        assert curves.runs.select("run", "hp.lr", "hp.model.depth").row(0) == ("möwe-1", 0.1, 4)
        assert rows["step"].to_list() == [1, 2, 3]
        assert rows["train/loss"][:2].to_list() == [2.5, 1.5]
        assert math.isnan(rows["train/loss"][2])
        assert rows["val/loss"].to_list() == [2.75, None, None]
        assert rows["seconds"].to_list() == [1, 2, 3]
        assert curves.metrics == ["train/loss", "val/loss", "val_loss"]


# run-l6k1qimi.swanlab, as swanlab 0.10.3 wrote it, offline: init(config=…), log twice, finish.
SWANLAB_0_10 = (
    "c-pfH4)?kCkZDrWY*l{-Mvnh5z$nDSaeL~58*Bm(4s6}X6lB81mXevCSyHUTnN*ZnoUNOdU*W~BoSJ4~V4f1hkz<"
    "x^SeTicnFQ0dqV@QCrYv>W^cbM2e-Wl~bKC*T?`Uf-Sj6ba#g?3(mzJ3>WU611TcBU8UsRf>Yh++#W@u<+7H?=^Y"
    "-DPw3o~3lEi)&zSRbN8uQD+=M}x7-+4NH;(276E4!;Yw;>GsI%b6B2`f_pPrj{h8B$gx!*%NO|ad~21PGXWSOs`&"
    "6aekf#)5(u(-7|pp{l>KK$Dd~)`+T@~ic$+pGmBDlQ}arSg{+9T6Iq{LNkxeU^Q-^+c7y?~L)dcQ)#nXNO^nW5hE"
    "Nw;DTEXyCTC~nr7HlfP$<tV$xwhwDU_ua6=&w>DH!M(8t55I!OS@E>*59`1;z*QFQPzxVS*dpu=pFu@K7#ixZxk>"
    "Puiyt1T+{F2nxlCWvM9&i6sg|cnWUahb`BD)-g40In!DJw2m2J-Gc8R>r%Ob;nqExwebCpez1iJFkci`<|PwjVS+"
    "+QK16XzMrJX>`i<9t)-$)Se7aQwXgv!e!oGs77v*9GnhICGWBLuCau%H#@)JR>WrZv6IP!xIuHEn!WIb#Dk)$q=Y"
    "uVt|pJ@7t#kD^!-2^IUtCshP)dnhON2LDd=8a5Ak{pZzj8a@BMTwbt`Z@W<#agUjwgEF=#}p%Lpbid%j=wD%nX)v"
    "wkW>pWN-!$HQ{LL`>zTATIT^r!#UbbfTbDY}1WvdKD|WU4?Gy#u$x)V=1F?}A$TDEAzj;N*5~!LBuKL5gcA$OgTy"
    "T|mY-4k{^rc)L<X&#L{slc9817|4GGWEU!$>Clu<wZoVTna8jo@+qyK5s8HHssPD^bdzc=(5D$AUZ4H!?*Da4^E-"
    "Zo#9e8<_w)xc<N"
)


def swanlab_0_10(root):
    folder = root / "swanlog" / "run-20261126_103259-l6k1qimi"
    for name in ("debug", "files", "logs/1"):
        (folder / name).mkdir(parents=True)
    (folder / "run-l6k1qimi.swanlab").write_bytes(zlib.decompress(base64.b85decode(SWANLAB_0_10)))
    (folder / "files" / "config.yaml").write_text(SWANLAB_CONFIG)
    # What the mode "local" adds.
    (folder / "logs" / "1" / "1000.log").write_text('{"index": 1, "data": 2.5}\n')
    (folder / "logs" / "1" / "_summary.json").write_text('{"max": 2.5, "max_step": 1, "num": 1}')
    (folder / "files" / "swanlab-metadata.json").write_text('{"_version": 2}')


def test_a_run_of_swanlab_0_10(tmp_path):
    swanlab_0_10(tmp_path)
    log = next(tmp_path.rglob("*.swanlab"))
    whole = log.read_bytes()
    cut = whole.rindex(b"train/loss")
    log.write_bytes(whole[:cut])
    follower = Follower(tmp_path)
    assert follower.update().observations["train/loss"].to_list() == [2.5]
    log.write_bytes(whole)
    for curves in (read(tmp_path), follower.update()):
        rows = curves.observations
        assert curves.runs.select("run", "hp.lr", "hp.model.depth").rows() == [
            ("brisk-fox", 0.1, 4)
        ]
        assert rows["step"].to_list() == [1, 2]
        assert rows["train/loss"].to_list() == [2.5, 1.5]
        assert rows["val/loss"].to_list() == [2.75, None]
        assert rows["seconds"].to_list() == pytest.approx([2.0, 2.0], abs=1e-3)
        assert curves.metrics == ["train/loss", "val/loss", "val_loss"]


def packed(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


# As comet_ml 3.58.8 wrote them (OfflineExperiment), times and names shortened.
COMET_MESSAGES = """\
{"payload":{"local_timestamp":100000,"message_id":1,"param":{"paramName":"run_arg_0","paramValue":"comet","source":"cli","step":null}},"type":"parameter_msg"}
{"payload":{"key":"Name","message_id":4,"value":"brisk-fox"},"type":"log_other"}
{"payload":{"local_timestamp":100001,"message_id":5,"param":{"paramName":"lr","paramValue":0.1,"source":"manual","step":null}},"type":"parameter_msg"}
{"payload":{"local_timestamp":100001,"message_id":6,"param":{"paramName":"optimizer","paramValue":"sgd","source":"manual","step":null}},"type":"parameter_msg"}
{"payload":{"local_timestamp":101000,"message_id":7,"param":{"paramName":"curr_step","paramValue":1,"source":"auto-logged","step":1}},"type":"parameter_msg"}
{"payload":{"context":"train","local_timestamp":101000,"message_id":9,"metric":{"epoch":1,"metricName":"loss","metricValue":2.5,"step":1}},"type":"metric_msg"}
{"payload":{"local_timestamp":102000,"message_id":11,"param":{"paramName":"curr_epoch","paramValue":2,"source":"auto-logged","step":2}},"type":"parameter_msg"}
{"payload":{"context":"train","local_timestamp":102000,"message_id":12,"metric":{"epoch":2,"metricName":"loss","metricValue":1.5,"step":2}},"type":"metric_msg"}
{"payload":{"context":"validate","local_timestamp":102000,"message_id":18,"metric":{"epoch":2,"metricName":"loss","metricValue":1.75,"step":2}},"type":"metric_msg"}
{"payload":{"local_timestamp":102000,"message_id":21,"metric":{"epoch":2,"metricName":"sys.cpu.percent.avg","metricValue":50.0,"step":2}},"type":"metric_msg"}
{"payload":{"local_timestamp":102000,"message_id":22,"metric":{"epoch":2,"metricName":"process duration","metricValue":0,"step":2}},"type":"metric_msg"}
"""  # noqa: E501
COMET_EXPERIMENT = (
    '{"offline_id": "ce7444f8", "project_name": "digits", "start_time": 100000, "stop_time": '
    '103000, "tags": [], "workspace": "team", "resume_strategy": "create"}'
)


def comet(folder, more=""):
    files = {"messages.json": COMET_MESSAGES + more, "experiment.json": COMET_EXPERIMENT}
    packed(folder / "ce7444f8.zip", files)


def test_an_offline_archive_of_comet(tmp_path):
    comet(tmp_path, '{"payload": {"met')
    curves = read(tmp_path)
    rows = curves.observations
    assert rows["step"].to_list() == [1, 2]
    assert rows["train_loss"].to_list() == [2.5, 1.5]
    assert rows["validate_loss"].to_list() == [None, 1.75]
    assert rows["seconds"].to_list() == [1, 2]
    assert curves.runs.select("hp.lr", "hp.optimizer", "started").row(0) == (0.1, "sgd", 100)
    assert [c for c in curves.runs.columns if c.startswith("hp.")] == ["hp.lr", "hp.optimizer"]
    assert curves.metrics == ["train_loss", "validate_loss"]


# As clearml 2.1.12 wrote them (Task.set_offline(True)), times and names shortened: a line of
# metrics.jsonl is a batch (allegroai/clearml 0f401545, backend_interface/metrics/interface.py:
# _do_write_events), and the folder stays beside the ZIP file.
def clearml(folder, as_folder=True, as_zip=True):
    def scalar(at, variant, step, value, metric="loss"):
        what = {"timestamp": at, "type": "training_stats_scalar", "task": "offline-64a6"}
        where = {"iter": step, "metric": metric, "variant": variant}
        return what | where | {"value": value, "method": "get"}

    batches = [
        [scalar(1000, "train", 10, 2.5), scalar(1001, "validation", 10, 2.75)],
        [scalar(5000, "train", 20, 1.5), scalar(5000, "cpu_usage", 20, 9.0, ":monitor:machine")],
    ]
    general = {
        name: {"description": "", "name": name, "section": "General", "type": kind, "value": value}
        for name, kind, value in (("lr", "float", "0.1"), ("optimizer", "str", "sgd"))
    }
    task = {
        "execution": {"artifacts": [], "docker_cmd": "", "model": "", "parameters": {}},
        "hyperparams": {"General": general}, "id": "offline-64a6", "name": "brisk-fox",
        "offline_folder": "offline-64a6", "offline_output_models": [], "output": {},
        "project_name": "digits",
    }  # fmt: skip
    files = {
        "metrics.jsonl": "".join(json.dumps(batch) + "\n" for batch in batches),
        "task.json": json.dumps(task),
        "log.jsonl": "[]\n",
    }
    if as_folder:
        (folder / "offline-64a6").mkdir(parents=True)
        for name, content in files.items():
            (folder / "offline-64a6" / name).write_text(content)
    if as_zip:
        packed(folder / "offline-64a6.zip", files)


@pytest.mark.parametrize("kept", [(True, False), (False, True), (True, True)])
def test_an_offline_session_of_clearml(tmp_path, kept):
    clearml(tmp_path, *kept)
    for path in (tmp_path, *tmp_path.glob("*.zip")):
        curves = read(path)
        assert len(curves) == 1
        rows = curves.observations
        assert rows["step"].to_list() == [10, 20]
        assert rows["loss/train"].to_list() == [2.5, 1.5]
        assert rows["loss/validation"].to_list() == [2.75, None]
        assert rows["seconds"].to_list() == pytest.approx([0, 4], abs=2e-3)
        assert curves.runs.select("hp.lr", "hp.optimizer").row(0) == (0.1, "sgd")
        assert not any("cpu" in metric for metric in curves.metrics)


def test_a_damaged_archive_is_one_sentence(tmp_path):
    packed(tmp_path / "a.zip", {"metrics.jsonl": "[]\n" * 1000, "task.json": "{}"})
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[45:50] = b"\xff" * 5
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="cannot be unpacked"):
        read(tmp_path / "a.zip")


# neptune-ai/neptune-exporter, the SCHEMA of its tables, of which a run may have several parts
def neptune_export(root):
    folder = root / "exports" / "data" / "team_project"
    folder.mkdir(parents=True)
    kinds = {
        "project_id": pl.String, "run_id": pl.String, "attribute_path": pl.String,
        "attribute_type": pl.String, "step": pl.Decimal(18, 6),
        "timestamp": pl.Datetime("ms", "UTC"), "int_value": pl.Int64, "float_value": pl.Float64,
        "string_value": pl.String, "bool_value": pl.Boolean,
    }  # fmt: skip

    def row(run, path, kind, **values):
        start = {"project_id": "team/project", "run_id": run, "attribute_path": path}
        return start | {"attribute_type": kind} | values

    def point(run, path, step, value):
        when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=10 * step)
        values = {"step": Decimal(step), "timestamp": when, "float_value": value}
        return row(run, path, "float_series", **values)

    tables = {
        "RUN-1_part_0": [
            row("RUN-1", "sys/id", "string", string_value="RUN-1"),
            row("RUN-1", "parameters/lr", "float", float_value=0.1),
            row("RUN-1", "parameters/seed", "int", int_value=3),
            point("RUN-1", "train/loss", 1, 2.5),
            point("RUN-1", "monitoring/cpu", 1, 50.0),
        ],
        "RUN-1_part_1": [point("RUN-1", "train/loss", 2, 1.5)],
        "RUN-2_part_0": [point("RUN-2", "train/loss", 1, 2.0)],
    }
    for name, rows in tables.items():
        pl.DataFrame(rows, schema=kinds).write_parquet(folder / f"{name}.parquet")


def test_an_export_of_neptune(tmp_path):
    neptune_export(tmp_path)
    curves = read(tmp_path)
    assert curves.runs["run"].to_list() == ["RUN-1", "RUN-2"]
    assert curves.runs["hp.parameters/lr"].to_list() == [0.1, None]
    assert curves.runs["hp.parameters/seed"].to_list() == [3, None]
    first = curves.observations.filter(run_id=0)
    assert first["step"].to_list() == [1, 2]
    assert first["train/loss"].to_list() == [2.5, 1.5]
    assert first["seconds"].to_list() == [0, 10]
    assert curves.metrics == ["train/loss"]
    assert len(read(next(tmp_path.rglob("RUN-2_part_0.parquet")))) == 1


# What neptune_query 1.14.1 makes of these values, as CSV: create_metrics_dataframe in
# internal/output_format.py, for experiments and (neptune_query.runs) for runs.
NEPTUNE_QUERY = (
    "{index},step,train/loss,val/loss\n7,1.0,3.0,\nseagull-1,1.0,2.5,\nseagull-1,2.0,1.5,1.75\n"
)


def neptune_query(folder, index="experiment"):
    (folder / "metrics.csv").write_text(NEPTUNE_QUERY.format(index=index))


@pytest.mark.parametrize("index", ["experiment", "run"])
def test_metrics_that_were_fetched_from_neptune(tmp_path, index):
    neptune_query(tmp_path, index)
    curves = read(tmp_path)
    assert curves.runs["run"].to_list() == ["7", "seagull-1"]
    assert curves.observations["step"].to_list() == [1, 1, 2]
    assert curves.observations["train/loss"].to_list() == [3.0, 2.5, 1.5]
    assert curves.observations["val/loss"].to_list() == [None, None, 1.75]


# facebookresearch/detectron2 0a86ad40, detectron2/utils/events.py, JSONWriter.write: the names of a
# line sorted, scalars of evaluations beside the iteration that they follow. The losses are those of
# its docstring, with total_loss as CommonMetricPrinter and SimpleTrainer._write_metrics name it.
def detectron2(folder):
    losses = [
        {"loss_box_reg": 0.05, "loss_cls": 0.53, "loss_rpn_cls": 0.48, "total_loss": 1.92},
        {"loss_box_reg": 0.06, "loss_cls": 0.31, "loss_rpn_cls": 0.15, "total_loss": 1.28},
    ]
    lines = [
        {"data_time": 0.008, "eta_seconds": 60.5, "iteration": 20 * i + 19, "lr": 0.007, **row}
        | {"fast_rcnn/cls_accuracy": 0.9, "time": 0.25}
        for i, row in enumerate(losses)
    ]
    lines.append({"bbox/AP": 12.5, "bbox/AP50": 30.25, "iteration": 39})
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    (folder / "metrics.json").write_text(text)


def test_metrics_of_detectron2(tmp_path):
    detectron2(tmp_path)
    (tmp_path / "last_checkpoint").write_text("model_final.pth")
    follower = Follower(tmp_path)
    follower.update()
    with (tmp_path / "metrics.json").open("a") as log:
        log.write('{"iteration": 59, "lr": 0.007, "time": 0.25, "total_loss": 1.0}\n{"iterat')
    for curves in (read(tmp_path), follower.update()):
        rows = curves.observations
        assert rows["step"].to_list() == [19, 39, 59]
        assert curves.metric() == "total_loss"
        assert rows["total_loss"].to_list() == [1.92, 1.28, 1.0]
        assert rows["bbox/AP"].to_list() == [None, 12.5, None]
