"""The pruner in real studies: storages, processes, directions, trials of different lengths."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from conftest import PATIENCE
from earlycall import InputError
from earlycall.integrations.optuna import RESUMES, EarlyCallPruner

optuna.logging.set_verbosity(optuna.logging.ERROR)


def curve(rate: float, floor: float, step: int) -> float:
    return floor + math.exp(-rate * step)


def optimize(pruner, *, sign=1, trials=30, storage=None, sampler=None, length=27, every=1):
    """A study of curves that end at their floor; the floors are what the trials try."""

    def objective(trial):
        floor = trial.suggest_float("floor", 0.0, 1.0)
        end = length if isinstance(length, int) else length[trial.number % len(length)]
        for step in range(every, end + 1, every):
            trial.report(sign * curve(0.3, floor, step), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return sign * curve(0.3, floor, end)

    study = optuna.create_study(
        direction="minimize" if sign > 0 else "maximize",
        pruner=pruner,
        sampler=sampler or optuna.samplers.RandomSampler(seed=0),
        storage=storage,
        study_name="s",
        load_if_exists=True,
    )
    study.optimize(objective, n_trials=trials)
    return study


def lengths(study):
    return [trial.last_step for trial in study.trials]


@pytest.mark.parametrize("score", ["outlook", "last_loss", "tse", "lcga_d1"])
def test_halving_prunes_most_and_keeps_the_best(score):
    study = optimize(EarlyCallPruner(score, min_resource=3, reduction_factor=3))
    pruned = study.get_trials(states=[TrialState.PRUNED])
    assert len(pruned) > 12
    assert all(trial.last_step in (3, 9, 27) for trial in pruned)
    if score != "lcga_d1":  # all fall alike, so the slope tells nothing
        best = min(study.trials, key=lambda trial: trial.params["floor"])
        assert best.state == TrialState.COMPLETE


def test_both_directions_prune_the_same_trials():
    assert lengths(optimize(EarlyCallPruner())) == lengths(optimize(EarlyCallPruner(), sign=-1))


def test_trials_of_different_lengths_and_steps_that_skip_the_rungs():
    study = optimize(EarlyCallPruner(min_resource=4), length=(5, 15, 40), every=5)
    assert {5, 15} <= set(lengths(study))
    assert len(study.get_trials(states=[TrialState.PRUNED])) > 8


@pytest.mark.parametrize(
    "sampler",
    [optuna.samplers.TPESampler(seed=0), optuna.samplers.NSGAIISampler(seed=0)],
    ids=lambda sampler: type(sampler).__name__,
)
def test_it_works_with_other_samplers(sampler):
    assert optimize(EarlyCallPruner(), sampler=sampler).best_value < 0.2


@pytest.mark.parametrize("seed", range(6))
def test_the_last_loss_decides_as_optunas_halving_does(seed):
    """Random studies: several trials at once, of equal values, some diverged, failed or short."""
    rng = np.random.default_rng(seed)
    first, factor = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    ours = EarlyCallPruner("last_loss", min_resource=first, reduction_factor=factor)
    study = optuna.create_study(
        direction=("minimize", "maximize")[seed % 2],
        pruner=optuna.pruners.SuccessiveHalvingPruner(first, factor),
    )
    going = {}
    decided = {True: 0, False: 0}
    for _ in range(1500):
        if len(going) < rng.integers(1, 9):
            going[study.ask()] = 0
            continue
        trial = list(going)[rng.integers(len(going))]
        going[trial] = step = going[trial] + 1
        value = float(rng.choice([rng.normal(), rng.integers(3), math.inf, -math.inf, math.nan],
                                 p=[0.7, 0.27, 0.01, 0.01, 0.01]))  # fmt: skip
        trial.report(value, step)
        prune = trial.should_prune()
        frozen = study.get_trials(deepcopy=False)[trial.number]
        assert ours.prune(study, frozen) == prune
        decided[prune] += 1
        if prune or step == 60 or rng.uniform() < 0.01:
            del going[trial]
            failed = rng.uniform() < 0.05 or not math.isfinite(value)
            state = TrialState.FAIL if failed else TrialState.COMPLETE
            state = TrialState.PRUNED if prune else state
            study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)
    assert min(decided.values()) > 50


def test_a_rule_ends_a_trial_with_its_value_and_prunes_none():
    with pytest.raises(InputError, match=r"earlycall.Monitor\('gain:0.3'\).* return the value"):
        EarlyCallPruner(None, rule="gain:0.3")
    with pytest.raises(InputError, match="does not prune it"):
        EarlyCallPruner(rule="gain:0.3")
    with pytest.raises(InputError, match="does not prune it"):
        EarlyCallPruner(None)


def test_a_diverged_trial_is_pruned_at_the_next_rung_and_not_before_all_others():
    def objective(trial):
        for step in range(1, 28):
            diverged = trial.number == 3 and step > 1
            trial.report(math.nan if diverged else curve(0.1, trial.number, step), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return 1.0

    study = optuna.create_study(pruner=EarlyCallPruner(min_resource=3))
    study.optimize(objective, n_trials=4)
    assert study.trials[3].last_step == 3
    assert study.trials[0].state == TrialState.COMPLETE


def test_a_study_in_sqlite_killed_and_resumed_by_another_process_prunes_as_if_undisturbed(tmp_path):
    program = f"""
