"""Runs of real trackers joined with power logs by the clock, and all that may go wrong."""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from codecarbon import OfflineEmissionsTracker
from codecarbon.output_methods.base_output import OutputMethod
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.tensorboard import SummaryWriter

import earlycall as ec
from earlycall import InputError

START = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def power_log(path, watts, *, start=START, seconds=100, gpus=("0",), zone=UTC, every=1.0):
    """A log of nvidia-smi; watts is a function of the second."""
    lines = ["timestamp, index, power.draw [W]"]
    for i in range(round(seconds / every) + 1):
        at = datetime.fromtimestamp(start + i * every, zone)
        stamp = at.strftime("%Y/%m/%d %H:%M:%S.%f")[:-3]
        lines += [f"{stamp}, {gpu}, {watts(i * every):.2f} W" for gpu in gpus]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def tensorboard(folder, *, start=START + 10, steps=50, every=1.0, rate=1.0):
    with SummaryWriter(folder) as writer:
        for i in range(steps):
            loss = 0.1 + 1 / (1 + rate * i)
            writer.add_scalar("train_loss", loss, i, walltime=start + i * every)
    return folder


def joules(curves, run):
    rows = curves.runs.with_row_index("run_id").filter(pl.col("run") == run)
    return curves.observations.join(rows.select("run_id"), on="run_id")["joules"].to_list()


def fact(joined, run):
    return joined.table.filter(pl.col("run") == run).row(0, named=True)


def test_a_ramp_of_power_is_joined_to_the_second(tmp_path):
    tensorboard(tmp_path / "a")
    power_log(tmp_path / "power.csv", lambda t: 100 + t)
    joined = ec.with_energy(tmp_path, zone="UTC")
    found = joules(joined.curves, "a")
    expected = [100 * i + ((10 + i) ** 2 - 100) / 2 for i in range(50)]
    assert found == pytest.approx(expected, rel=1e-6)
    assert fact(joined, "a") == {
        "group": "all", "run": "a", "source": "nvidia-smi", "covered": 1.0, "estimated": False,
        "seconds": 49.0, "reason": None,
    }  # fmt: skip
    assert joined.notes == ()


def test_the_rules_of_nearness(tmp_path):
    for run in ("a", "b", "c"):
        tensorboard(tmp_path / "runs" / run)
    power_log(tmp_path / "runs" / "power.csv", lambda t: 100)
    power_log(tmp_path / "runs" / "a" / "own.csv", lambda t: 300)
    power_log(tmp_path / "runs" / "b" / "deeper" / "own.csv", lambda t: 500)
    found = ec.with_energy(tmp_path / "runs", zone="UTC").curves
    assert [joules(found, run)[-1] for run in "abc"] == pytest.approx([300 * 49, 500 * 49, 4900])
    given = ec.with_energy(tmp_path / "runs", power=tmp_path / "runs" / "power.csv", zone="UTC")
    assert joules(given.curves, "a")[-1] == pytest.approx(4900 / 3)


def test_runs_at_once_share_and_their_sum_is_what_was_drawn(tmp_path):
    tensorboard(tmp_path / "a", start=START, steps=61)
    tensorboard(tmp_path / "b", start=START + 30, steps=61)
    power_log(tmp_path / "power.csv", lambda t: 100 + t, gpus=("0", "1"))
    joined = ec.with_energy(tmp_path, zone="UTC")
    ends = [joules(joined.curves, run)[-1] for run in "ab"]
    assert sum(ends) == pytest.approx(2 * (100 * 90 + 90**2 / 2))
    assert joules(joined.curves, "a")[30] == pytest.approx(2 * (3000 + 450))
    assert "up to 2 runs ran at the same time" in joined.notes[0]


def test_the_pause_before_a_restart_is_not_the_runs(tmp_path, monkeypatch):
    for i, start in enumerate((START, START + 60)):
        monkeypatch.setattr("time.time", lambda start=start: start)  # the file's name tells it
        with SummaryWriter(tmp_path / "a", filename_suffix=f".{i}") as writer:
            for k in range(11):
                writer.add_scalar("loss", 1.0, 11 * i + k, walltime=start + k)
    power_log(tmp_path / "power.csv", lambda t: 100 if t < 50 else 200)
    found = joules(ec.with_energy(tmp_path, zone="UTC").curves, "a")
    assert found[10] == found[11] == pytest.approx(1000)
    assert found[-1] == pytest.approx(3000)


