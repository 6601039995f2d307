"""Boost some trees with XGBoost; kill itself after some rounds if asked to."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import xgboost

from earlycall.integrations.xgboost import EarlyCall

options = json.loads(sys.argv[1])
folder = Path(options["folder"])
rng = np.random.default_rng(0)
x = rng.normal(size=(400, 4))
y = np.sin(3 * x[:, 0]) + x[:, 1] + 0.3 * rng.normal(size=400)
train, valid = (xgboost.DMatrix(x[part], label=y[part]) for part in (slice(300), slice(300, 400)))


class Kill(xgboost.callback.TrainingCallback):
    def after_iteration(self, model, epoch, evals_log):
        if model.num_boosted_rounds() == options.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        return False


early = EarlyCall(options.get("metric", "valid/rmse"), options["rule"])
saved = xgboost.callback.TrainingCheckPoint(folder, interval=1)
checkpoints = sorted(folder.glob("model_*.ubj"), key=lambda path: int(path.stem.split("_")[1]))
evaluated = {}
booster = xgboost.train(
    {"eta": 0.1, "max_depth": 3, "nthread": 1}, train, 300, evals=[(valid, "valid")],
    xgb_model=checkpoints[-1] if checkpoints else None, evals_result=evaluated, verbose_eval=False,
    callbacks=[early, saved, Kill()],
)  # fmt: skip
found = {
    "step": booster.num_boosted_rounds(),
    "reason": early.monitor.reason,
    "updates": early.monitor.updates,
    "left": booster.attr("earlycall"),
}
(folder / "found.json").write_text(json.dumps(found))
(folder / "losses.json").write_text(json.dumps(evaluated["valid"]["rmse"]))