import sys; sys.path[:0] = {sys.path!r}
import os, signal, optuna
from test_optuna import EarlyCallPruner, optimize
class Kill(optuna.samplers.RandomSampler):
    def sample_independent(self, study, trial, *rest):
        if trial.number == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return (trial.number * 0.37) % 1.0
optimize(EarlyCallPruner(), storage=sys.argv[1], sampler=Kill())
"""

    class Fixed(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, *rest):
            return (trial.number * 0.37) % 1.0

    url = f"sqlite:///{tmp_path}/study.db"
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()
    resumed = optimize(EarlyCallPruner(), storage=url, sampler=Fixed(), trials=12)
    assert resumed.trials[7].last_step is None  # left behind by the kill

    class FixedButSeventh(Fixed):
        def sample_independent(self, study, trial, *rest):
            return ((trial.number + (trial.number >= 7)) * 0.37) % 1.0

    whole = optimize(EarlyCallPruner(), sampler=FixedButSeventh(), trials=19)
    assert [n for n in lengths(resumed) if n is not None] == lengths(whole)


def searched(folder, kill=None):
    """What became of each setting in a search by four processes, and which were resumed."""
    folder.mkdir()

    def started(first):
        options = json.dumps({"folder": str(folder), "first": first, "kill": kill})
        program = Path(__file__).parent / "programs" / "search_optuna.py"
        return subprocess.Popen([sys.executable, program, options])

    assert started(True).wait(PATIENCE) == 0
    going = [started(False) for _ in range(4)]
    codes = sorted(process.wait(PATIENCE) for process in going)
    assert codes == [0 if kill is None else -9, 0, 0, 0]
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{folder}/study.db")
    ended = {
        trial.params["x"]: (trial.last_step, trial.state)
        for trial in sorted(study.trials, key=lambda trial: trial.last_step or 0)
        if trial.state != TrialState.FAIL and trial.last_step
    }  # fmt: skip
    starts = [json.loads(line) for line in (folder / "starts").read_text().splitlines()]
    return ended, {x for x, done in starts if done}


@pytest.mark.slow
def test_four_processes_on_sqlite_of_which_one_is_killed_end_as_undisturbed(tmp_path):
    """Best first: the first is completed, three more are promoted when enough worse ones came."""
    ended, resumed = searched(tmp_path / "whole")
    steps = [(16, TrialState.COMPLETE)] + [(4, TrialState.PRUNED)] * 3
    assert ended == dict(
        zip((i / 16 for i in range(16)), steps + [(1, TrialState.PRUNED)] * 12, strict=True)
    )
    assert resumed == {1 / 16, 2 / 16, 3 / 16}
    assert searched(tmp_path / "killed", kill=2 / 16) == (ended, resumed)


def test_a_trial_promoted_after_it_was_pruned_goes_on_where_it_ended():
    done = {}

    def objective(trial):
        floor = trial.suggest_float("floor", 0.0, 1.0)
        first = done.get(EarlyCallPruner.resumes(trial), 0) + 1
        for step in range(first, 17):
            done[trial.number] = step
            trial.report(-curve(0.3, floor, step), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return -floor

    study = optuna.create_study(
        direction="maximize", pruner=EarlyCallPruner(max_resource=16, resume=True)
    )
    for i in range(16):
        study.enqueue_trial({"floor": i / 16})
    study.optimize(objective, n_trials=19)
    resumed = {EarlyCallPruner.resumes(trial): trial for trial in study.trials[16:]}
    assert resumed.keys() == {1, 2, 3}
    for number, trial in resumed.items():
        assert trial.params == study.trials[number].params
        assert sorted(trial.intermediate_values) == [1, 2, 3, 4]
    assert not study.get_trials(states=[TrialState.WAITING])


def test_a_killed_trial_that_is_tried_again_goes_on_though_another_came_second():
    study = optuna.create_study(pruner=EarlyCallPruner(max_resource=16, resume=True))
    both = {1: 1.0, 2: 0.9}
    for state, values, resumes in (
        (TrialState.PRUNED, {1: 1.0}, {}),
        *[(TrialState.PRUNED, {1: 2.0}, {})] * 3,
        (TrialState.FAIL, both, {RESUMES: 0}),
        (TrialState.PRUNED, both, {RESUMES: 0}),  # by another process, at its first report
        (TrialState.WAITING, both, {RESUMES: 0}),
    ):
        study.add_trial(
            optuna.create_trial(state=state, intermediate_values=values, user_attrs=resumes)
        )
    trial = study.ask()
    assert EarlyCallPruner.resumes(trial) == 0
    trial.report(0.8, 3)
    assert not trial.should_prune()


def floor_of(number: int) -> float:
    return (number * 0.37 + 0.5) % 1.0


def crossing(number: int, step: int) -> float:
    """Losses that fall to a floor of their own; large floors lead for 9 steps."""
    floor = floor_of(number)
    return floor * (step > 9) - 0.2 * floor * (step <= 9) + math.exp(-0.3 * step)


def crossing_study(pruner, *, trials, sign=1):
    def objective(trial):
        trial.suggest_float("floor", 0.0, 1.0)
        for step in range(1, 28):
            trial.report(sign * crossing(trial.number, step), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return sign * crossing(trial.number, 27)

    class Fixed(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, *rest):
            return floor_of(trial.number)

    study = optuna.create_study(
        pruner=pruner, sampler=Fixed(), study_name="new",
        direction="minimize" if sign > 0 else "maximize",
    )  # fmt: skip
    study.optimize(objective, n_trials=trials)
    return study


@pytest.mark.parametrize("sign", [1, -1])
def test_a_past_study_says_that_the_last_will_be_first(sign, tmp_path):
    """The best early losses end worst: only a study that knows how it ends keeps the others."""
    url = f"sqlite:///{tmp_path}/past.db"
    past = crossing_study(optuna.pruners.NopPruner(), trials=40, sign=sign)
    optuna.copy_study(from_study_name="new", from_storage=past._storage, to_storage=url)
    blind = crossing_study(EarlyCallPruner(), trials=30, sign=sign)
    found = crossing_study(EarlyCallPruner(past=past), trials=30, sign=sign)
    assert sum(lengths(found)) < 2 * sum(lengths(blind))
    assert sign * found.best_value < sign * blind.best_value - 0.1
    for given in (optuna.storages.get_storage(url), url, tmp_path / "past.db"):
        again = crossing_study(EarlyCallPruner(past=given), trials=6, sign=sign)
        assert lengths(again) == lengths(found)[:6]


def test_completed_trials_of_the_study_are_learned_from():
    halving = EarlyCallPruner().halving
    runs = {str(n): {s: crossing(n, s) for s in (1, 2, 3)} for n in range(30)}
    settings = {run: {"floor": floor_of(int(run))} for run in runs}
    done = {str(n): crossing(n, 27) for n in range(15)}
    learned = halving.best(runs, 8, outcomes=done, settings=settings)
    means = [
        np.mean([settings[r]["floor"] for r in best]) for best in (learned, halving.best(runs, 8))
    ]
    assert means[0] < 0.4
    assert means[1] > 0.8


def test_a_past_that_cannot_be_used_is_one_sentence():
    past = crossing_study(optuna.pruners.NopPruner(), trials=12)
    with pytest.raises(InputError, match="past= needs the score outlook"):
        EarlyCallPruner("tse", past=past)
    with pytest.raises(InputError, match="less of 'reported' is better, but more of what this"):
        crossing_study(EarlyCallPruner(past=past), trials=2, sign=-1)
    with pytest.raises(InputError, match="no completed trial that reported"):
        EarlyCallPruner(past=optuna.create_study())
    storage = optuna.storages.InMemoryStorage()
    for name in ("a", "b"):
        optuna.create_study(study_name=name, storage=storage)
    with pytest.raises(InputError, match=r"holds 2 studies \('a', 'b'\)"):
        EarlyCallPruner(past=storage)


def test_several_objectives_are_refused():
    study = optuna.create_study(directions=["minimize", "minimize"], pruner=EarlyCallPruner())
    trial = study.ask()
    with pytest.raises(InputError, match="single objective"):
        study.pruner.prune(study, study._storage.get_trial(trial._trial_id))


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="reduction_factor"):
        EarlyCallPruner(reduction_factor=1)
    with pytest.raises(InputError, match="did you mean 'outlook'"):
        EarlyCallPruner("outlok")
