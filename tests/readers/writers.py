"""The same curve written by the real tools, each into a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from conftest import finish_wandb

EPOCHS = 12
# Of few digits, since some tools write six and others 32-bit numbers.
LOSSES = [round(32 * (0.3 + 2.2 / (1 + 0.35 * i))) / 32 for i in range(EPOCHS)]
VAL_LOSSES = [loss + 1 / 16 for loss in LOSSES]
SETTINGS = {"lr": 0.1, "optimizer": "sgd"}


def tensorboard(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        for i, (loss, val) in enumerate(zip(LOSSES, VAL_LOSSES, strict=True), start=1):
            writer.add_scalar("Loss/train", loss, i)
            writer.add_scalar("Loss/val", val, i)


def tensorboard_tensors(folder: Path) -> None:
    """As TensorFlow 2 writes: scalars as tensors."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    for i, (loss, val) in enumerate(zip(LOSSES, VAL_LOSSES, strict=True), start=1):
        packed = TensorProto(dtype=DT_FLOAT, tensor_content=np.float32(loss).tobytes())
        listed = TensorProto(dtype=DT_DOUBLE, double_val=[val])
        values = [
            Summary.Value(tag="train_loss", tensor=packed, metadata=plugin),
            Summary.Value(tag="val_loss", tensor=listed, metadata=plugin),
        ]
        event = Event(wall_time=1e9 + i, step=i, summary=Summary(value=values))
        writer.add_event(event)
    writer.close()


def mlflow_sqlite(folder: Path) -> None:
    _mlflow(f"sqlite:///{folder}/mlflow.db", folder)


def mlflow_files(folder: Path) -> None:
    _mlflow((folder / "mlruns").as_uri(), folder)


def _mlflow(uri: str, folder: Path) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(uri)
    experiment = client.create_experiment("digits", artifact_location=(folder / "art").as_uri())
    run = client.create_run(experiment, run_name="brisk-fox", start_time=10**12)
    rows = [Metric("train_loss", loss, 10**12 + 1000 * i, i) for i, loss in enumerate(LOSSES, 1)]
    rows += [Metric("val_loss", v, 10**12 + 1000 * i, i) for i, v in enumerate(VAL_LOSSES, 1)]
    client.log_batch(run.info.run_id, rows, [Param(k, str(v)) for k, v in SETTINGS.items()])
    client.set_terminated(run.info.run_id)


def wandb(folder: Path) -> None:
    import wandb

    run = wandb.init(project="digits", name="brisk-fox", dir=folder, config=SETTINGS)
    for loss, val in zip(LOSSES, VAL_LOSSES, strict=True):
        run.log({"train/loss": loss, "val/loss": val})
    finish_wandb(run, folder)


def wandb_export(folder: Path) -> None:
    """As the chart's *Export CSV* writes."""
    head = ["Step", *(f"brisk-fox - train/loss{part}" for part in ("", "__MIN", "__MAX"))]
    rows = [[i, loss, loss, loss] for i, loss in enumerate(LOSSES)]
    lines = [head, *rows]
    text = "\n".join(",".join(f'"{cell}"' for cell in line) for line in lines)
    (folder / "wandb_export_2026-01-01T00_00_00.000+00_00.csv").write_text(text + "\n")


def trackio(folder: Path) -> None:
    _alone(
        f"""
import trackio
trackio.init(project="digits", name="brisk-fox", config={SETTINGS!r}, embed=False)
for loss, val in zip({LOSSES!r}, {VAL_LOSSES!r}):
    trackio.log({{"train_loss": loss, "val_loss": val}})
trackio.finish()
""",
        folder,
    )


