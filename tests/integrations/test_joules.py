"""Real trainings of three hosts log their joules, judge by them and go on after a stop."""

import os
import subprocess
import sys

import pytest

from earlycall import read

LIGHTNING = """
import sys, torch
from pathlib import Path
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset
from earlycall.integrations.lightning import EarlyCall, Joules

class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(8, 1)
    def training_step(self, batch, index):
        loss = self.net(batch[0]).square().mean()
        self.log("train_loss", loss)
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", self.net(batch[0]).square().mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

folder, epochs = Path(sys.argv[1]), int(sys.argv[2])
loader = DataLoader(TensorDataset(torch.randn(64, 8)), batch_size=8)
early = EarlyCall("val_loss", "budget:1e12", cost="joules")
joules = Joules("process")
trainer = Trainer(
    accelerator="cpu", max_epochs=epochs, log_every_n_steps=1, enable_progress_bar=False,
    logger=CSVLogger(folder / "logs", version=epochs), default_root_dir=folder,
    callbacks=[joules, early, ModelCheckpoint(folder, "last", enable_version_counter=False)],
)
last = folder / "last.ckpt"
trainer.fit(Net(), loader, loader, ckpt_path=last if last.exists() else None)
print("FOUND", early.monitor.updates, joules.joules)
"""

TRANSFORMERS = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint
from earlycall.integrations.transformers import EarlyCallCallback, JoulesCallback

folder, epochs = sys.argv[1], int(sys.argv[2])
tokens = (torch.randint(0, 8, (32, 1)) + torch.arange(12)) % 16
data = [{"input_ids": row, "labels": row} for row in tokens]
early = EarlyCallCallback("loss", "budget:1e12", "joules")
joules = JoulesCallback("process")
trainer = Trainer(
    GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=16, n_embd=16, n_layer=1, n_head=2)),
    TrainingArguments(
        output_dir=folder, num_train_epochs=epochs, per_device_train_batch_size=8,
        logging_steps=2, save_strategy="epoch", report_to=[], use_cpu=True, disable_tqdm=True,
    ),
    train_dataset=data, callbacks=[joules, early],
)
trainer.train(resume_from_checkpoint=get_last_checkpoint(folder))
trainer.save_state()
print("FOUND", early.monitor.updates, joules.joules)
"""

KERAS = """
import os, sys
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np
from pathlib import Path
from earlycall.integrations.keras import EarlyCall, Joules

folder, epochs = Path(sys.argv[1]), int(sys.argv[2])
x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")

class Break(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1 and epochs == 2:
            print("FOUND", early.monitor.updates, joules.joules, flush=True)
            os._exit(0)  # as a kill would

joules = Joules("process", state_path=folder / ".joules.json")
early = EarlyCall("val_loss", "budget:1e12", cost="joules")
model.fit(
    x, x[:, :1], epochs=epochs, verbose=0, validation_data=(x, x[:, :1]),
    callbacks=[joules, early, keras.callbacks.CSVLogger(folder / f"log-{epochs}.csv"), Break()],
)
print("FOUND", early.monitor.updates, joules.joules)
"""

HOSTS = {"lightning": LIGHTNING, "transformers": TRANSFORMERS, "keras": KERAS}


def train(host, folder, epochs):
    done = subprocess.run(
        [sys.executable, "-c", HOSTS[host], folder, str(epochs)],
        capture_output=True, text=True, check=False, cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = next(line for line in done.stdout.splitlines() if line.startswith("FOUND"))
    return int(found.split()[1]), float(found.split()[2])


@pytest.mark.parametrize("host", HOSTS)
def test_joules_are_logged_judged_and_go_on(tmp_path, host):
    updates, first = train(host, tmp_path, 2)
    assert updates >= 2  # judged with joules as cost
    assert first > 0
    curves = read(tmp_path)
    rows = curves.observations.drop_nulls(curves.metric())
    if host == "keras":
        assert not (tmp_path / "log-2.csv").read_text().startswith("joules,joules")
    spent = rows["joules"].to_list()
    assert spent == sorted(spent)
    assert 0 < spent[-1] <= first + 1
    _, second = train(host, tmp_path, 4)
    assert second > first
    if host == "transformers":
        later = read(tmp_path / "trainer_state.json").observations["joules"].drop_nulls()
        assert later.to_list() == sorted(later)
        assert len(later) > len(spent)
