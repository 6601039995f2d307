"""Train a small network with Lightning; kill itself after some epochs if asked to."""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from earlycall.integrations.lightning import EarlyCall

options = json.loads(sys.argv[1])
folder = Path(options["folder"])
seed_everything(0, verbose=False)
x = torch.randn(256, 8)
y = x @ torch.randn(8, 1) + 0.1 * torch.randn(256, 1)
loader = DataLoader(TensorDataset(x, y), batch_size=64)


class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)
        )

    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
        if "losses" in options:
            loss = options["losses"][self.current_epoch]
        # Ranks disagree on purpose where there are several: each logs its own loss.
        self.log("val_loss", loss * (1 + self.global_rank * options.get("disagree", 0)))
        self.log("val_accuracy", 1 / (1 + loss))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Kill(Callback):
    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == options.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)


early = EarlyCall(
    options.get("metric", "val_loss"), options["rule"], cost=options.get("cost", "step")
)
trainer = Trainer(
    accelerator="cpu",
    devices=options.get("devices", 1),
    strategy="ddp" if options.get("devices", 1) > 1 else "auto",
    max_epochs=options.get("max_epochs", 60),
    callbacks=[
        early,
        Kill(),
        ModelCheckpoint(
            folder, save_last=True, save_on_train_epoch_end=options.get("save_on_train_epoch_end")
        ),
    ],
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    num_sanity_val_steps=2,
)
last = folder / "last.ckpt"
trainer.fit(Net(), loader, loader, ckpt_path=last if last.exists() else None)
found = {
    "epoch": trainer.current_epoch,
    "step": trainer.global_step,
    "reason": early.monitor.reason,
    "said": early.monitor.explain(),
    "updates": early.monitor.updates,
    "planned": getattr(early.monitor.rule, "planned", None),
}
(folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(found))
