"""Reading logs: TensorBoard against tbparse, each reader in MB/s, and following a log of 1 GB.

Written to ``docs/reading.md``. Times are of one process on the machine that last ran it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from earlycall import Follower, read
from earlycall.readers import workers

PAGE = Path(__file__).parent.parent / "docs" / "reading.md"
RUNS, SCALARS = 100, 10_000
LARGE = int(os.environ.get("EARLYCALL_LARGE", "200000000"))  # bytes; 1 GB takes minutes
SMALL_RUNS = int(os.environ.get("EARLYCALL_MANY", "10000"))  # in one folder
NEW = 10_000  # rows that are appended at once
lines: list[str] = []


def seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def size(folder: Path) -> float:
    """Megabytes."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def made(first: int, count: int) -> Iterator[bytes]:
    """Events with a scalar each, as they are in a record."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    for step in range(first, first + count):
        value = Summary.Value(tag="train_loss", simple_value=2 / (1 + step))
        event = Event(wall_time=1e9 + step, step=step, summary=Summary(value=[value]))
        yield event.SerializeToString()


def events(path: Path, first: int, count: int) -> None:
    """Scalars of one tag, as TensorBoard's own record writer frames them."""
    path.write_bytes(event_rows(first, count))


def test_tensorboard_against_tbparse(tmp_path):
    tbparse = pytest.importorskip("tbparse")
    first = tmp_path / "run000" / "events.out.tfevents.1.a.1.0"
    first.parent.mkdir()
    events(first, 0, SCALARS)
    for run in range(1, RUNS):
        there = tmp_path / f"run{run:03d}" / first.name
        there.parent.mkdir()
        there.write_bytes(first.read_bytes())
    found: dict[str, pl.DataFrame] = {}
    ours = seconds(lambda: found.update(ours=read(tmp_path).frame()))
    theirs = seconds(
        lambda: found.update(
            theirs=tbparse.SummaryReader(str(tmp_path), extra_columns={"dir_name"}).scalars
        )
    )
    wanted = pl.from_pandas(found["theirs"]).sort("dir_name", "step")
    same = np.array_equal(found["ours"]["train_loss"].to_numpy(), wanted["value"].to_numpy())
    assert same
    lines.append(
        f"## TensorBoard against tbparse\n\n{RUNS} runs of {SCALARS:,} scalars: earlycall "
        f"{ours:.2f} s, tbparse {theirs:.2f} s, {theirs / ours:.1f} times as long; "
        "the same values to the last bit.\n"
    )


def json_rows(first: int, count: int) -> bytes:
    return b"".join(
        b'{"step": %d, "train": {"loss": %.6f, "accuracy": %.6f}, "lr": 0.1}\n'
        % (i, 2 / (1 + i), 1 - 1 / (1 + i))
        for i in range(first, first + count)
    )


def csv_rows(first: int, count: int) -> bytes:
    return b"".join(
        b"%d,%.6f,%.6f,0.1\n" % (i, 2 / (1 + i), 1 - 1 / (1 + i))
        for i in range(first, first + count)
    )


def losses(n: int) -> list[float]:
    return [2 / (1 + i) for i in range(n)]


def json_lines(folder: Path, n: int) -> None:
    (folder / "a.jsonl").write_bytes(json_rows(0, n))


def csv(folder: Path, n: int) -> None:
    (folder / "a.csv").write_bytes(b"step,train_loss,accuracy,lr\n" + csv_rows(0, n))


def csv_of_runs(folder: Path, n: int) -> None:
    rows = (f"run{i // 1000},{i % 1000},{loss:.6f}\n" for i, loss in enumerate(losses(n)))
    (folder / "a.csv").write_text("run,step,train_loss\n" + "".join(rows))


def curve_set(folder: Path, n: int) -> None:
    csv_of_runs(folder, n)
    read(folder).write(folder)
    (folder / "a.csv").unlink()


def tensorboard(folder: Path, n: int) -> None:
    events(folder / "events.out.tfevents.1.a.1.0", 0, n)


def lightning(folder: Path, n: int) -> None:
    rows = (f"{i // 100},{i},{loss},\n" for i, loss in enumerate(losses(n)))
    (folder / "metrics.csv").write_text("epoch,step,train_loss,val_loss\n" + "".join(rows))
    (folder / "hparams.yaml").write_text("lr: 0.1\n")


