"""Logs of runs that are still going on, have just begun, were killed, or were begun anew."""

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import writers
from torch.utils.tensorboard import SummaryWriter

from conftest import finish_wandb
from earlycall import CurveWarning, InputError, read
from earlycall.errors import EmptyLogError
from earlycall.readers.formats.text import compiled

LOSSES = writers.LOSSES
LINES = {
    "tensorboard": "*.tfevents.*", "tensorboard_tensors": "*.tfevents.*", "wandb": "*/*/*.wandb",
    "mlflow_files": "*/*/*/metrics/train_loss", "wandb_export": "*.csv", "csv": "log.csv",
    "lightning_csv": "metrics.csv", "keras_csv": "training.log", "timm": "summary.csv",
    "ultralytics": "results.csv", "dvclive": "*/plots/*/train/loss.tsv",
    "optuna_journal": "journal.log", "ray_tune": "*/*/result.json", "json_lines": "log.jsonl",
}  # fmt: skip
WHOLE = {"keras_history": "history.json", "trainer_state": "checkpoint-120/trainer_state.json"}
DATABASES = {"mlflow_sqlite": "mlflow.db", "trackio": "digits.db", "optuna_sqlite": "study.db"}


def losses(folder: Path) -> list[float]:
    curves = read(folder)
    assert len(curves) == 1
    return curves.curve(curves.runs["run"][0]).loss.tolist()


@pytest.mark.filterwarnings("ignore::earlycall.CurveWarning")
@pytest.mark.parametrize("tool", LINES)
def test_a_record_that_is_cut_anywhere_is_left_for_later_and_never_read_wrong(
    written, tmp_path, tool
):
    folder = written.copy(tool, tmp_path)
    log = next(folder.glob(LINES[tool]))
    whole = log.read_bytes()
    seen = set()
    for cut in (*range(1, 100), *range(100, 1500, 13)):
        if cut > len(whole) // 2:
            break
        log.write_bytes(whole[:-cut])
        found = losses(folder)
        assert found == LOSSES[: len(found)], cut
        seen.add(len(found))
    assert len(LOSSES) - 1 in seen
    log.write_bytes(whole)
    assert losses(folder) == LOSSES


def test_a_last_line_without_its_end_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("step,loss\n1,2.5\n2,1.5\n3,1.25")
    with pytest.warns(CurveWarning, match="a.csv: the last line is left out until it has its end"):
        assert losses(tmp_path) == [2.5, 1.5]
    # A quoted cell is whole; zeros are what a crash leaves.
    (tmp_path / "a.csv").write_text('"step","loss"\n"1","2.5"\n"2","1.5"')
    assert losses(tmp_path) == [2.5, 1.5]
    (tmp_path / "a.csv").write_bytes(b"step,loss\n1,2.5\n2,1.5\n" + bytes(4096))
    assert losses(tmp_path) == [2.5, 1.5]


