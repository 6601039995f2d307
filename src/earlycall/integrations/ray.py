"""Ray Tune: a stopper by elasticity, and a scheduler that promotes by a score of whole curves."""

from __future__ import annotations

import copy
import heapq
import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from earlycall.curves import Direction
from earlycall.errors import CurveWarning, InputError
from earlycall.extras import needed_for
from earlycall.integrations.watch import MetricMonitor, mode_of
from earlycall.ranking.halving import Halving
from earlycall.ranking.past import Past
from earlycall.ranking.rank import DEFAULT_SCORE
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.stopping import Rule

with needed_for("the adapter for Ray Tune", "ray"):
    from ray.tune import Stopper, Trainable
    from ray.tune.experiment import Trial
    from ray.tune.result import SHOULD_CHECKPOINT
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler


MAX_RESUMED = 10  # paused trials of a rung that are asked for at a time


class EarlyCallStopper(Stopper):
    """Stops each trial of a Ray Tune experiment when it is no longer worth its cost.

    Its state is part of Ray's experiment checkpoints. A trial that goes on from an older checkpoint
    repeats some results; those are not taken twice.

    Args:
        metric: the name under which trials report it.
        rule: a stop rule as text (see `earlycall.parse_rule`), by default ``gain:0.02``.
        cost: ``step`` (reports), ``seconds`` (``time_total_s``) or any number that trials report
            and that grows, such as ``joules``.
        mode: ``min`` or ``max``; by default told from the metric's name.

    Raises:
        InputError: if an argument cannot be used, or a trial does not report the metric.

    Examples:
        >>> stopper = EarlyCallStopper("loss", "gain:0.1")
        >>> [stopper("a", {"loss": 0.5 ** i, "training_iteration": i}) for i in (1, 2, 3)]
        [False, False, False]
    """

    def __init__(
        self,
        metric: str = "loss",
        rule: str | Rule | None = None,
        *,
        cost: str = "step",
        mode: Direction | None = None,
    ) -> None:
        self._fresh = MetricMonitor(metric, rule, cost, mode)
        self._trials: dict[str, MetricMonitor] = {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial should end."""
        if trial_id not in self._trials:
            self._trials[trial_id] = copy.deepcopy(self._fresh)
        done = result["training_iteration"]
        spent = result.get("time_total_s")  # Ray's own clock, which goes on after a restore
        return self._trials[trial_id].update(result, step=done, epoch=done, seconds=spent)

    def stop_all(self) -> bool:
        """Never: each trial ends by itself."""
        return False

    def explain(self, trial_id: str) -> str:
        """The decision on a trial in one sentence, with its numbers.

        Raises:
            InputError: if the trial has not reported yet.
        """
        if trial_id not in self._trials:
            raise InputError(f"the trial {trial_id!r} has not reported yet")
        return self._trials[trial_id].monitor.explain()


class EarlyCallScheduler(FIFOScheduler):
    """Asynchronous successive halving that promotes by a score of the trials' whole curves.

    Takes the arguments of Ray's ``ASHAScheduler`` and stands in its place. A trial that reaches a
    rung (``grace_period``·η^k) goes on if it is among the best 1/η that came so far, ranked by the
    score of their curves until there (see `earlycall.ranking.halving.Halving`). If it is not, it is
    paused, and goes on from its checkpoint once it is; it ends when nothing is left that could
    bring that about. A trial that has saved no checkpoint ends at once. In a restored experiment
    the curves are read back from the trials' logs. The default score learns
    from the trials that reached ``max_t``, with their settings, and from an earlier experiment.

    A paused trial frees its resources, but counts where ``max_concurrent_trials`` is given: the
    worst ones then end early, so that others can start. Limit trials by their resources instead.

    Args:
        time_attr: what counts as time; ``training_iteration`` or any number that grows.
        metric: the name under which trials report it; by default the ``TuneConfig``'s.
        mode: ``min`` or ``max``; by default the ``TuneConfig``'s.
        max_t: where training ends; trials are stopped there.
        grace_period: the first rung.
        reduction_factor: η, above 1.
        score: the name of a score: ``outlook``, ``last_loss``, ``tse``, ``lcga_d1`` …
        past: an earlier search on the same task: curves with outcomes, in any form that
            `earlycall.rank` takes. The metric is found by its name, else the validation loss is
            taken, with a warning.

    Raises:
        InputError: if an argument cannot be used.

    Examples:
        >>> scheduler = EarlyCallScheduler(metric="loss", mode="min", max_t=27, grace_period=3)
        >>> scheduler.halving.score
        'outlook'
    """

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: Direction | None = None,
        max_t: float = 100,
        grace_period: float = 1,
        reduction_factor: float = 4,
        *,
        score: str = DEFAULT_SCORE,
        past: Any = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.halving = Halving(score, grace_period, reduction_factor, max_t)
        if past is not None and score != DEFAULT_SCORE:
            raise InputError(
                f"past= needs the score {DEFAULT_SCORE}, which learns; this is {score}"
            )
        self._past = None if past is None else as_curve_set(past)
        if mode is not None:
            mode_of(metric or "", mode)
        self._time_attr, self._metric, self._mode, self._max_t = time_attr, metric, mode, max_t
        self._losses: dict[str, dict[float, float]] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        self._waiting: dict[str, float] = {}  # the rung at which a trial is, or will be, paused
        self._passed: dict[str, float] = {}  # the last rung from which it went on
        self._asked: set[str] | None = None  # who was paused when it was last asked who may go on
        self._promotable: list[str] = []
        self._stopped = self._resumed = 0

    def set_search_properties(self, metric: str | None, mode: Any, **spec: Any) -> bool:
        """Take metric and mode from the ``TuneConfig``; refuse two of either."""
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._metric, self._mode = self._metric or metric, self._mode or mode
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Read back the curve of a trial that was restored."""
        if not self._metric or not self._mode:
            raise InputError(
                "EarlyCallScheduler needs a metric and a mode: give them to it or to TuneConfig"
            )
        if self._past is not None and self.halving.past is None:
            first = 1 if self._time_attr == "training_iteration" else None
            past = Past.of(self._past, metric=self._metric, direction=self._mode, first=first)
            self.halving = replace(self.halving, past=past)
        self._losses[trial.trial_id] = {}
        self._settings[trial.trial_id] = _flat(trial.config)
        if self._time_attr in trial.last_result:  # it has reported before
            for result in _logged(trial):
                self._take(trial, result)
            rung = self.halving.reached(self._losses[trial.trial_id])
            if rung is not None and trial.status == Trial.PENDING and trial.checkpoint:
                self._waiting[trial.trial_id] = rung
                trial.set_status(Trial.PAUSED)  # type: ignore[no-untyped-call]

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Let a trial go on, pause it or end it."""
        name = trial.trial_id
        if name in self._waiting:  # it was promoted
            self._passed[name] = self._waiting.pop(name)
            self._resumed += 1
        before = max(self._losses[name], default=-math.inf)
        now = self._take(trial, result)
        if now is not None and now >= self._max_t:
            self._asked = None
            return str(TrialScheduler.STOP)
        again = now is None or now < before  # it repeats what was lost by a failure
        rung = None if again else self.halving.reached(self._losses[name])
        if rung is None or rung == self._passed.get(name):
            return str(TrialScheduler.CONTINUE)
        self._asked = None
        if self._promoted([name], rung):
            self._passed[name] = rung
            return str(TrialScheduler.CONTINUE)
        if math.isfinite(self._last(name)) and _can_resume(trial, result):
            self._waiting[name] = rung
            return str(TrialScheduler.PAUSE)
        self._stopped += 1
        return str(TrialScheduler.STOP)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The best paused trial that may go on by now, else the next one."""
        trials: list[Trial] = tune_controller.get_trials()
        paused = {
            trial.trial_id: trial for trial in trials
            if trial.status == Trial.PAUSED and trial.trial_id in self._waiting
        }  # fmt: skip
        if self._asked != paused.keys():
            self._asked = set(paused)
            self._promotable = self._best_of(list(paused))
        for name in self._promotable:
            if name in paused:
                return paused[name]
        for trial in trials:
            if trial.status == Trial.PENDING:
                return trial
        running = sum(trial.status == Trial.RUNNING for trial in trials)
        search = tune_controller.search_alg
        most = 1 if search.is_finished() else _limit(search) or 1
        if paused and running < most <= max(running + len(paused), 1):
            worst = max(paused, key=lambda name: (-self._waiting[name], self._last(name)))
            tune_controller.stop_trial(paused[worst])
        return None

    def _best_of(self, paused: list[str]) -> list[str]:
        """Those of the paused trials that may go on, the furthest and best first."""
        found = []
        for rung in sorted({self._waiting[name] for name in paused}, reverse=True):
            there = [name for name in paused if self._waiting[name] == rung]
            few = heapq.nsmallest(MAX_RESUMED, there, key=self._last)
            promoted = self._promoted(few, rung)
            found += [name for name in few if name in promoted]
        return found

    def _promoted(self, names: list[str], rung: float) -> set[str]:
        outcomes = {
            name: of[max(of)] for name, of in self._losses.items() if of and max(of) >= self._max_t
        }
        return self.halving.promoted(
            names, rung, self._losses, outcomes=outcomes, settings=self._settings
        )

    def _last(self, name: str) -> float:
        losses = self._losses[name]
        return losses[max(losses)]

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Keep the last result for those still to come."""
        self._waiting.pop(trial.trial_id, None)
        self._take(trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Wait no longer for a trial that failed."""
        self._waiting.pop(trial.trial_id, None)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Wait no longer for a trial that ended while it was paused."""
        self._stopped += self._waiting.pop(trial.trial_id, None) is not None

    def _take(self, trial: Trial, result: dict[str, Any]) -> float | None:
        """Keep a result; the time at which it was reported, None where it has no metric."""
        if self._metric not in result or self._time_attr not in result:
            return None
        now = float(result[self._time_attr])
        sign = -1 if mode_of(self._metric or "", self._mode) == "max" else 1
        self._losses[trial.trial_id][now] = sign * float(result[self._metric])
        return now

    def debug_string(self) -> str:
        """A line for Ray's status display."""
        return (
            f"EarlyCall, successive halving by {self.halving.score}: {self._stopped} stopped, "
            f"{len(self._waiting)} paused, {self._resumed} resumed"
        )


def _can_resume(trial: Trial, result: Mapping[str, Any]) -> bool:
    """Whether a trial has saved, or can save, what it needs to go on later."""
    if SHOULD_CHECKPOINT in result:  # a function: it has reported one, now or before
        return bool(result[SHOULD_CHECKPOINT] or trial.checkpoint)
    kind = trial.get_trainable_cls()  # type: ignore[no-untyped-call]
    return kind.save_checkpoint is not Trainable.save_checkpoint


def _limit(search: Any) -> int:
    """How many trials may be alive at once, 0 where nothing limits them."""
    return getattr(search, "max_concurrent", 0) or getattr(
        getattr(search, "searcher", None), "max_concurrent", 0
    )


def _flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Settings by name, those of a nested one behind its name and a dot."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found


def _logged(trial: Trial) -> list[dict[str, Any]]:
    """The results in a trial's own log, where it can be read."""
    if trial.storage is None:
        return []
    path = str(PurePosixPath(trial.storage.trial_fs_path) / "result.json")
    try:
        with trial.storage.storage_filesystem.open_input_stream(path) as file:
            lines = file.read().decode("utf-8").splitlines()
    except OSError:
        warnings.warn(
            f"trial {trial.trial_id}: its log {path} is gone, so its curve counts from here",
            CurveWarning,
            stacklevel=2,
        )
        return []
    results = []
    for line in lines:
        try:
            results.append(json.loads(line))
        except ValueError:  # the last line, half written
            break
    return results
