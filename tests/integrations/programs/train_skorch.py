"""Train a small network with skorch; kill itself after some epochs if asked to."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback, Checkpoint, LoadInitState

from earlycall.integrations.skorch import EarlyCall

options = json.loads(sys.argv[1])
folder = Path(options["folder"])
torch.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(size=(256, 8)).astype("float32")
y = x @ rng.normal(size=(8, 1)).astype("float32")


class Kill(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) - 1 == options.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)


saved = Checkpoint(monitor=None, dirname=folder / "saved", load_best=False)
net = NeuralNetRegressor(
    torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)),
    optimizer=torch.optim.Adam, lr=0.01, batch_size=64, max_epochs=100, verbose=0,
    callbacks=[
        ("load", LoadInitState(saved)),
        ("save", saved),
        ("kill", Kill()),
        ("early", EarlyCall(options.get("metric", "valid_loss"), options["rule"],
                            options.get("cost", "epoch"))),
    ],
)  # fmt: skip
net.fit(x, y)
early = dict(net.callbacks_)["early"]
found = {
    "step": len(net.history),
    "reason": early.monitor.reason,
    "updates": early.monitor.updates,
    "planned": getattr(early.monitor.rule, "planned", None),
}
(folder / "found.json").write_text(json.dumps(found))
(folder / "losses.json").write_text(json.dumps(net.history[:, "valid_loss"]))
(folder / "spent.json").write_text(json.dumps([early.monitor.spent, sum(net.history[:, "dur"])]))
