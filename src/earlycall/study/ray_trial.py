"""A run as a trial of Ray Tune.

Trials train on any node; their files go through an actor, which runs where the study's folder is.
So a cluster needs no shared file system.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.study.models import add_import_folders
from earlycall.study.plan import RunPlan

with needed_for("a study", "study"):
    import ray
    from ray.tune import Trainable


class RemoteFiles:
    """The files of one run, read and written by an actor: a remote `FolderFiles` of the study."""

    def __init__(self, file_server: Any, run: str) -> None:
        self.file_server, self.run = file_server, run

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is no such file."""
        content: bytes | None = ray.get(self.file_server.read.remote(f"{self.run}/{name}"))
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file, or replace it."""
        ray.get(self.file_server.write.remote(f"{self.run}/{name}", content))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        ray.get(self.file_server.remove.remote(f"{self.run}/{name}"))


class StudyTrial(Trainable):
    """One run; a step is an epoch. An actor takes one run after another.

    An error in the input (a model that does not fit the images) ends the run with its sentence;
    Ray retries after every other error, from the run's own checkpoint.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Begin or resume a run."""
        import torch

        from earlycall.study.training import Training

        add_import_folders(config["imports"])
        torch.set_num_threads(max(1, int(config["threads"])))
        self.plan = RunPlan(**config["run"])
        self.training: Any = None
        self.input_error = ""
        try:
            self.training = Training(
                self.plan,
                _data(json.dumps(self.plan.data)),
                RemoteFiles(config["file_server"], self.plan.name),
                device=config["device"],
                meter=_meter() if config["energy"] else None,
            )
        except InputError as error:
            self.input_error = str(error)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next run."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train for an epoch; evaluate on the test part after the last."""
        progress: dict[str, Any] = {"run": self.plan.name, "epochs": self.plan.epochs}
        if self.input_error:
            return progress | {"failed": self.input_error, "epoch": 0, "done": True}
        done_before = self.training.done
        if not done_before:
            self.training.epoch()
        record = self.training.record
        progress |= {
            "epoch": record.epochs,
            "val_loss": record.val_loss[-1],
            "val_accuracy": record.val_accuracy[-1],
            "seconds": record.seconds[-1],
        }
        if not done_before and record.epochs < self.plan.epochs:
            return progress
        return progress | {"result": self.training.finish(), "done": True}


@cache
def _meter() -> Any:
    """The meter of an actor's process, which takes seconds to start."""
    from earlycall.energy import Meter

    return Meter("process")


@cache
def _data(described: str) -> Any:
    """A data set, loaded once for all runs of an actor."""
    from earlycall.study.data import splits

    return splits(**json.loads(described))
