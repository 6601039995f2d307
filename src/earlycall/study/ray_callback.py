"""What Ray Tune reports of trials, for a watcher; failures are noted in the study."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from earlycall.extras import needed_for
from earlycall.study.folder import StudyFolder
from earlycall.study.plan import RunPlan
from earlycall.study.watcher import Watcher

with needed_for("a study", "study"):
    from ray.tune import Callback


class ProgressCallback(Callback):
    """Passes what Ray Tune reports on to a watcher."""

    def __init__(self, study: StudyFolder, watcher: Watcher) -> None:
        self.study, self.watcher = study, watcher

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep it out of Ray's own notes: a console cannot be pickled."""
        return Callback, ()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Report an epoch, and the end."""
        if "failed" in result:
            self._give_up(trial, result["failed"])
            return
        self.watcher.epoch(result["run"], result)
        if "result" in result:
            self.watcher.done(result["run"], result["result"])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report a failure after which Ray tries again."""
        self.watcher.failed(run_of(trial).name, _reason(trial), again=True)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note a failure after which Ray gives up."""
        self._give_up(trial, _reason(trial))

    def _give_up(self, trial: Any, reason: str) -> None:
        run = run_of(trial)
        self.study.fail(run, reason)
        self.watcher.failed(run.name, reason, again=False)


def run_of(trial: Any) -> RunPlan:
    """The run that a trial trains."""
    return RunPlan(**trial.config["run"])


def _reason(trial: Any) -> str:
    """The last line of a trial's last failure."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        return "Ray gave no reason"
    last = text.rpartition("Failure # ")[2]
    if re.search(r"\bactor\b.* (died|dead|unavailable)\b", last):
        return "its process or node died"
    return ([line.strip() for line in last.splitlines() if line.strip()] or [""])[-1]