def timm(folder: Path, n: int) -> None:
    rows = (f"{i},{loss},{loss},50.0,0.1\n" for i, loss in enumerate(losses(n)))
    head = "epoch,train_loss,eval_loss,eval_top1,lr\n"
    (folder / "summary.csv").write_text(head + "".join(rows))
    (folder / "args.yaml").write_text("lr: 0.1\n")


def ultralytics(folder: Path, n: int) -> None:
    rows = (f"{i + 1},{i}.5,{loss:.5f},{loss:.5f}\n" for i, loss in enumerate(losses(n)))
    (folder / "results.csv").write_text("epoch,time,train/loss,val/loss\n" + "".join(rows))
    (folder / "args.yaml").write_text("lr0: 0.1\n")


def keras_history(folder: Path, n: int) -> None:
    (folder / "history.json").write_text(json.dumps({"loss": losses(n), "val_loss": losses(n)}))


def trainer_state(folder: Path, n: int) -> None:
    rows = [
        {"epoch": i / n, "grad_norm": 1.0, "learning_rate": 0.1, "loss": loss, "step": i}
        for i, loss in enumerate(losses(n))
    ]
    state = {"epoch": 1.0, "global_step": n, "max_steps": n, "log_history": rows}
    (folder / "trainer_state.json").write_text(json.dumps(state, indent=2))


def ray_tune(folder: Path, n: int) -> None:
    (folder / "params.json").write_text('{"lr": 0.1}')
    rows = (
        {"loss": loss, "timestamp": 10**9 + i, "training_iteration": i + 1, "done": False,
         "trial_id": "a_0", "time_this_iter_s": 1.0, "time_total_s": i + 1.0, "pid": 1,
         "hostname": "a", "node_ip": "127.0.0.1", "config": {"lr": 0.1}}
        for i, loss in enumerate(losses(n))
    )  # fmt: skip
    (folder / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))


def dvclive(folder: Path, n: int) -> None:
    there = folder / "plots" / "metrics" / "train"
    there.mkdir(parents=True)
    rows = (f"{i}\t{loss}\n" for i, loss in enumerate(losses(n)))
    (there / "loss.tsv").write_text("step\tloss\n" + "".join(rows))


def wandb_export(folder: Path, n: int) -> None:
    rows = (f'"{i}","{x}","{x}","{x}"\n' for i, x in enumerate(losses(n)))
    head = '"Step","a - loss","a - loss__MIN","a - loss__MAX"\n'
    (folder / "wandb_export.csv").write_text(head + "".join(rows))


def wandb(folder: Path, n: int) -> None:
    tool = pytest.importorskip("wandb")
    settings = tool.Settings(mode="offline", silent=True, console="off")
    run = tool.init(project="a", name="a", dir=folder, settings=settings)
    for loss in losses(n):
        run.log({"train/loss": loss})
    run.finish()


def mlflow(folder: Path, n: int) -> None:
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    run = client.create_run(client.create_experiment("a"), start_time=10**12).info.run_id
    rows = [Metric("train_loss", x, 10**12 + i, i) for i, x in enumerate(losses(n))]
    for first in range(0, n, 1000):
        client.log_batch(run, rows[first : first + 1000])


def mlflow_files(folder: Path, n: int) -> None:
    run = folder / "mlruns" / "1" / "0123456789abcdef0123456789abcdef"
    (run / "metrics").mkdir(parents=True)
    (run.parent / "meta.yaml").write_text("experiment_id: '1'\nname: a\n")
    (run / "meta.yaml").write_text(
        f"run_id: {run.name}\nrun_name: a\nstart_time: 1000\nlifecycle_stage: active\n"
    )
    rows = (f"{1000 + i} {loss} {i}\n" for i, loss in enumerate(losses(n)))
    (run / "metrics" / "train_loss").write_text("".join(rows))


def trackio(folder: Path, n: int) -> None:
    pytest.importorskip("trackio")
    program = (
        "import sys; from trackio.sqlite_storage import SQLiteStorage as S; n = int(sys.argv[1]);"
        "S.bulk_log('a', 'a', [{'train_loss': 2 / (1 + i)} for i in range(n)], list(range(n)))"
    )
    environment = os.environ | {"TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", program, str(n)], env=environment, check=True)