@pytest.mark.parametrize("tool", WHOLE)
def test_a_document_that_is_being_written_is_waited_for(written, tmp_path, tool):
    folder = written.copy(tool, tmp_path)
    log = folder / WHOLE[tool]
    log.write_bytes(log.read_bytes()[:-30])
    if tool == "trainer_state":  # the checkpoint before it is whole
        assert losses(folder) == LOSSES[: len(LOSSES) // 2]
    with pytest.raises(EmptyLogError, match="not whole JSON; wait until"):
        read(log)
    (tmp_path / "b.csv").write_text("step,loss\n1,2.5\n")
    if tool == "keras_history":
        with pytest.warns(CurveWarning, match="not whole JSON"):
            assert read(tmp_path).runs["run"].to_list() == ["b.csv"]


@pytest.mark.parametrize("tool", DATABASES)
@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_a_writer_that_is_killed_within_a_transaction(written, tmp_path, tool, journal):
    """What it had not committed is not there, and the file is left as it was."""
    folder = written.copy(tool, tmp_path)
    path = folder / DATABASES[tool]
    code = f"""
import os, signal, sqlite3
connection = sqlite3.connect({str(path)!r}, isolation_level=None)
connection.execute("PRAGMA journal_mode={journal}")
connection.execute("PRAGMA cache_size=10")  # so that changed pages are written before the end
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE filler (text)")
for table in ("metrics", "trial_intermediate_values"):
    try:
        connection.execute(f"DELETE FROM {{table}}")
    except sqlite3.OperationalError:
        pass
for i in range(2000):
    connection.execute("INSERT INTO filler VALUES (?)", ("x" * 500,))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    left = path.with_name(path.name + ("-journal" if journal == "DELETE" else "-wal"))
    assert left.stat().st_size > 0
    before = path.read_bytes()
    assert losses(folder) == LOSSES
    assert path.read_bytes() == before
    assert left.exists()


def test_a_database_that_is_being_written_shows_what_is_committed(written, tmp_path):
    folder = written.copy("trackio", tmp_path)
    with sqlite3.connect(folder / "digits.db", isolation_level=None) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        copy = "SELECT run_id, timestamp, run_name, step + 100, metrics FROM metrics WHERE step = 0"
        insert = f"INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) {copy}"
        writer.execute(insert)
        assert losses(folder) == [*LOSSES, LOSSES[0]]
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM metrics")
        assert losses(folder) == [*LOSSES, LOSSES[0]]
        writer.execute("ROLLBACK")


def begun_tensorboard(folder):
    SummaryWriter(folder).close()


def begun_mlflow(folder):
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{folder}/mlflow.db").create_experiment("digits")


def begun_wandb(folder):
    import wandb

    finish_wandb(wandb.init(project="digits", dir=folder), folder)


def begun_optuna(folder):
    import optuna

    optuna.create_study(storage=f"sqlite:///{folder}/study.db")


def begun_journal(folder):
    import optuna
    from optuna.storages.journal import JournalFileBackend

    backend = JournalFileBackend(str(folder / "journal.log"))
    optuna.create_study(storage=optuna.storages.JournalStorage(backend))


def begun_ray(folder):
    (folder / "params.json").write_text("{}")
    (folder / "result.json").write_text("")


def begun_transformers(folder):
    from transformers import TrainerState

    TrainerState(max_steps=100).save_to_json(str(folder / "trainer_state.json"))


def begun_csv(folder):
    (folder / "a.csv").write_text("step,train_loss\n")


def begun_half_a_header(folder):
    (folder / "a.csv").write_text("step,train_")


def begun_jsonl(folder):
    (folder / "a.jsonl").write_text('{"step": 1, "lo')


BEGUN = {name.removeprefix("begun_"): f for name, f in globals().items() if "begun_" in name[:6]}


@pytest.mark.parametrize("tool", BEGUN)
def test_a_run_that_has_just_begun_is_left_out_until_it_logs(tmp_path, tool):
    folder = tmp_path / "begun"
    folder.mkdir()
    BEGUN[tool](folder)
    with pytest.raises(EmptyLogError):
        read(folder)
    (tmp_path / "z.csv").write_text("step,loss\n1,2.5\n")
    with pytest.warns(CurveWarning, match="begun"):
        assert read(tmp_path).runs["run"].to_list() == ["z.csv"]


def test_text_lines_are_left_until_they_end(tmp_path):
    log = tmp_path / "a.log"
    pattern = r"loss (?P<loss>\S+)"
    log.write_text("loss 2.5\nloss 1.5\nloss 1.2")
    assert read(log, pattern=pattern).curve("a.log").loss.tolist() == [2.5, 1.5]
    log.write_text("los")
    with pytest.raises(EmptyLogError):
        read(log, pattern=pattern)
    log.write_text("step 1\nstep 2\n")
    with pytest.raises(InputError, match="no line matches the pattern; a line is 'step 1'"):
        read(log, pattern=pattern)
    assert compiled(pattern).groupindex == {"loss": 1}


def test_a_tensorboard_run_begun_again_at_an_earlier_step(tmp_path):
    for name, steps, value in ((".a", range(10), 2.0), (".b", range(5, 12), 1.0)):
        with SummaryWriter(tmp_path, filename_suffix=name) as writer:
            for step in steps:
                writer.add_scalar("loss", value, step, walltime=1000.0 + step)
        next(tmp_path.glob(f"*{name}")).rename(tmp_path / f"events.out.tfevents.1{name}")
    assert losses(tmp_path) == [2.0] * 5 + [1.0] * 7


def test_a_keras_run_with_its_validation_in_a_folder_beside(tmp_path):
    for half, values in (("train", LOSSES), ("validation", writers.VAL_LOSSES)):
        with SummaryWriter(tmp_path / "run" / half) as writer:
            for epoch, value in enumerate(values):
                writer.add_scalar("epoch_loss", value, epoch)
    curves = read(tmp_path)
    assert curves.runs["run"].to_list() == ["run"]
    assert curves.observations["epoch_loss"].to_list() == LOSSES
    assert curves.observations["val_loss"].to_list() == writers.VAL_LOSSES
    assert curves.observations["seconds"].null_count() == 0


def test_the_settings_that_tensorboard_keeps(tmp_path):
    """PyTorch writes them into a folder called by the time, Lightning beside the scalars."""
    from lightning.pytorch.loggers import TensorBoardLogger

    with SummaryWriter(tmp_path / "torch") as writer:
        writer.add_scalar("loss", 2.0, 1)
        writer.add_hparams({"lr": 0.1, "optimizer": "sgd", "nesterov": True}, {"final": 1.0})
    logger = TensorBoardLogger(tmp_path, name="lightning", version="")
    logger.log_hyperparams({"lr": 0.2, "optimizer": "adam"}, {"final": 1.0})
    logger.log_metrics({"loss": 1.0}, step=1)
    logger.finalize("success")
    runs = read(tmp_path).runs.sort("run").select("run", "hp.lr", "hp.optimizer").rows()
    assert runs == [("lightning", 0.2, "adam"), ("torch", 0.1, "sgd")]


def test_an_ultralytics_run_resumed_counts_its_seconds_on(written, tmp_path):
    folder = written.copy("ultralytics", tmp_path)
    log = folder / "results.csv"
    rows = ["     epoch,      time, train/loss", "1,10,2.5", "2,20,1.5", "3,11,1.25", "4,21,1"]
    log.write_text("\n".join(rows) + "\n")  # padded headers, as older versions wrote them
    assert read(folder).observations["seconds"].to_list() == [10, 20, 31, 41]


def test_json_of_nested_reports_and_of_a_step_of_its_own(written, tmp_path):
    folder = written.copy("ray_tune", tmp_path)
    log = next(folder.glob(LINES["ray_tune"]))
    reports = [
        {"train": {"loss": 2.0 / i}, "step": 100 * i, "training_iteration": i, "config": {"lr": 1}}
        for i in (1, 2, 3)
    ]
    log.write_text("".join(json.dumps(report) + "\n" for report in reports))
    curves = read(folder)
    assert curves.metrics == ["train/loss", "training_iteration"]
    assert curves.observations["step"].to_list() == [100, 200, 300]


def test_a_ray_trial_without_its_json(written, tmp_path):
    folder = written.copy("ray_tune", tmp_path)
    next(folder.glob(LINES["ray_tune"])).unlink()
    curves = read(folder)
    assert curves.observations["loss"].to_list() == LOSSES
    assert curves.runs["hp.lr"].to_list() == [0.1]


def test_what_is_not_finite_is_kept_by_trackers_that_write_it_as_text(tmp_path):
    import wandb

    nan, inf = float("nan"), float("inf")
    run = wandb.init(project="digits", dir=tmp_path / "w", config={"a": {"b": 1}}, tags=["x", "y"])
    for value in (2.0, nan, inf):
        run.log({"train": {"loss": value}})
    finish_wandb(run, tmp_path)
    writers._alone(
        """
import trackio
for i in range(2):
    trackio.init(project="digits", name="same", embed=False)
    for value in (2.0, float("nan"), float("inf")):
        trackio.log({"train": {"loss": value}})
    trackio.finish()
""",
        (tmp_path / "t").mkdir() or tmp_path / "t",
    )
    wandb_run, trackio_runs = read(tmp_path / "w"), read(tmp_path / "t")
    assert wandb_run.metrics == ["train.loss"]
    assert str(wandb_run.observations["train.loss"].to_list()) == "[2.0, nan, inf]"
    assert wandb_run.runs.select("hp.a.b", "hp.tags").row(0) == (1.0, "x, y")
    values = trackio_runs.observations["train/loss"].to_list()
    assert str(values) == str([2.0, nan, inf] * len(trackio_runs))
