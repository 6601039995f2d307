"""Train a small network with Ignite; kill itself after some epochs if asked to."""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver
from ignite.metrics import Loss

from earlycall.integrations.ignite import EarlyCall

options = json.loads(sys.argv[1])
folder = Path(options["folder"])
torch.manual_seed(0)
x = torch.randn(256, 8)
y = x @ torch.randn(8, 1)
data = [(x[at : at + 64], y[at : at + 64]) for at in range(0, 256, 64)]
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), 0.01)
loss = torch.nn.MSELoss()
trainer = create_supervised_trainer(model, optimizer, loss)
evaluator = create_supervised_evaluator(model, {"val_loss": Loss(loss)})
early = EarlyCall(
    options.get("metric", "val_loss"), trainer, options["rule"], cost=options.get("cost", "epoch")
)
evaluator.add_event_handler(Events.COMPLETED, early)
losses = []
kept = {"trainer": trainer, "model": model, "optimizer": optimizer, "early": early}


@trainer.on(Events.EPOCH_COMPLETED)
def evaluate():
    evaluator.run(data)
    losses.append(evaluator.state.metrics["val_loss"])


trainer.add_event_handler(
    Events.EPOCH_COMPLETED,
    Checkpoint(kept, DiskSaver(folder / "saved", require_empty=False), n_saved=1),
)


@trainer.on(Events.EPOCH_STARTED)
def kill():
    if trainer.state.epoch - 1 == options.get("kill_at"):
        os.kill(os.getpid(), signal.SIGKILL)


for checkpoint in (folder / "saved").glob("*.pt"):
    Checkpoint.load_objects(kept, checkpoint)
trainer.run(data, max_epochs=100)
found = {
    "step": trainer.state.epoch,
    "reason": early.monitor.reason,
    "updates": early.monitor.updates,
    "planned": getattr(early.monitor.rule, "planned", None),
}
(folder / "found.json").write_text(json.dumps(found))
(folder / "losses.json").write_text(json.dumps(losses))