def test_a_log_without_a_clock_of_its_own(tmp_path):
    rows = {"step": [1, 2, 3, 4], "loss": [4.0, 3.0, 2.0, 1.0]}
    table = pl.DataFrame(rows | {"seconds": [10.0, 20.0, 30.0, 40.0]})
    (tmp_path / "a").mkdir()
    table.write_csv(tmp_path / "a" / "log.csv")
    power_log(tmp_path / "a" / "power.csv", lambda t: 100)
    joined = ec.with_energy(tmp_path, zone="UTC")
    assert joules(joined.curves, "a/log.csv") == pytest.approx([1000, 2000, 3000, 4000])
    assert "0 s after the power log is assumed" in joined.notes[0]
    table.drop("seconds").write_csv(tmp_path / "a" / "log.csv")
    joined = ec.with_energy(tmp_path, zone="UTC")
    assert joules(joined.curves, "a/log.csv") == pytest.approx([2500, 5000, 7500, 10000])
    assert "its steps are spread evenly" in joined.notes[0]
    (tmp_path / "a" / "power.csv").rename(tmp_path / "power.csv")
    table.write_csv(tmp_path / "a" / "log.csv")
    table.write_csv(tmp_path / "b.csv")
    joined = ec.with_energy(tmp_path, zone="UTC")
    assert "give --power-offset" in fact(joined, "b.csv")["reason"]
    with pytest.raises(InputError, match="no energy is known: its log does not say when"):
        _ = joined.measured
    joined = ec.with_energy(tmp_path, zone="UTC", power_offset=5)
    assert joules(joined.curves, "b.csv")[-1] == pytest.approx(2000)  # two at once


def test_stamps_in_a_free_form_log_are_a_clock(tmp_path):
    rows = {"step": [1, 2], "loss": [2.0, 1.0], "timestamp": [START + 10, START + 30]}
    pl.DataFrame(rows).write_csv(tmp_path / "a.csv")
    pl.DataFrame(rows).write_csv(tmp_path / "b.csv")
    power_log(tmp_path / "power.csv", lambda t: 100)
    found = ec.with_energy(tmp_path, zone="UTC").curves
    assert joules(found, "a.csv") == pytest.approx([0, 1000])


def test_another_time_zone_is_named_as_what_may_be_wrong(tmp_path):
    tensorboard(tmp_path / "a")
    power_log(tmp_path / "power.csv", lambda t: 100, zone=ZoneInfo("Asia/Kolkata"))
    reason = fact(ec.with_energy(tmp_path, zone="UTC"), "a")["reason"]
    assert "its power log covers 2026-03-01 17:30:00 to 2026-03-01 17:31:40 (UTC)" in reason
    assert "(--zone)" in reason
    found = ec.with_energy(tmp_path, zone="Asia/Kolkata").curves
    assert joules(found, "a")[-1] == pytest.approx(4900)


def test_a_little_not_covered_is_assumed_with_a_word_much_is_refused(tmp_path):
    tensorboard(tmp_path / "a", start=START + 60)
    power_log(tmp_path / "power.csv", lambda t: 100)
    joined = ec.with_energy(tmp_path, zone="UTC")
    assert joules(joined.curves, "a")[-1] == pytest.approx(4900)
    assert "power was measured in 82% of its time" in joined.notes[0]
    tensorboard(tmp_path / "b", start=START + 80)
    reason = fact(ec.with_energy(tmp_path, zone="UTC"), "b")["reason"]
    assert reason == "power was measured in only 41% of its time"


def test_a_log_that_was_continued_in_a_second_file_counts_once(tmp_path):
    tensorboard(tmp_path / "a")
    power_log(tmp_path / "power-1.csv", lambda t: 100, seconds=30)
    power_log(tmp_path / "power-2.csv", lambda t: 100, start=START + 30)
    found = ec.with_energy(tmp_path, zone="UTC")
    assert joules(found.curves, "a")[-1] == pytest.approx(4900)
    assert found.notes == ()


def test_a_gpu_logged_twice_counts_once(tmp_path):
    tensorboard(tmp_path / "a")
    for name in ("one.csv", "two.csv"):
        path = power_log(tmp_path / name, lambda t: 100, gpus=("GPU-1f",))
        path.write_text(path.read_text().replace("index", "uuid"))
    joined = ec.with_energy(tmp_path, zone="UTC")
    assert joules(joined.curves, "a")[-1] == pytest.approx(4900)
    assert "its GPUs are in another log" in joined.notes[0]


def test_joules_that_a_run_logged_itself_stay(tmp_path):
    rows = {"step": [1, 2], "loss": [2.0, 1.0], "joules": [5.0, 9.0], "seconds": [1.0, 2.0]}
    pl.DataFrame(rows).write_csv(tmp_path / "a.csv")
    power_log(tmp_path / "power.csv", lambda t: 100)
    joined = ec.with_energy(tmp_path, price=3.6)
    assert joined.curves.observations["joules"].to_list() == [5, 9]
    assert joined.curves.observations["usd"].to_list() == pytest.approx([5e-6, 9e-6])
    assert fact(joined, "a.csv")["source"] == "recorded"