def _alone(program: str, folder: Path) -> None:
    """Run a tool that looks about itself in a process and folder of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"TRACKIO_DIR": str(folder)},
        check=False,
    )
    assert done.returncode == 0, done.stderr


def lightning_csv(folder: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(folder, name="", version="")
    logger.log_hyperparams(SETTINGS)
    for i, (loss, val) in enumerate(zip(LOSSES, VAL_LOSSES, strict=True)):
        logger.log_metrics({"train_loss": loss, "epoch": i}, step=10 * i + 9)
        logger.log_metrics({"val_loss": val, "epoch": i}, step=10 * i + 9)
        logger.log_metrics({"lr-SGD": 0.1}, step=10 * i + 4)
    logger.save()


def keras_csv(folder: Path) -> None:
    import keras

    _fit_keras(folder, [keras.callbacks.CSVLogger(folder / "training.log")])


def keras_history(folder: Path) -> None:
    history = _fit_keras(folder, [])
    (folder / "history.json").write_text(json.dumps(history.history))


def _fit_keras(folder: Path, callbacks: list):
    """A real fit, of which every loss is replaced by ours before it is logged."""
    import keras

    class Ours(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs |= {"loss": LOSSES[epoch], "val_loss": VAL_LOSSES[epoch]}

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.zeros((2, 1))
    return model.fit(
        x, x, epochs=EPOCHS, validation_data=(x, x), callbacks=[Ours(), *callbacks], verbose=0
    )


def trainer_state(folder: Path) -> None:
    from transformers import TrainerState

    for until in (EPOCHS // 2, EPOCHS):
        state = TrainerState(epoch=until, global_step=10 * until, max_steps=10 * EPOCHS)
        for i in range(until):
            at = {"epoch": float(i + 1), "step": 10 * (i + 1)}
            state.log_history.append(
                {"loss": LOSSES[i], "grad_norm": 1.0, "learning_rate": 0.1} | at
            )
            state.log_history.append({"eval_loss": VAL_LOSSES[i], "eval_runtime": 0.1} | at)
        if until == EPOCHS:
            state.log_history.append(
                {
                    "train_runtime": 9.0,
                    "train_loss": 0.5,
                    "total_flos": 1.0,
                    "epoch": 12.0,
                    "step": 120,
                }
            )
        there = folder / f"checkpoint-{10 * until}"
        there.mkdir()
        state.save_to_json(str(there / "trainer_state.json"))


def timm(folder: Path) -> None:
    from timm.utils import update_summary

    for i, (loss, val) in enumerate(zip(LOSSES, VAL_LOSSES, strict=True)):
        update_summary(
            i, {"loss": loss}, {"loss": val, "top1": 50.0}, str(folder / "summary.csv"),
            lr=0.1, write_header=i == 0,
        )  # fmt: skip
    (folder / "args.yaml").write_text("lr: 0.1\nopt: sgd\n")


def ultralytics(folder: Path) -> None:
    from types import SimpleNamespace

    from ultralytics.engine.trainer import BaseTrainer
    from ultralytics.utils import YAML

    YAML.save(folder / "args.yaml", {"task": "classify", "lr0": 0.1, "optimizer": "sgd"})
    trainer = SimpleNamespace(csv=folder / "results.csv", epoch=0, train_time_start=time.time())
    for i, (loss, val) in enumerate(zip(LOSSES, VAL_LOSSES, strict=True)):
        trainer.epoch = i
        BaseTrainer.save_metrics(trainer, {"train/loss": loss, "val/loss": val, "lr/pg0": 0.1})


def dvclive(folder: Path) -> None:
    _alone(
        f"""
from dvclive import Live
with Live("dvclive", save_dvc_exp=False, dvcyaml=None, report=None) as live:
    live.log_params({SETTINGS!r})
    for loss, val in zip({LOSSES!r}, {VAL_LOSSES!r}):
        live.log_metric("train/loss", loss, timestamp=True)
        live.log_metric("val/loss", val)
        live.next_step()
""",
        folder,
    )


def optuna_sqlite(folder: Path) -> None:
    _optuna(f"sqlite:///{folder}/study.db")


def optuna_journal(folder: Path) -> None:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    _optuna(JournalStorage(JournalFileBackend(str(folder / "journal.log"))))


def _optuna(storage) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=storage, study_name="digits")

    def objective(trial):
        trial.suggest_float("lr", 0.1, 0.1)
        trial.suggest_categorical("optimizer", ["sgd"])
        for i, loss in enumerate(LOSSES, start=1):
            trial.report(loss, i)
        return LOSSES[-1]

    study.optimize(objective, n_trials=1)


def ray_tune(folder: Path) -> None:
    _alone(
        f"""
import ray
from ray import tune
def trainable(config):
    for loss, val in zip({LOSSES!r}, {VAL_LOSSES!r}):
        tune.report({{"loss": loss, "val_loss": val}})
ray.init(address="local", num_cpus=1, include_dashboard=False)  # not another test's
tune.Tuner(
    trainable,
    param_space={SETTINGS!r},
    run_config=tune.RunConfig(name="experiment", storage_path={str(folder)!r}, verbose=0),
).fit()
""",
        folder,
    )


def json_lines(folder: Path) -> None:
    rows = zip(LOSSES, VAL_LOSSES, strict=True)
    lines = [{"step": i, "loss": a, "val_loss": b} for i, (a, b) in enumerate(rows, start=1)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def csv(folder: Path) -> None:
    rows = enumerate(zip(LOSSES, VAL_LOSSES, strict=True), start=1)
    lines = ["step,train_loss,val_loss", *(f"{i},{a!r},{b!r}" for i, (a, b) in rows)]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")


WRITERS = {
    one.__name__: one
    for one in (
        tensorboard, tensorboard_tensors, mlflow_sqlite, mlflow_files, wandb, wandb_export, trackio,
        lightning_csv, keras_csv, keras_history, trainer_state, timm, ultralytics, dvclive,
        optuna_sqlite, optuna_journal, ray_tune, json_lines, csv,
    )
}  # fmt: skip


def write(name: str, folder: Path) -> Path:
    """Let a tool write its run into a folder; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    WRITERS[name](folder)
    return folder
