"""Power logs in the formats of the tools that write them, with all that goes wrong in them."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from codecarbon import OfflineEmissionsTracker
from codecarbon.output_methods.base_output import OutputMethod
from hypothesis import given, settings
from hypothesis import strategies as st

from earlycall import InputError
from earlycall.readers.power.clock import seconds_since_1970, zone_of
from earlycall.readers.power.logs import is_power_log, load, power_logs
from earlycall.readers.power.trace import Trace, trace_of_windows

# Rows as nvidia-smi prints them on a machine with two H100.
H100 = """\
timestamp, index, uuid, name, utilization.gpu [%], temperature.gpu, power.draw [W]
2026/09/12 06:17:26.305, 2, GPU-107f0d10-2c02-7c73-7b9f-680acd29b484, H100, 100 %, 35, 150.00 W
2026/09/12 06:17:26.305, 3, GPU-8c958eaa-b244-64cb-6283-d37792aac963, H100, 100 %, 29, 250.00 W
2026/09/12 06:17:28.305, 2, GPU-107f0d10-2c02-7c73-7b9f-680acd29b484, H100, 100 %, 35, 170.00 W
2026/09/12 06:17:28.305, 3, GPU-8c958eaa-b244-64cb-6283-d37792aac963, H100, 100 %, 29, 250.00 W
"""
START = datetime(2026, 9, 12, 6, 17, 26, 305000, tzinfo=UTC).timestamp()


def smi(path, rows, header="timestamp, power.draw [W]"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def one(path, zone=UTC):
    (log,) = load(path, zone)
    return log


def total(log):
    return float(log.joules(log.end) - log.joules(log.start))


def stamp(second, start=datetime(2026, 9, 12)):
    return (start + timedelta(seconds=second)).strftime("%Y/%m/%d %H:%M:%S.%f")[:-3]


def test_units_in_header_and_cells_two_gpus(tmp_path):
    (tmp_path / "power.csv").write_text(H100)
    log = one(tmp_path / "power.csv")
    assert (log.kind, log.shared, len(log.devices)) == ("nvidia-smi", True, 2)
    assert (log.start, log.end) == (START, START + 2)
    assert total(log) == pytest.approx(2 * 160 + 2 * 250)
    assert log.joules([START + 1]) - log.joules([START]) == pytest.approx(155 + 250)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(" W\n", "\n"),  # nounits
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + text.splitlines()[0] + "\n",  # begun anew, nothing yet
        lambda text: text.replace("power.draw [W]", "power.draw.average [W]"),
        lambda text: text.replace("06:17", "06:17").replace("uuid", "gpu_uuid"),
        lambda text: "".join(text.splitlines(keepends=True)[1:]),  # noheader
        lambda text: text + "Unable to determine the device handle: GPU is lost.\n",
        lambda text: text.replace("150.00 W", "0.15 kW"),
    ],
)
def test_other_ways_to_write_the_same(tmp_path, change):
    text = change(H100)
    if not text.startswith(("timestamp", "\ufeff")):
        text = text.replace(" 100 %,", "")
    (tmp_path / "power.csv").write_bytes(text.encode())
    assert total(one(tmp_path / "power.csv")) == pytest.approx(820)


def test_utf_16_as_powershell_redirects(tmp_path):
    (tmp_path / "power.csv").write_bytes(H100.encode("utf-16"))
    assert total(one(tmp_path / "power.csv")) == pytest.approx(820)


@pytest.mark.parametrize("said", ["[N/A]", "[Not Supported]", "[Unknown Error]", "N/A", "ERR!"])
def test_cells_that_tell_nothing_are_left_out(tmp_path, said):
    rows = [f"{stamp(i)}, {said if i == 3 else '100.00 W'}" for i in range(10)]
    assert total(one(smi(tmp_path / "p.csv", rows))) == pytest.approx(900)
    rows = [f"{stamp(i // 2)}, {i % 2}, {said if i % 2 else '100.00 W'}" for i in range(10)]
    log = one(smi(tmp_path / "q.csv", rows, "timestamp, index, power.draw [W]"))
    assert total(log) == pytest.approx(400)
    assert f"GPU 1 reports no power ({said}); it is left out" in log.notes[0]
    with pytest.raises(InputError, match="no power in this nvidia-smi log: "):
        load(smi(tmp_path / "r.csv", [f"{stamp(0)}, {said}"]), UTC)


def test_a_half_written_last_line_is_left(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(f"timestamp, power.draw [W]\n{stamp(0)}, 100.00 W\n{stamp(1)}, 100.00 W\n")
    whole = total(one(path))
    for cut in (f"{stamp(2)}, 1", f"{stamp(2)}, 123.45 W", "2026/0"):
        path.write_text(
            f"timestamp, power.draw [W]\n{stamp(0)}, 100.00 W\n{stamp(1)}, 100.00 W\n{cut}"
        )
        assert total(one(path)) == whole == 100


def test_a_long_gap_is_assumed_with_a_word_a_short_one_without(tmp_path):
    times = [0, 1, 2, 5, 6, 7, 107, 108]
    log = one(smi(tmp_path / "p.csv", [f"{stamp(t)}, 100.00 W" for t in times]))
    assert total(log) == pytest.approx(10800)
    (note,) = log.notes
    assert "nothing for 100 s" in note
    assert "power from 100 to 100 W is assumed there" in note
    assert log.covered(log.start, log.end) == pytest.approx(8 / 108)


def test_the_clock_set_back_loses_no_energy(tmp_path):
    times = [0, 1, 2, 3, 0.5, 1.5, 2.5]
    log = one(smi(tmp_path / "p.csv", [f"{stamp(t)}, 100.00 W" for t in times]))
    assert total(log) == pytest.approx(500)  # three seconds, then two
    assert "the clock was set back by 2.5 s" in log.notes[0]


@pytest.mark.parametrize(
    ("day", "wall"),
    [("2026-10-25", "end"), ("2026-03-29", "start"), ("2026-07-01", "none")],
)
def test_summer_time_changes_nothing(tmp_path, day, wall):
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime.fromisoformat(f"{day}T00:10:00+00:00")
    times = [start + timedelta(minutes=m) for m in range(0, 120, 5)]
    rows = [f"{t.astimezone(berlin):%Y/%m/%d %H:%M:%S}.000, 100.00 W" for t in times]
    log = one(smi(tmp_path / "p.csv", rows), zone_of("Europe/Berlin"))
    assert log.notes == []
    assert log.start == start.timestamp()
    assert total(log) == pytest.approx(100 * 115 * 60)


def test_several_gpus_without_a_column_that_tells_them_apart(tmp_path):
    rows = [f"{stamp(t + g * 0.004)}, {100 * (g + 1)}.00 W" for t in range(5) for g in range(3)]
    log = one(smi(tmp_path / "p.csv", rows))
    assert len(log.devices) == 3
    assert total(log) == pytest.approx(4 * 600, rel=0.01)
    fast = [f"{stamp(t * 0.01)}, 100.00 W" for t in range(50)]
    assert len(one(smi(tmp_path / "fast.csv", fast)).devices) == 1


def test_a_log_without_times_says_what_to_log(tmp_path):
    with pytest.raises(InputError, match=r"log --query-gpu=timestamp,power\.draw"):
        load(smi(tmp_path / "p.csv", ["100.00 W"], "power.draw [W]"))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (H100, True),
        ("step,loss,power.draw [W]\n1,2,3\n", False),
        ("step,train_loss,power\n1,2.0,3\n", False),
        ("start_time,window_name,elapsed_time,gpu0_energy\n", True),
        ('{"loss": 1, "power": "3 W"}\n', False),
        ("", False),
    ],
)
def test_what_a_power_log_is_told_by(tmp_path, text, is_one):
    assert is_power_log(tmp_path / "x.csv", text.encode()) == is_one


def test_links_that_lead_out_are_not_followed(tmp_path):
    (tmp_path / "out.csv").write_text(H100)
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "link.csv").symlink_to(tmp_path / "out.csv")
    (inside / "power.csv").write_text(H100)
    assert [path.name for path in power_logs(inside)] == ["power.csv"]


# Written by the lines of zeus.monitor.energy.ZeusMonitor (zeus 0.16) that write its log.
def zeus_log(path, windows, gpus=(0, 1)):
    names = ",".join(f"gpu{i}_energy" for i in gpus)
    with path.open("w") as file:
        file.write(f"start_time,window_name,elapsed_time,{names}\n")
        for start, key, elapsed, energy in windows:
            file.write(f"{start},{key},{elapsed}," + ",".join(str(e) for e in energy) + "\n")
    return path


def test_zeus_windows_within_windows_count_once(tmp_path):
    windows = [
        (1000.25, "epoch", 10.5, (1000.0, 500.0)),
        (1010.75, "epoch", 9.5, (900.0, 450.0)),
        (1000.25, "training", 20.0, (1900.0, 950.0)),
    ]
    log = one(zeus_log(tmp_path / "zeus.csv", windows), None)
    assert (log.kind, log.shared, len(log.devices)) == ("Zeus", False, 2)
    assert total(log) == pytest.approx(2850)
    assert np.diff(log.joules([1000.25, 1010.75]))[0] == pytest.approx(1500)
    assert log.notes == []


def test_time_between_zeus_windows_is_named(tmp_path):
    windows = [(0.0, "a", 10.0, (1000.0,)), (20.0, "b", 10.0, (2000.0,))]
    log = one(zeus_log(tmp_path / "zeus.csv", windows, (0,)))
    assert "10 s lie between windows" in log.notes[0]
    assert total(log) == pytest.approx(1000 + 1500 + 2000)
    assert log.covered(0, 30) == pytest.approx(2 / 3)


def test_a_zeus_log_that_is_not_whole(tmp_path):
    path = zeus_log(tmp_path / "zeus.csv", [(0.0, "a", 10.0, (1000.0,))], (0,))
    path.write_text(path.read_text() + "20.0,b,3")
    assert total(one(path)) == 1000
    path.write_text(path.read_text() + "\n")
    with pytest.raises(InputError, match=r"zeus.csv, line 3: not a whole row"):
        load(path)


def test_codecarbon_really_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = time.time()
    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", measure_power_secs=0.2, log_level="critical",
        output_methods=[OutputMethod.CSV], output_dir=str(tmp_path), allow_multiple_runs=True,
    )  # fmt: skip
    tracker.start()
    time.sleep(0.8)
    tracker.flush()
    time.sleep(0.6)
    tracker.stop()
    after = time.time()
    path = tmp_path / "emissions.csv"
    table = pl.read_csv(path)
    assert table.height == 2
    log = one(path, None)
    last = table.row(1, named=True)
    assert total(log) == pytest.approx(last["energy_consumed"] * 3.6e6)
    assert log.end - log.start == pytest.approx(last["duration"])
    assert before - 0.6 < log.start < log.end < after + 0.6
    assert log.carbon == pytest.approx(1e3 * last["emissions"] / last["energy_consumed"])
    assert log.estimated
    assert not log.shared


def test_codecarbon_tasks_really_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", measure_power_secs=0.2, log_level="critical",
        output_methods=[OutputMethod.CSV], output_dir=str(tmp_path), allow_multiple_runs=True,
    )  # fmt: skip
    for task in ("one", "two"):
        tracker.start_task(task)
        time.sleep(0.4)
        tracker.stop_task()
    tracker.stop()
    path = next(tmp_path.glob("emissions_*.csv"))
    table = pl.read_csv(path)
    assert table["task_name"].to_list() == ["one", "two"]
    log = one(path, None)
    measured = table["energy_consumed"].sum() * 3.6e6
    assert total(log) >= measured * 0.99
    share = table["duration"].sum() / (log.end - log.start)
    assert log.covered(log.start, log.end) == pytest.approx(share, rel=0.01)


@settings(max_examples=60, deadline=None)
@given(
    watts=st.floats(0, 1e4),
    gaps=st.lists(st.floats(0.001, 1e3), min_size=1, max_size=50),
    cut=st.floats(0, 1),
)
def test_constant_power_gives_power_times_time_however_it_is_cut(watts, gaps, cut):
    time = np.concatenate([[1.7e9], 1.7e9 + np.cumsum(gaps)])
    trace = Trace.of_samples(time, np.full(len(time), watts))
    middle = time[0] + cut * (time[-1] - time[0])
    whole = trace.joules(time[-1])
    assert whole == pytest.approx(watts * (time[-1] - time[0]), rel=1e-9, abs=1e-9)
    assert trace.joules(middle) == pytest.approx(watts * (middle - time[0]), rel=1e-6, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    watts=st.lists(st.floats(0, 1e4), min_size=2, max_size=30),
    cuts=st.lists(st.floats(0, 1), max_size=10),
)
def test_splitting_does_not_change_the_sum(watts, cuts):
    trace = Trace.of_samples(np.arange(len(watts)) * 2.0, watts)
    at = np.sort([0.0, *(trace.end * np.array(cuts)), trace.end])
    parts = np.diff(trace.joules(at))
    assert (parts >= -1e-9).all()
    assert parts.sum() == pytest.approx(np.trapezoid(watts, dx=2.0), rel=1e-9, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations([0, 1, 2, 3]), data=st.data())
def test_the_order_of_gpus_is_irrelevant(tmp_path_factory, order, data):
    watts = data.draw(st.lists(st.integers(0, 700), min_size=8, max_size=8))
    path = tmp_path_factory.mktemp("order") / "p.csv"
    header = "timestamp, index, power.draw [W]"

    def energy(gpus):
        rows = [f"{stamp(t)}, {g}, {watts[2 * g + t % 2]}.00 W" for t in range(4) for g in gpus]
        return total(one(smi(path, rows, header)))

    assert energy(order) == pytest.approx(energy([0, 1, 2, 3]))


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 1e4)), min_size=1, max_size=12),
    rest=st.floats(0, 1e4),
)
def test_an_outer_window_holds_its_energy_and_its_inner_ones_theirs(parts, rest):
    start = np.cumsum([0.0, *[2 * length for length, _ in parts]])[:-1]
    end = start + [length for length, _ in parts]
    energy = np.array([joules for _, joules in parts])
    whole = energy.sum() + rest
    trace = trace_of_windows([*start, 0.0], [*end, end[-1] + 1], [*energy, whole])
    assert trace.joules(end[-1] + 1) == pytest.approx(whole)
    assert trace.joules(end) - trace.joules(start) == pytest.approx(energy, rel=1e-6, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(hours=st.integers(0, 24 * 365), step=st.sampled_from([7, 60, 900]))
def test_a_clock_on_the_wall_is_followed_all_year(hours, step):
    zone = ZoneInfo("America/New_York")
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    times = [start + timedelta(seconds=step * i) for i in range(40 if step < 900 else 16)]
    text = pl.Series([t.astimezone(zone).strftime("%Y/%m/%d %H:%M:%S.000") for t in times])
    found = seconds_since_1970(text, zone)
    expected = np.array([t.timestamp() for t in times])
    # A log that begins within the hour that comes twice cannot be told from one before it.
    assert (np.diff(found) == step).all()
    assert np.abs(found - expected).max() in (0, 3600)


@settings(max_examples=200, deadline=None)
@given(
    cut=st.integers(0, len(H100)),
    noise=st.lists(st.tuples(st.integers(0, len(H100) - 1), st.integers(0, 255)), max_size=5),
)
def test_damaged_logs_end_in_power_or_one_sentence(tmp_path_factory, cut, noise):
    content = bytearray(H100.encode())
    for place, byte in noise:
        content[place] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_bytes(bytes(content[:cut]))
    try:
        (log,) = load(path, UTC)
        assert np.isfinite(total(log))
    except InputError as error:
        assert "\n" not in str(error)