def test_runs_whose_energy_is_unknown_are_left_out_and_named(tmp_path):
    tensorboard(tmp_path / "x" / "a")
    tensorboard(tmp_path / "y" / "b")
    power_log(tmp_path / "x" / "power.csv", lambda t: 100)
    joined = ec.with_energy([tmp_path / "x", tmp_path / "y"], zone="UTC")
    reason = "no power log was found beside it; name one by --power"
    assert fact(joined, "b")["reason"] == reason
    assert joined.measured.runs["run"].to_list() == ["a"]
    assert ec.elasticity(joined.measured, cost="joules").table.height == 1


def test_two_sets_with_runs_of_the_same_name_keep_their_facts(tmp_path):
    for name, watts in (("x", 100), ("y", 200)):
        tensorboard(tmp_path / name / "a")
        power_log(tmp_path / name / "power.csv", lambda t, w=watts: w)
    joined = ec.with_energy([tmp_path / "y", tmp_path / "x"], zone="UTC")
    assert joined.table["run"].to_list() == ["x/a", "y/a"]
    assert joules(joined.curves, "x/a")[-1] == pytest.approx(4900)
    assert joules(joined.curves, "y/a")[-1] == pytest.approx(9800)


def test_parallel_runs_that_codecarbon_counted_get_each_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside = {}  # seconds that the tracker counted before the run's first step and after its last
    for run, lasts in (("a", 1.2), ("b", 2.4)):
        tracker = OfflineEmissionsTracker(
            country_iso_code="FRA", measure_power_secs=0.2, log_level="critical",
            output_methods=[OutputMethod.CSV], output_dir=str(tmp_path), allow_multiple_runs=True,
        )  # fmt: skip
        before = time.time()
        tracker.start()
        begun = time.time()
        with SummaryWriter(tmp_path / run) as writer:
            while (now := time.time()) < begun + lasts:
                writer.add_scalar("loss", 1.0, round((now - begun) * 10))
                time.sleep(0.1)
                last = now
        tracker.stop()
        beside[run] = time.time() - before - (last - begun)
    table = pl.read_csv(tmp_path / "emissions.csv")
    joined = ec.with_energy(tmp_path)
    assert joined.table["source"].to_list() == ["CodeCarbon", "CodeCarbon"]
    for run, kwh, seconds in zip("ab", table["energy_consumed"], table["duration"], strict=True):
        # Its times are cut to seconds: at most half a second's power may be out of place.
        out = 3.6e6 * kwh / seconds * (0.5 + beside[run])
        assert joules(joined.curves, run)[-1] == pytest.approx(3.6e6 * kwh, abs=out)
    assert joined.carbon == pytest.approx(56.039, rel=1e-3)


def test_a_price_that_is_none_is_refused(tmp_path):
    tensorboard(tmp_path / "a")
    with pytest.raises(InputError, match="price of a kWh of -1 cannot be used"):
        ec.with_energy(tmp_path, price=-1)
    with pytest.raises(InputError, match="no such file or folder"):
        ec.with_energy(tmp_path, power=tmp_path / "gone.csv")
    with pytest.raises(InputError, match="time zone 'Mars' is unknown"):
        ec.with_energy(tmp_path, zone="Mars")
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not a power log; recognised are those of: nvidia-smi"):
        ec.with_energy(tmp_path / "a", power=tmp_path / "no.csv")


@settings(max_examples=15, deadline=None)
@given(
    spans=st.lists(st.tuples(st.floats(0, 60), st.floats(5, 40)), min_size=1, max_size=5),
    watts=st.floats(1, 1000),
)
def test_constant_power_is_power_times_time_shared_or_not(tmp_path_factory, spans, watts):
    folder = tmp_path_factory.mktemp("spans")
    watts = round(watts, 2)
    for i, (start, lasts) in enumerate(spans):
        stamps = np.round(START + start + np.linspace(0, lasts, 5), 3)
        rows = {"step": range(5), "loss": [1.0] * 5, "timestamp": stamps}
        pl.DataFrame(rows).write_csv(folder / f"{i}.csv")
    power_log(folder / "power.csv", lambda t: watts)
    found = ec.with_energy(folder, zone="UTC").curves
    used = sum(joules(found, f"{i}.csv")[-1] for i in range(len(spans)))
    edges = np.unique(np.round([t for a, n in spans for t in (a, a + n)], 3))
    middle = (edges[1:] + edges[:-1]) / 2
    busy = np.any([(a <= middle) & (middle <= a + n) for a, n in spans], axis=0)
    assert used == pytest.approx(watts * (np.diff(edges) * busy).sum(), rel=1e-4, abs=0.01 * watts)
