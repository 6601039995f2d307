"""One of several processes that search together in a study on SQLite; one may kill itself."""

import contextlib
import json
import math
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import TrialState

from earlycall.integrations.optuna import EarlyCallPruner

STEPS, TRIALS = 16, 16
options = json.loads(sys.argv[1])
folder = Path(options["folder"])
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def objective(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    if x * TRIALS % 1:  # not one of those that were enqueued: another process took the last
        raise optuna.TrialPruned
    done = 0
    if (number := EarlyCallPruner.resumes(trial)) is not None:
        done = json.loads((folder / f"{number}.json").read_text())
    with (folder / "starts").open("a") as file:
        file.write(json.dumps([x, done]) + "\n")
    for step in range(done + 1, STEPS + 1):
        if done and step == 3 and x == options["kill"]:
            try:
                (folder / "killed").touch(exist_ok=False)
                beaten = sqlalchemy.text("SELECT 1 FROM trial_heartbeats WHERE trial_id = :id")
                with storage.engine.connect() as tables:
                    while not tables.execute(beaten, {"id": trial._trial_id}).first():
                        tables.rollback()
                        time.sleep(0.1)
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        (folder / f"{trial.number}.json").write_text(json.dumps(step))
        trial.report(x + math.exp(-0.3 * step), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x


storage = optuna.storages.RDBStorage(
    f"sqlite:///{folder}/study.db",
    engine_kwargs={"connect_args": {"timeout": 120}},
    heartbeat_interval=1,
    grace_period=20,
    heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(
        inherit_intermediate_values=True
    ),
)
study = optuna.create_study(
    storage=storage,
    study_name="s",
    load_if_exists=True,
    pruner=EarlyCallPruner(max_resource=STEPS, resume=True),
)
if options["first"]:
    for i in range(TRIALS):
        study.enqueue_trial({"x": i / TRIALS})
    study.optimize(objective, n_trials=1)
else:
    while True:
        fail_stale_trials(study)
        states = {trial.state for trial in study.get_trials(deepcopy=False)}
        if TrialState.WAITING in states:
            # SQLite locks no rows, so that Optuna may start a waiting trial twice.
            with contextlib.suppress(ValueError, optuna.exceptions.UpdateFinishedTrialError):
                study.optimize(objective, n_trials=1)
        elif TrialState.RUNNING in states:
            time.sleep(0.1)
        else:
            break
