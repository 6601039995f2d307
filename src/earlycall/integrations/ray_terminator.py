"""Ray Tune: ends an experiment when a better trial is no longer likely."""

from __future__ import annotations

import math
import uuid
from typing import Any

from earlycall.curves import Direction
from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.integrations.watch import mode_of
from earlycall.ranking.improvement import SearchLimit

with needed_for("the terminator for Ray Tune", "ray"):
    from ray.tune import Callback, Stopper
    from ray.tune.experiment import Trial


# Of each terminator, the outcome and the seconds of the trials that ended. Ray restores the stopper
# and the callback apart, so that what was one object is two, which know each other by its key.
_ENDED: dict[str, dict[str, tuple[float, float]]] = {}


class EarlyCallTerminator(Stopper, Callback):
    """Ends a Ray Tune experiment when the next trials are unlikely to beat the best by a margin.

    Ray tells a stopper of results and a callback of trials that ended, so it is both: give the same
    object to ``RunConfig(stop=…, callbacks=[…])``. After each trial that ended it computes the
    chance that one of the next ``trials`` beats the best so far by more than ``margin`` (see
    `earlycall.ranking.improvement.chance_of_improvement`), and ends the experiment, with the trials
    that still run, when that is below ``chance``. Trials that a scheduler or a rule stopped early,
    or that failed, count as tried. Its state is in Ray's experiment checkpoints.

    Args:
        metric: the name under which trials report it.
        margin: the improvement that is wanted, in the unit of the metric.
        mode: ``min`` or ``max``; by default told from the metric's name.
        chance: the chance below which the experiment ends.
        trials: how many trials the chance is for.
        seconds: instead of ``trials``, as many as this time pays for, at the mean ``time_total_s``
            of the trials that ended.
        max_t: the ``training_iteration`` at which training ends, where trials may be stopped
            before: only those that got there have an outcome.
        guided: whether trials are proposed by what earlier ones gave; False for Ray's random and
            grid search.

    Raises:
        InputError: if an argument cannot be used, or it was given as a stopper only.

    Examples:
        >>> terminator = EarlyCallTerminator("loss", margin=0.01)
        >>> terminator.stop_all()
        False
    """

    def __init__(
        self,
        metric: str,
        margin: float,
        *,
        mode: Direction | None = None,
        chance: float = 0.1,
        trials: int | None = None,
        seconds: float | None = None,
        max_t: float | None = None,
        guided: bool = True,
    ) -> None:
        self.metric, self.mode = metric, mode_of(metric, mode)
        self.limit = SearchLimit(margin, chance, trials, seconds)
        self.max_t, self.guided = max_t, guided
        self._key = uuid.uuid4().hex
        self._asked = 0  # trials that had ended when the chance was last asked
        self._reached = False

    def setup(self, *args: Any, **info: Any) -> None:
        """Ray has it as a callback."""
        _ENDED.setdefault(self._key, {})

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Take the outcome of a trial that ended."""
        self._take(trial)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Take a trial that failed as tried."""
        self._take(trial, failed=True)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never: trials end by themselves, or by another stopper.

        Raises:
            InputError: if it was not given as a callback, or the metric is not reported.
        """
        if self._key not in _ENDED:
            raise InputError(
                "EarlyCallTerminator must be given as a callback, too: "
                "RunConfig(stop=terminator, callbacks=[terminator])"
            )
        if self.metric not in result:
            raise InputError(f"trials do not report {self.metric!r}; name what they report")
        return False

    def stop_all(self) -> bool:
        """Whether the experiment should end."""
        ended = _ENDED.get(self._key, {})
        if not self._reached and len(ended) > self._asked:
            self._asked = len(ended)
            outcomes, seconds = zip(*ended.values(), strict=True)
            self._reached = self.limit.reached(outcomes, seconds=seconds, guided=self.guided)
        return self._reached

    def explain(self) -> str:
        """The last decision in one sentence, with its numbers."""
        done = "Ended" if self._reached else "Goes on"
        return f"{done}: {self.limit.explain()}."

    def _take(self, trial: Trial, *, failed: bool = False) -> None:
        result = trial.last_result or {}
        value = float(result.get(self.metric, math.nan))
        if failed or (self.max_t is not None and result.get("training_iteration", 0) < self.max_t):
            value = math.nan
        outcome = -value if self.mode == "max" else value
        _ENDED[self._key][trial.trial_id] = outcome, float(result.get("time_total_s", 0.0))

    def get_state(self) -> dict[str, Any]:
        """What goes into Ray's experiment checkpoints."""
        return {"key": self._key, "ended": dict(_ENDED.get(self._key, {}))}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._key = state["key"]
        _ENDED[self._key] = dict(state["ended"])
