"""What Ray Tune reports of trials, told to a watcher; failures are noted in the study."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from earlycall.extras import needed_for
from earlycall.study.folder import StudyFolder
from earlycall.study.running import Watcher

with needed_for("a study", "study"):
    from ray.tune import Callback


class Telling(Callback):
    """A callback of Ray Tune that tells a watcher."""

    def __init__(self, study: StudyFolder, watcher: Watcher) -> None:
        self.study, self.watcher = study, watcher
        self._runs = {run.name: run for run in study.plan.runs()}

    def __reduce__(self) -> tuple[Any, ...]:
        """Nothing of it goes into Ray's own notes: a console cannot be saved."""
        return Callback, ()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Tell of an epoch, and of the end."""
        if "failed" in result:
            self._failed(result["run"], result["failed"])
            return
        self.watcher.epoch(result["run"], result)
        if "result" in result:
            self.watcher.done(result["run"], result["result"])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell of a failure that Ray will try again."""
        self.watcher.failed(named(trial), _why(trial), again=True)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note a failure that Ray has given up."""
        self._failed(named(trial), _why(trial))

    def _failed(self, name: str, why: str) -> None:
        self.study.fail(self._runs[name], why)
        self.watcher.failed(name, why, again=False)


def named(trial: Any) -> str:
    """The name of a trial's run."""
    run = trial.config["run"]
    return f"{run['architecture']}-{run['setting']}-s{run['seed']}"


def _why(trial: Any) -> str:
    """What a trial's last failure says, in a line."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        return "for a reason that Ray did not tell"
    last = text.rpartition("Failure # ")[2]
    if re.search(r"\bactor\b.* (died|dead|unavailable)\b", last):
        return "its process or node died"
    return ([line.strip() for line in last.splitlines() if line.strip()] or [""])[-1]
