"""The recipe for W&B sweeps, run by W&B's own agent; only the server that hands out jobs is not.

A sweep needs a server, also with W&B's local controller. So the jobs are put into the agent's queue
as the server's answer would be; the agent, its runs and their logs are real.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from earlycall import Monitor, read

RECIPE = Path(__file__).parents[2] / "examples" / "wandb_sweep.py"
AGENT = """
import os, runpy, sys
os.environ |= {"WANDB_MODE": "offline", "WANDB_DIR": sys.argv[2]}
import wandb
wandb.Api = lambda: None  # the connection to the server
from wandb.agents.pyagent import Agent, Job, RunStatus

recipe = runpy.run_path(sys.argv[1])
agent = Agent("sweep", project="p", entity="e", function=recipe["train"], count=2)
agent._init()
agent._sweep_id = "sweep"
for name, rate in (("fast", 0.1), ("slow", 1e-3)):
    values = {"learning_rate": rate, "alpha": 1e-4, "epochs": 60}
    args = {key: {"value": value} for key, value in values.items()}
    agent._run_status[name] = RunStatus.QUEUED
    agent._queue.put(Job({"type": "run", "run_id": name, "args": args}))
agent._run_jobs_from_queue()
assert not agent._exceptions, agent._exceptions
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    done = subprocess.run(
        [sys.executable, "-c", AGENT, RECIPE, folder], capture_output=True, text=True, check=False,
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return read(folder)


def test_each_run_of_the_sweep_ends_where_a_monitor_ends_it(sweep):
    assert len(sweep) == 2
    stops = {}
    for row in sweep.runs.to_dicts():
        losses = sweep.select(runs=[row["run"]]).observations["val_loss"].drop_nulls().to_list()
        monitor = Monitor("gain:0.02", cost="epoch")
        stops[row["hp.learning_rate"]] = len(losses)
        ended = [monitor.update(loss) for loss in losses]
        assert ended[:-1] == [False] * (len(losses) - 1)
        assert ended[-1] or len(losses) == 60
    assert stops[0.1] < stops[0.001] == 60
