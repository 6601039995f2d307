"""Boost some trees with LightGBM; kill itself after some rounds if asked to."""

import json
import os
import signal
import sys
from pathlib import Path

import lightgbm
import numpy as np

from earlycall.integrations.lightgbm import EarlyCall

options = json.loads(sys.argv[1])
folder = Path(options["folder"])
rng = np.random.default_rng(0)
x = rng.normal(size=(400, 4))
y = np.sin(3 * x[:, 0]) + x[:, 1] + 0.3 * rng.normal(size=400)
train, valid = (lightgbm.Dataset(x[part], label=y[part]) for part in (slice(300), slice(300, 400)))
model = folder / "model.txt"


def save(env):
    env.model.save_model(folder / "model.txt.part")
    (folder / "model.txt.part").rename(model)


def kill(env):
    if env.iteration + 1 == options.get("kill_at"):
        os.kill(os.getpid(), signal.SIGKILL)


save.order, kill.order = 50, 51
early = EarlyCall(
    options.get("metric", "valid/l2"), options["rule"], cost=options.get("cost", "step"),
    state_path=folder / "state" / "early.json",
)  # fmt: skip
evaluated = {}
booster = lightgbm.train(
    {"verbosity": -1, "learning_rate": 0.1, "max_depth": 3, "metric": "l2", "num_threads": 1},
    train, 300, valid_sets=[valid], valid_names=["valid"],
    init_model=str(model) if model.exists() else None,
    callbacks=[early, lightgbm.record_evaluation(evaluated), save, kill],
)  # fmt: skip
found = {
    "step": booster.num_trees(),
    "reason": early.monitor.reason,
    "updates": early.monitor.updates,
    "planned": getattr(early.monitor.rule, "planned", None),
    "left": [path.name for path in (folder / "state").iterdir()],
}
(folder / "found.json").write_text(json.dumps(found))
(folder / "losses.json").write_text(json.dumps(evaluated["valid"]["l2"]))
