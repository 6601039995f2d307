"""Early stopping of runs: a stop rule for each, and successive halving between them, per epoch."""

from __future__ import annotations

from typing import Any

from earlycall.extras import needed_for
from earlycall.ranking.halving import Halving
from earlycall.stopping import Monitor
from earlycall.study.folder import StudyFolder

with needed_for("a study", "study"):
    from ray.tune.experiment import Trial
    from ray.tune.schedulers import FIFOScheduler


class EarlyStopScheduler(FIFOScheduler):
    """A scheduler that decides after each epoch whether a run should end.

    It looks at the validation loss over epochs, by a stop rule of each run, by successive halving
    between the runs (see `earlycall.ranking.halving.Halving`), or both. Losses of earlier sessions
    are read from the study's folder, so that a resumed study decides as an undisturbed one. A
    verdict is a file of the run, which it finds before its next epoch: so the run evaluates its
    test part and ends in order, and a kill in between loses nothing.

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
        self._runs = {run.name: run for run in study.plan.runs()}
        self._losses: dict[str, dict[float, float]] = {name: {} for name in self._runs}
        self._monitors: dict[str, Monitor] = {}
        if how.rule:
            self._monitors = {name: Monitor(how.rule, cost="epoch") for name in self._runs}
        for name, run in self._runs.items():
            curve = study.curve(run)
            if curve is not None:
                for epoch, loss in enumerate(curve["val_loss"].drop_nulls().to_list(), start=1):
                    self._add(name, epoch, loss)

    def _add(self, name: str, epoch: int, loss: float) -> None:
        if epoch not in self._losses[name]:  # an epoch may be repeated after a failure
            self._losses[name][epoch] = loss
            if name in self._monitors:
                self._monitors[name].update(loss, epoch)

    def _reason_to_stop(self, name: str) -> str | None:
        if name in self._monitors and self._monitors[name].should_stop:
            return f"{self.study.stopping.rule}: {self._monitors[name].explain()}"
        if self._halving and not self._halving.goes_on(name, self._losses):
            rung = self._halving.reached(self._losses[name]) or 0
            return f"not among the best by {self._halving.score} after {rung:g} epochs"
        return None

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Add an epoch's validation loss and write a verdict, which the run reads by itself."""
        if "val_loss" in result and not result.get("done"):
            run = self._runs[result["run"]]
            self._add(run.name, int(result["epoch"]), float(result["val_loss"]))
            reason = self._reason_to_stop(run.name)
            if reason is not None and result["epoch"] < run.epochs:
                self.study.verdict(run, reason)
        return FIFOScheduler.CONTINUE
