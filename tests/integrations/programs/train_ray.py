"""Fit lines by gradient descent under Ray Tune; the driver kills itself after some results."""

import json
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "0"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
import numpy as np
import ray
from ray import tune

from earlycall.integrations.ray import EarlyCallScheduler, EarlyCallStopper

options = json.loads(sys.argv[1])
folder = Path(options["folder"])
os.environ["KILL_AFTER"] = str(options.get("kill_after", -1))


def descend(config):
    """Least squares by gradient descent, from the last checkpoint on."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)) * [1, 1, 0.5, 0.25]
    y = x @ rng.normal(size=4)
    done, weights = 0, np.zeros(4)
    if (checkpoint := tune.get_checkpoint()) is not None:
        with checkpoint.as_directory() as there:
            saved = json.loads(Path(there, "state.json").read_text())
            done, weights = saved["done"], np.array(saved["weights"])
    for i in range(done + 1, config["iterations"] + 1):
        weights -= config["lr"] * x.T @ (x @ weights - y) / len(x)
        loss = float(np.mean((x @ weights - y) ** 2))
        with tempfile.TemporaryDirectory() as here:
            Path(here, "state.json").write_text(
                json.dumps({"done": i, "weights": weights.tolist()})
            )
            tune.report({"loss": loss}, checkpoint=tune.Checkpoint.from_directory(here))


class Kill(tune.Callback):
    seen = 0

    def on_trial_result(self, iteration, trials, trial, result, **info):
        Kill.seen += 1
        if Kill.seen == int(os.environ["KILL_AFTER"]):  # Tuner.restore brings back options
            os.kill(os.getpid(), signal.SIGKILL)


ray.init(address=options["address"], logging_level=logging.ERROR)
trainable = tune.with_resources(descend, {"cpu": 1})
space = {"lr": tune.grid_search(options["lr"]), "iterations": options["iterations"]}
name, storage = "experiment", str(folder)
here = str(folder / name)
if tune.Tuner.can_restore(here):
    tuner = tune.Tuner.restore(here, trainable, param_space=space)
else:
    what = options["what"]
    tuner = tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            max_concurrent_trials=options.get("at_once", 2),
            scheduler=EarlyCallScheduler(
                max_t=options["iterations"], grace_period=3, reduction_factor=2
            )
            if what == "scheduler"
            else None,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=storage,
            stop=EarlyCallStopper("loss", "gain:0.3") if what == "stopper" else None,
            callbacks=[Kill()],
            verbose=0,
        ),
    )
results = tuner.fit()
found = {str(result.config["lr"]): result.metrics["training_iteration"] for result in results} | {
    "best": results.get_best_result().config["lr"],
    "errors": results.num_errors,
}
(folder / "found.json").write_text(json.dumps(found))
