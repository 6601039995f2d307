"""Who may go on: a stop rule for each run, and successive halving between them, per epoch."""

from __future__ import annotations

from typing import Any

from earlycall.extras import needed_for
from earlycall.halving import Halving
from earlycall.stopping import Monitor
from earlycall.study.folder import StudyFolder
from earlycall.study.plan import RunPlan

with needed_for("a study", "study"):
    from ray.tune.experiment import Trial
    from ray.tune.schedulers import FIFOScheduler


class Judge(FIFOScheduler):
    """A scheduler that gives verdicts on runs after their epochs.

    It looks at the validation loss over epochs, by a stop rule of each run, by successive halving
    between the runs (see `earlycall.halving.Halving`), or both. What runs logged in earlier
    sessions is read back from the study's folder, so a resumed study decides as one that was not
    disturbed. A verdict is a file of the run, which it finds before its next epoch: so the run
    looks at its test part and ends in order, and a kill in between loses nothing.

    Args:
        study: the study.

    Raises:
        InputError: if the rule or score is not known.
    """

    def __init__(self, study: StudyFolder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.study = study
        how = study.stopping
        self._halving = how.halving and Halving(
            how.halving, how.min_epochs, how.factor, study.plan.epochs
        )
        self._rule = how.rule
        self._runs = {run.name: run for run in study.plan.runs()}
        self._losses: dict[str, dict[float, float]] = {name: {} for name in self._runs}
        self._monitors: dict[str, Monitor] = {}
        if how.rule:
            self._monitors = {name: Monitor(how.rule, cost="epoch") for name in self._runs}
        for run in study.plan.runs():
            curve = study.curve(run)
            if curve is not None:
                for epoch, loss in enumerate(curve["val_loss"].drop_nulls().to_list(), start=1):
                    self._take(run.name, epoch, loss)

    def _take(self, name: str, epoch: int, loss: float) -> None:
        if epoch not in self._losses[name]:  # an epoch may be repeated after a failure
            self._losses[name][epoch] = loss
            if name in self._monitors:
                self._monitors[name].update(loss, epoch)

    def why(self, name: str) -> str | None:
        """Why a run should end after its last epoch; None where it may go on."""
        if name in self._monitors and self._monitors[name].should_stop:
            return f"{self._rule}: {self._monitors[name].explain()}"
        if self._halving and not self._halving.goes_on(name, self._losses):
            rung = self._halving.reached(self._losses[name]) or 0
            return f"not among the best by {self._halving.score} after {rung:g} epochs"
        return None

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Take an epoch's validation loss and give a verdict; the run reads it by itself."""
        run: RunPlan = self._runs[result["run"]]
        if "val_loss" in result and not result.get("done"):
            self._take(run.name, int(result["epoch"]), float(result["val_loss"]))
            why = self.why(run.name)
            if why is not None and result["epoch"] < run.epochs:
                self.study.verdict(run, why)
        return FIFOScheduler.CONTINUE
