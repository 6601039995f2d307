"""The monitor on live runs: clean, noisy, diverging, killed and endless ones."""

import json
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from earlycall import InputError, Monitor

DIGITS = sorted((Path(__file__).parents[2] / "examples" / "digits").glob("*_lr*.csv"))


def run(monitor, losses, costs=None):
    for i, loss in enumerate(losses):
        if monitor.update(loss, None if costs is None else costs[i]):
            return i
    return None


def noisy(n, tau, sd, seed, carry=0.0):
    rng = np.random.default_rng(seed)
    noise, last = np.empty(n), 0.0
    for i, e in enumerate(rng.normal(size=n) * sd * np.sqrt(1 - carry**2)):
        noise[i] = last = carry * last + e
    return (2 + 3 * np.exp(-np.arange(n) / tau) + noise).tolist()


def test_five_lines():
    monitor = Monitor(cost="seconds", threshold=0.1, every=1)
    for loss in [2.0**-i for i in range(100)]:
        monitor.update(loss)
        if monitor.should_stop:
            break
    assert "gain elasticity about" in monitor.explain()
    assert monitor.explain().startswith("Stopped after ")


def test_it_latches_and_explains():
    monitor = Monitor("patience:1")
    assert monitor.explain() == "Goes on: no loss has been seen yet."
    assert not monitor.update(1.0)
    assert monitor.explain().startswith("Goes on after 1 observations at step 1: 0 of 1")
    assert monitor.update(2.0)
    assert monitor.update(0.1)
    assert monitor.should_stop
    assert monitor.explain() == (
        "Stopped after 2 observations at step 2: 1 of 1 observations in a row did not improve on "
        "the best loss 1."
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_loss_that_is_not_finite_stops_the_run(bad, before):
    monitor = Monitor()
    assert run(monitor, [3.0 - i / 10 for i in range(before)] + [bad]) == before
    assert "the run has diverged" in monitor.explain()


def test_losses_that_were_not_logged_are_skipped():
    monitor = Monitor("patience:1")
    assert run(monitor, [None, None, 3.0, None, 2.0, None, 2.5]) == 6
    budget = Monitor("budget:10", cost="joules")
    assert [budget.update(None, c) for c in (5.0, 11.0)] == [False, True]


def test_warm_up_waits():
    losses = [1.0] * 30
    assert run(Monitor("patience:1", warm_up=10), losses) == 9
    monitor = Monitor("patience:1", warm_up=10)
    run(monitor, losses[:5])
    assert "the warm-up takes 10 observations" in monitor.explain()


def test_tensors_and_arrays_are_numbers():
    torch = pytest.importorskip("torch")
    monitor = Monitor("patience:1")
    assert not monitor.update(torch.tensor(1.0))
    assert monitor.update(np.float32(2.0))


def test_every_averages():
    """Means of 3: 2, 1, 4; patience:1 stops when the third is complete."""
    assert run(Monitor("patience:1", every=3), [1, 2, 3, 1, 1, 1, 4, 4, 4]) == 8


def test_a_budget_does_not_wait_for_a_mean():
    assert run(Monitor("budget:4", every=100), [1.0] * 50) == 3
    assert run(Monitor("gain:0.1 or budget:4"), [1.0] * 50) == 3


def test_with_every_1_the_monitor_is_the_rule():
    from earlycall import parse_rule

    losses = noisy(100, 10, 0.02, 0)
    rule = parse_rule("gain:0.1")
    at = next(i for i, loss in enumerate(losses) if rule.update(loss, i + 1.0))
    assert run(Monitor("gain:0.1", every=1), losses) == at


def test_few_clean_observations_are_left_as_they_are():
    losses = [0.5 + 0.95**x for x in range(150)]
    at = run(Monitor("gain:0.1", every=1), losses)
    assert at > 32
    assert run(Monitor("gain:0.1"), losses) == at


def test_a_clean_loss_per_epoch_needs_no_32_epochs():
    losses = [0.5 + 0.6**x for x in range(60)]
    assert 12 <= run(Monitor(), losses) == run(Monitor(every=1), losses) < 32


def test_more_is_better_where_the_mode_says_so():
    losses = noisy(300, 30, 0.02, 0)
    at = run(Monitor(), losses)
    assert run(Monitor(mode="max"), [-loss for loss in losses]) == at < 299
    assert run(Monitor(mode="max"), losses) != at


def test_losses_that_are_not_finite_are_left_out_until_there_are_too_many():
    losses = [0.5 + 0.6**x for x in range(60)]
    with_gaps = list(losses)
    with_gaps[3:3] = [float("nan")] * 2
    assert run(Monitor(), with_gaps) == 3
    assert 12 < run(Monitor(diverged_after=3), with_gaps) < 25
    monitor = Monitor(diverged_after=3)
    for loss in (1.0, 0.9, float("nan"), float("inf")):
        assert not monitor.update(loss)
    again = Monitor(diverged_after=1)
    again.load_state_dict(json.loads(json.dumps(monitor.state_dict())))
    assert again.update(float("nan"))
    assert again.reason == "the loss is nan, the last of 3 in a row: the run has diverged"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sd", "carry"), [(0.1, 0.0), (0.3, 0.0), (0.1, 0.9), (0.3, 0.9)])
def test_the_noise_of_steps_does_not_stop_a_run(sd, carry, seed):
    """The true gain elasticity of 2 + 3·exp(−x/5000) falls below 0.1 at step 18,075."""
    losses = noisy(30_000, 5000, sd, seed, carry)
    assert run(Monitor(every=1), losses) < 200  # what would happen without averaging
    monitor = Monitor()
    assert 2000 < run(monitor, losses) < 25_000
    assert len(monitor.state_dict()["auto"]["history"]["losses"]) <= 200


@pytest.mark.parametrize("path", DIGITS, ids=lambda p: p.stem)
def test_real_step_level_logs_are_not_stopped_at_once(path):
    losses = pl.read_csv(path, infer_schema_length=None)["train_loss"].drop_nulls().to_list()
    at = run(Monitor(), losses)
    full = losses[0] - min(losses)
    if at is not None:
        assert at >= 32
        smooth = np.convolve(losses[: at + 1], np.ones(8) / 8, "valid")
        assert losses[0] - smooth.min() > 0.6 * full


@pytest.mark.parametrize("every", ["auto", 1, 7])
def test_decisions_do_not_know_scale_zero_or_unit(every):
    for seed in range(5):
        losses = noisy(3000, 100, 0.1, seed)
        seconds = [0.5 * i for i in range(3000)]
        at = run(Monitor(every=every), losses)
        assert at is not None
        assert at == run(Monitor(every=every), [loss * 100 for loss in losses])
        assert at == run(Monitor(every=every), [loss + 10 for loss in losses])
        doubled = [2 * s for s in seconds]
        clock = run(Monitor(every=every, cost="seconds"), losses, seconds)
        assert clock == run(Monitor(every=every, cost="seconds"), losses, doubled)


@pytest.mark.parametrize("every", ["auto", 1, 5])
@pytest.mark.parametrize("rule", ["gain:0.05", "target:1:2000 or patience:9", "plateau"])
def test_state_goes_through_json_at_every_step(rule, every):
    losses = noisy(600, 60, 0.1, 1)
    whole, parts = Monitor(rule, every=every), Monitor(rule, every=every)
    for loss in losses:
        saved = json.dumps(parts.state_dict())
        parts = Monitor(rule, every=every)
        parts.load_state_dict(json.loads(saved))
        assert parts.update(loss) == whole.update(loss)
        assert parts.explain() == whole.explain()
    assert parts.state_dict() == whole.state_dict()


def test_a_clock_goes_on_where_it_was_saved(monkeypatch, tmp_path):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monitor = Monitor("budget:60", cost="seconds")
    now[0] = 150.0
    assert not monitor.update(1.0)
    monitor.save(tmp_path / "m.json")
    now[0] = 7.0  # another machine, another clock
    monitor = Monitor.load(tmp_path / "m.json")
    now[0] = 12.0
    assert not monitor.update(1.0)
    now[0] = 17.0
    assert monitor.update(1.0)
    assert "at seconds 60" in monitor.explain()


LOOP = """
import os, signal, sys
from pathlib import Path
from earlycall import Monitor
path, kill = Path(sys.argv[1]), int(sys.argv[2])
monitor = Monitor.load(path) if path.exists() else Monitor("gain:0.05", every=1)
losses = [1 / (1 + x) + 0.01 * ((x * 7919) % 13) for x in range(500)]
for step in range(monitor.updates, 500):
    if step == kill:
        os.kill(os.getpid(), signal.SIGKILL)
    if monitor.update(losses[step]):
        print(step)
        break
    monitor.save(path)
"""


def loop(path, kill=-1):
    return subprocess.run(
        [sys.executable, "-c", LOOP, str(path), str(kill)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_loop_that_is_killed_and_resumed_stops_at_the_same_step(tmp_path):
    whole = loop(tmp_path / "whole.json")
    assert int(whole.stdout) > 8
    path = tmp_path / "killed.json"
    for kill in (3, 4, 8):
        assert loop(path, kill).returncode == -signal.SIGKILL
    resumed = loop(path)
    assert resumed.stdout == whole.stdout
    assert json.loads(path.read_text())["updates"] > 8
    assert not list(tmp_path.glob(".*"))


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    monitor = Monitor()
    path = monitor.save(tmp_path / "m.json")
    before = path.read_text()
    monitor.update(1.0)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"m\.json: cannot be written: No space left"):
        monitor.save(path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


@pytest.mark.slow
def test_a_million_updates_hold_memory_constant():
    monitor = Monitor("gain:1e-300")
    losses = [3 / (1 + i / 1000) for i in range(100_000)]
    run(monitor, losses)
    text = len(json.dumps(monitor.state_dict()))
    for _ in range(8):
        run(monitor, losses)
    tracemalloc.start()
    run(monitor, losses)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert monitor.updates == 1_000_000
    assert len(json.dumps(monitor.state_dict())) < text + 5000
    assert len(monitor.state_dict()["auto"]["history"]["losses"]) <= 200
    assert grown < 20_000


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Monitor("gain"), None),
        (lambda: Monitor("gain:0.1", threshold=0.2), "give a rule or a threshold"),
        (lambda: Monitor(threshold=-1), "must be above 0"),
        (lambda: Monitor(3), "rule=3 must be text such as 'gain:0.1'"),
        (lambda: Monitor(cost=3), "cost=3 must be a name, such as 'step'"),
        (lambda: Monitor(every=0), "every=0 must be 'auto' or a whole number"),
        (lambda: Monitor(every="epoch"), "every='epoch' must be"),
        (lambda: Monitor(cost="joules").update(1.0), "needs the joules so far"),
        (lambda: Monitor().update("low"), "are numbers, got 'low'"),
        (lambda: Monitor().update(1.0, float("nan")), "the cost is nan"),
        (lambda: run(Monitor(every=1), [1.0, 1.0], [5.0, 4.0]), "the cost fell from 5 to 4"),
        (lambda: Monitor.load("/nowhere/m.json"), "cannot be read: No such file"),
        (lambda: Monitor.load(__file__), "not a saved monitor"),
        (lambda: Monitor().save("/nowhere/m.json"), "cannot be written: No such file"),
        (lambda: Monitor(every=2).load_state_dict(Monitor().state_dict()), "every='auto'"),
        (lambda: Monitor().load_state_dict({"version": 2}), "of version 2, this earlycall reads"),
        (lambda: Monitor().load_state_dict({"cost": "step", "every": "auto"}), "incomplete"),
    ],
)
def test_what_cannot_be_used_is_said(make, sentence):
    if sentence is None:
        make()
        return
    with pytest.raises(InputError, match=sentence):
        make()


