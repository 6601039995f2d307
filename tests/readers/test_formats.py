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
