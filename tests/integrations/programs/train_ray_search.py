"""A Ray Tune search that ends when no better trial is likely; it kills itself if asked to."""

import json
import logging
import os
import signal
import sys
from pathlib import Path

os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "0"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
import ray
from ray import tune

from earlycall.integrations.ray_terminator import EarlyCallTerminator

options = json.loads(sys.argv[1])
folder = Path(options["folder"])
os.environ["KILL_AFTER"] = str(options.get("kill_after", -1))


def descend(config):
    for i in range(1, 4):
        tune.report({"loss": (1 - config["lr"]) ** i})


class Kill(tune.Callback):
    seen = 0

    def on_trial_result(self, iteration, trials, trial, result, **info):
        Kill.seen += 1
        if Kill.seen == int(os.environ["KILL_AFTER"]):  # Tuner.restore brings back options
            os.kill(os.getpid(), signal.SIGKILL)


ray.init(address=options["address"], logging_level=logging.ERROR)
trainable = tune.with_resources(descend, {"cpu": 1})
space = {"lr": tune.grid_search(options["lr"])}
here = str(folder / "experiment")
if tune.Tuner.can_restore(here):
    tuner = tune.Tuner.restore(here, trainable, param_space=space)
else:
    terminator = EarlyCallTerminator("loss", options["margin"], trials=2, guided=False)
    tuner = tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(metric="loss", mode="min", max_concurrent_trials=1),
        run_config=tune.RunConfig(
            name="experiment", storage_path=str(folder), stop=terminator,
            callbacks=[Kill(), terminator], verbose=0,
        ),
    )  # fmt: skip
ended = [result for result in tuner.fit() if result.metrics.get("training_iteration")]
(folder / "found.json").write_text(json.dumps({"trials": len(ended)}))
