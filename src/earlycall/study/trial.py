"""A run as a trial of Ray Tune, and the keeper of the study's files on the machine that has them.

Trials train on any node; what they save goes through the keeper, which runs where the study's
folder is. So a cluster needs no shared file system.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.study.files import FolderFiles
from earlycall.study.plan import RunPlan

with needed_for("a study", "study"):
    import ray
    from ray.tune import Trainable


class Keeper:
    """Reads and writes the files of a study's runs, for trials on whatever node."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def read(self, run: str, name: str) -> bytes | None:
        """A file of a run."""
        return FolderFiles(self.folder / run).read(name)

    def write(self, run: str, name: str, content: bytes) -> None:
        """Write a file of a run."""
        FolderFiles(self.folder / run).write(name, content)

    def remove(self, run: str, name: str) -> None:
        """Remove a file of a run."""
        FolderFiles(self.folder / run).remove(name)


class KeptFiles:
    """The files of one run, by the keeper."""

    def __init__(self, keeper: Any, run: str) -> None:
        self.keeper, self.run = keeper, run

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is no such file."""
        content: bytes | None = ray.get(self.keeper.read.remote(self.run, name))
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file, or replace it."""
        ray.get(self.keeper.write.remote(self.run, name, content))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        ray.get(self.keeper.remove.remote(self.run, name))


class StudyTrial(Trainable):
    """One run; a step is an epoch. An actor takes one run after another.

    What a person caused (a model that does not fit) ends the run with the sentence; every other
    error is Ray's to retry, from the run's own checkpoint.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Begin a run, or go on with it."""
        import torch

        for folder in config["imports"]:
            if folder not in sys.path:
                sys.path.insert(0, folder)
        torch.set_num_threads(max(1, int(config["threads"])))
        self.plan = RunPlan(**config["run"])
        self.training: Any = None
        self.refusal = ""
        from earlycall.study.training import Training

        try:
            self.training = Training(
                self.plan,
                _data(json.dumps(self.plan.data)),
                KeptFiles(config["keeper"], self.plan.name),
                device=config["device"],
                meter=_meter() if config["energy"] else None,
            )
        except InputError as error:
            self.refusal = str(error)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next run."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train for an epoch; after the last, look at the test part."""
        told: dict[str, Any] = {"run": self.plan.name, "epochs": self.plan.epochs}
        if self.refusal:
            return told | {"failed": self.refusal, "epoch": 0, "done": True}
        if not self.training.done:
            self.training.epoch()
            told |= self._epoch()
            if self.training.record.epochs < self.plan.epochs:
                return told
        result = self.training.finish()
        return told | self._epoch() | {"result": result, "done": True}

    def _epoch(self) -> dict[str, Any]:
        record = self.training.record
        return {
            "epoch": record.epochs,
            "val_loss": record.val_loss[-1],
            "val_accuracy": record.val_accuracy[-1],
            "seconds": record.seconds[-1],
        }


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
