"""Verdicts and pictures in the real trackers, read back from what they wrote."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from conftest import finish_wandb
from earlycall import InputError
from earlycall.integrations.keras import EarlyCall as KerasEarlyCall
from earlycall.integrations.trackers import log_verdict, trackers
from earlycall.integrations.watch import MetricMonitor

PICTURES = ("curves", "ranking")


def drawn(png: bytes) -> bool:
    """Whether a picture shows something, in colour."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
    return len(pixels) > 100_000 and bool((np.ptp(pixels.astype(int), axis=1) > 50).any())


def of_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0})
    found.Reload()
    images = {tag: found.Images(tag) for tag in found.Tags()["images"]}
    texts = {
        tag: b"".join(found.Tensors(tag)[-1].tensor_proto.string_val).decode()
        for tag in found.Tags()["tensors"]
    }
    return images, texts


def test_mlflow_has_the_report_and_the_pictures_as_artifacts(
    browser_path, digits, tmp_path, monkeypatch
):
    import mlflow

    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with mlflow.start_run() as run:
        log_verdict(digits, "mlflow", budget=0.1)
    folder = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="earlycall")
    found = {p.name: p for p in (tmp_path / folder).iterdir()}
    assert set(found) == {"curves.png", "ranking.png", "report.html", "verdict.md"}
    assert all(drawn(found[f"{name}.png"].read_bytes()) for name in PICTURES)
    assert "cnn-16-32-bn_lr0.1" in found["verdict.md"].read_text()
    assert "cnn-16-32-bn_lr0.1" in found["report.html"].read_text()


def test_tensorboard_has_the_pictures_and_the_verdict(browser_path, digits, tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        log_verdict(digits, writer, budget=0.1, step=114)
    images, texts = of_tensorboard(tmp_path)
    assert set(images) == {f"earlycall/{name}" for name in PICTURES}
    assert all(drawn(image.encoded_image_string) for [image] in images.values())
    assert {image.step for [image] in images.values()} == {114}
    assert "cnn-16-32-bn_lr0.1" in texts["earlycall/verdict/text_summary"]


def test_an_offline_wandb_run_has_images_a_page_and_the_verdict(browser_path, digits, tmp_path):
    import wandb
    from wandb.proto import wandb_internal_pb2 as records

    from earlycall.readers.base.leveldb import records as records_of

    run = wandb.init(
        mode="offline", dir=tmp_path, project="p", settings=wandb.Settings(silent=True)
    )
    run.log({"loss": 1.0})
    log_verdict(digits, run, budget=0.1)
    log = finish_wandb(run, tmp_path)
    logged, summary = {}, {}
    for data, _ in records_of(log, log.open("rb")):
        record = records.Record.FromString(data)
        for item in record.history.item:
            logged[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        for item in record.summary.update:
            summary[item.key or "/".join(item.nested_key)] = item.value_json
    assert logged["earlycall/curves/_type"] == "image-file"
    assert logged["earlycall/report/_type"] == "html-file"
    files = log.parent / "files"
    assert all(drawn((files / logged[f"earlycall/{n}/path"]).read_bytes()) for n in PICTURES)
    assert "cnn-16-32-bn" in (files / logged["earlycall/report/path"]).read_text()
    assert "cnn-16-32-bn_lr0.1" in summary["earlycall/verdict"]


def test_a_lightning_training_ends_with_a_picture_in_its_loggers(browser_path, tmp_path):
    import torch
    from lightning.pytorch import LightningModule, Trainer, seed_everything
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
    from torch.utils.data import DataLoader, TensorDataset

    from earlycall.integrations.lightning import EarlyCall

    seed_everything(0, verbose=False)
    x = torch.randn(128, 4)
    loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=32)

    class Net(LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(4, 1)

        def training_step(self, batch, index):
            loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05)

    trainer = Trainer(
        accelerator="cpu", max_epochs=40, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False, logger=[TensorBoardLogger(tmp_path), CSVLogger(tmp_path)],
        callbacks=[EarlyCall("train_loss", "gain:0.1", cost="epoch", show_to="loggers")],
    )  # fmt: skip
    trainer.fit(Net(), loader)
    images, texts = of_tensorboard(trainer.loggers[0].log_dir)
    assert drawn(images["earlycall/elasticity"][0].encoded_image_string)
    assert "Stopped after" in texts["earlycall/decision/text_summary"]


def test_a_keras_training_ends_with_a_picture_in_mlflow(browser_path, tmp_path, monkeypatch):
    import keras
    import mlflow

    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(128, 4))
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    with mlflow.start_run() as run:
        early = KerasEarlyCall("loss", "gain:0.1", show_to="mlflow")
        model.fit(x, x.sum(1), epochs=40, verbose=0, callbacks=[early])
    folder = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="earlycall")
    assert drawn((tmp_path / folder / "elasticity.png").read_bytes())
    assert "Stopped after" in (tmp_path / folder / "decision.md").read_text()


def test_a_transformers_training_ends_with_a_picture(browser_path, tmp_path):
    import torch
    from torch.utils.tensorboard import SummaryWriter
    from transformers import Trainer, TrainingArguments

    from earlycall.integrations.transformers import EarlyCallCallback

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(4, 1)

        def forward(self, x, y):
            return {"loss": torch.nn.functional.mse_loss(self.net(x), y)}

    torch.manual_seed(0)
    x = torch.randn(128, 4)
    data = [{"x": row, "y": row.sum().view(1)} for row in x]
    arguments = TrainingArguments(
        output_dir=tmp_path / "out", max_steps=60, logging_steps=2, report_to=[], use_cpu=True,
        save_strategy="no", learning_rate=0.05, disable_tqdm=True,
    )  # fmt: skip
    with SummaryWriter(tmp_path / "tb") as writer:
        callback = EarlyCallCallback("loss", "gain:0.1", show_to=writer)
        Trainer(Net(), arguments, train_dataset=data, callbacks=[callback]).train()
    images, texts = of_tensorboard(tmp_path / "tb")
    assert drawn(images["earlycall/elasticity"][0].encoded_image_string)
    assert "observations" in texts["earlycall/decision/text_summary"]


def test_what_is_shown_survives_a_kill(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        whole, first, second = (
            MetricMonitor("loss", None, "step", None, show_to=writer) for _ in "abc"
        )
        for step in range(1, 3001):
            (first if step <= 1700 else second).update({"loss": 1 / step}, step=step, epoch=0)
            whole.update({"loss": 1 / step}, step=step, epoch=0)
            if step == 1700:
                second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert json.dumps(second.state_dict()["history"]) == json.dumps(
            whole.state_dict()["history"]
        )


@pytest.mark.parametrize("to", [42, "tensorboard", object()])
def test_what_is_no_tracker_is_named(to):
    with pytest.raises(InputError, match="is no tracker that pictures go to; give a SummaryWriter"):
        trackers(to)