@pytest.mark.parametrize("every", ["auto", 1])
@pytest.mark.parametrize(
    "rule", ["gain:0.1", "loss:0.1", "plateau:4", "target:0:1e9", "patience:9"]
)
@pytest.mark.parametrize("losses", [[1e300, -1e300], [5e-324, 0.0], [1e155, 1.0], [0.0], [-1.0]])
def test_numbers_at_the_edge_do_no_harm(rule, every, losses):
    for costs in (None, [i * 1e-300 for i in range(200)], [1e300 + i for i in range(200)]):
        run(Monitor(rule, every=every), losses * (200 // len(losses)), costs)


def test_a_file_that_somebody_makes_stops_the_run(tmp_path):
    file = tmp_path / "a.csv.stop"
    monitor = Monitor("patience:1000", every=1, stop_file=file)
    assert not monitor.update(2.0)
    file.touch()
    monitor._checked_at = -1e9  # a second later
    assert monitor.update(1.0)
    assert str(file) in monitor.explain()
    resumed = Monitor("patience:1000", every=1)
    resumed.load_state_dict(monitor.state_dict())
    assert resumed.should_stop


def test_a_stop_file_that_was_there_before_stops_the_first_update(tmp_path):
    file = tmp_path / "asked.stop"
    file.touch()
    assert Monitor("patience:1000", every=1, stop_file=file).update(2.0)
