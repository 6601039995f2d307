"""Train a small network with Keras on torch; kill itself after some epochs if asked to."""

import json
import os
import signal
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np

from earlycall.integrations.keras import EarlyCall

options = json.loads(sys.argv[1])
folder = Path(options["folder"])
keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(size=(256, 8)).astype("float32")
y = x @ rng.normal(size=(8, 1)).astype("float32")


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == options.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)


class GivenLosses(keras.callbacks.Callback):
    """In the place of the network's."""

    def on_epoch_end(self, epoch, logs=None):
        if "losses" in options:
            logs["val_loss"] = options["losses"][epoch]


class KillBetween(keras.callbacks.Callback):
    """After the state was written, before the backup was."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == options.get("kill_between"):
            os.kill(os.getpid(), signal.SIGKILL)


model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.01), "mse")
early = EarlyCall(
    options.get("metric", "val_loss"),
    options["rule"],
    cost=options.get("cost", "epoch"),
    state_path=folder / "earlycall.json",
)
callbacks = [
    GivenLosses(),
    early,
    KillBetween(),
    keras.callbacks.BackupAndRestore(folder / "backup"),
    Kill(),
]
history = model.fit(
    x, y, epochs=60, batch_size=64, shuffle=False, validation_data=(x, y), verbose=0,
    callbacks=callbacks,
)  # fmt: skip
found = {
    "epoch": history.epoch[-1] + 1,
    "reason": early.monitor.reason,
    "said": early.monitor.explain(),
    "updates": early.monitor.updates,
    "planned": getattr(early.monitor.rule, "planned", None),
    "left": sorted(p.name for p in folder.iterdir()),
}
(folder / "found.json").write_text(json.dumps(found))