def optuna(folder: Path, n: int) -> None:
    """A study of trials that report a thousand values each."""
    tool = pytest.importorskip("optuna")
    tool.logging.set_verbosity(tool.logging.ERROR)
    storage = f"sqlite:///{folder}/study.db"
    study = tool.create_study(storage=storage, study_name="a")
    trials = [
        tool.trial.create_trial(value=0.0, intermediate_values=dict(enumerate(losses(1000))))
        for _ in range(n // 1000)
    ]
    study.add_trials(trials)


def optuna_journal(folder: Path, n: int) -> None:
    worker = '"worker_id":"a"'
    rows = [f'{{"op_code":0,{worker},"study_name":"a","directions":[1]}}']
    for trial in range(n // 1000):
        rows.append(f'{{"op_code":4,{worker},"study_id":0,"datetime_start":"2026-01-01T00:00:00"}}')
        rows += [
            f'{{"op_code":7,{worker},"trial_id":{trial},"step":{i},"intermediate_value":{loss}}}'
            for i, loss in enumerate(losses(1000))
        ]
    (folder / "journal.log").write_text("\n".join(rows) + "\n")


def text_by_a_pattern(folder: Path, n: int) -> None:
    rows = (f"[INFO] step {i} of {n}: loss {loss:.6f}\n" for i, loss in enumerate(losses(n)))
    (folder / "train.log").write_text("".join(rows))


PATTERN = r"step (?P<step>\d+) .*loss (?P<train_loss>\S+)"
MANY, SOME = 200_000, 20_000  # observations; some tools write slowly
FORMATS: list[tuple[Callable[[Path, int], None], int]] = [
    (tensorboard, MANY), (json_lines, MANY), (csv, MANY), (csv_of_runs, MANY), (curve_set, MANY),
    (lightning, MANY), (timm, MANY), (ultralytics, MANY), (keras_history, MANY),
    (trainer_state, MANY), (ray_tune, MANY), (dvclive, MANY), (wandb_export, MANY),
    (mlflow_files, MANY), (optuna_journal, MANY), (text_by_a_pattern, MANY),
    (wandb, SOME), (mlflow, SOME), (trackio, SOME), (optuna, SOME),
]  # fmt: skip


def test_each_reader(tmp_path):
    warnings.simplefilter("ignore")
    lines.append("## Each reader\n\n| log | MB | MB/s | observations/s |\n|---|---|---|---|")
    for fill, n in FORMATS:
        folder = tmp_path / fill.__name__
        folder.mkdir()
        try:
            fill(folder, n)
        except pytest.skip.Exception as missing:
            lines.append(f"| {fill.__name__.replace('_', ' ')} | {missing} | | |")
            continue
        pattern = PATTERN if fill is text_by_a_pattern else None
        assert read(folder, pattern=pattern).observations.height == n
        took = min(seconds(lambda: read(folder, pattern=pattern)) for _ in range(2))  # noqa: B023
        mb = size(folder)
        name = fill.__name__.replace("_", " ")
        lines.append(f"| {name} | {mb:.1f} | {mb / took:.1f} | {n / took:,.0f} |")


def test_many_small_runs(tmp_path):
    """All of ``earlycall rank`` on small runs in one folder, imports included."""
    lines.append(
        f"\n## {SMALL_RUNS:,} runs in one folder\n\n`earlycall rank`, 20 to 100 observations each: "
        "read by one process, and by one for each core.\n\n"
        "| log | MB | CPU, s | wall, s | CPU by several | wall by several |\n"
        "|---|---|---|---|---|---|"
    )
    program = (
        "import sys, earlycall.cli; from earlycall.readers import workers\n"
        "count = min(workers._cores(), int(sys.argv[1])); workers._cores = lambda: count\n"
        "sys.argv = ['earlycall', 'rank', sys.argv[2]]; earlycall.cli.main()"
    )
    for name, head, rows in GROWING:
        folder = tmp_path / name[1:]
        for i in range(SMALL_RUNS):
            (folder / f"r{i}").mkdir(parents=True)
            content = head + rows(i, 20 + i % 81)  # no two curves are the same
            (folder / f"r{i}" / f"events.out{name}").write_bytes(content)
        took = []
        for processes in (1, workers.MAX_WORKERS):
            before = os.times()
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", program, str(processes), folder],
                capture_output=True, check=True,
            )  # fmt: skip
            after = os.times()
            took.append((sum(after[2:4]) - sum(before[2:4]), after.elapsed - before.elapsed))
        (cpu, wall), (more_cpu, less_wall) = took
        lines.append(
            f"| {name[1:]} | {size(folder):.0f} | {cpu:.1f} | {wall:.1f} "
            f"| {more_cpu / cpu:.2f} times | {less_wall / wall:.2f} times |"
        )


def test_memory(tmp_path):
    """The most memory that reading takes, in a process of its own."""
    program = (
        "import re, sys, earlycall, polars\n"
        "status = lambda: open('/proc/self/status').read()\n"
        "most = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', status())[1]) / 1000\n"
        "earlycall.read(sys.argv[2]); before = most()\n"
        "earlycall.read(sys.argv[1]); print(most() - before)"
    )
    lines.append("\n## Memory\n\n| log | MB | most memory, MB | times the log |\n|---|---|---|---|")
    for name, head, rows in GROWING[:2]:
        small, large = tmp_path / f"small{name}", tmp_path / f"large{name}"
        small.write_bytes(head + rows(0, 100))
        large.write_bytes(head + b"".join(rows(i, 100_000) for i in range(0, 800_000, 100_000)))
        done = subprocess.run(
            [sys.executable, "-c", program, large, small],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        mb, most = large.stat().st_size / 1e6, float(done.stdout)
        lines.append(f"| {name[1:]} | {mb:.0f} | {most:.0f} | {most / mb:.1f} |")


def event_rows(first: int, count: int) -> bytes:
    from io import BytesIO

    from tensorboard.summary.writer.record_writer import RecordWriter

    file = BytesIO()
    writer = RecordWriter(file)
    for event in made(first, count):
        writer.write(event)
    return file.getvalue()


GROWING = [
    (".jsonl", b"", json_rows),
    (".csv", b"step,train_loss,accuracy,lr\n", csv_rows),
    (".tfevents.1.a.1.0", b"", event_rows),
]


def bytes_read() -> int:
    """What this process has read from files so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize(("name", "head", "rows"), GROWING)
def test_following_a_growing_log(tmp_path, name, head, rows):
    """A log is filled up to each size, then followed as further rows are appended."""
    warnings.simplefilter("ignore")
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / f"events.out{name}"
    path.write_bytes(head)
    follower = Follower([tmp_path / "run"])
    step = 0
    lines.append(
        f"\n## Following `{name}`\n\n{NEW:,} new observations an update, the median of five.\n\n"
        "| old MB | old observations | nothing new, ms | an update, ms "
        "| appended, KB | read, KB |\n"
        "|---|---|---|---|---|---|"
    )
    for large in (LARGE // 20, LARGE // 4, LARGE) if name != GROWING[2][0] else (LARGE // 20,) * 2:
        old = path.stat().st_size if name == GROWING[2][0] else 0
        with path.open("ab") as file:
            while file.tell() < old + large:
                file.write(rows(step, 100_000))
                step += 100_000
        follower.update()
        nothing = seconds(follower.update)
        mb, before, took, added, got = path.stat().st_size / 1e6, step, [], [], []
        for _ in range(5):
            new = rows(step, NEW)
            with path.open("ab") as file:
                file.write(new)
            step += NEW
            at = bytes_read()
            took.append(seconds(follower.update))
            got.append(bytes_read() - at)
            added.append(len(new))
        ms, kb, seen = 1000 * np.median(took), np.median(added) / 1e3, np.median(got) / 1e3
        lines.append(
            f"| {mb:,.0f} | {before:,} | {1000 * nothing:.1f} | {ms:.1f} "
            f"| {kb:,.0f} | {seen:,.0f} |"
        )
        assert follower.update().observations.height == step


@pytest.fixture(scope="module", autouse=True)
def page():
    lines.clear()
    yield
    head = (
        "# Reading and following, as measured\n\nWritten by `make bench` on the machine that last "
        "ran it (two cores, other work beside it); compare the ratios.\n\n"
    )
    PAGE.write_text(head + "\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))
