"""When a run started, by each log that knows it: power is joined by that."""

import polars as pl
import pytest
from torch.utils.tensorboard import SummaryWriter

from earlycall import InputError, read

KNOWS = {
    "tensorboard", "tensorboard_tensors", "mlflow_sqlite", "mlflow_files", "wandb", "trackio",
    "dvclive", "ray_tune", "optuna_sqlite", "optuna_journal",
}  # fmt: skip
GIVEN = {"mlflow_sqlite": 1e9, "mlflow_files": 1e9, "tensorboard_tensors": 1e9 + 1}


@pytest.mark.parametrize("tool", sorted(KNOWS))
def test_the_start_is_the_tools_own(written, tool):
    folder = written(tool)
    run = read(folder).runs.row(0, named=True)
    if tool in GIVEN:
        assert run["started"] == pytest.approx(GIVEN[tool])
    else:
        done = max(path.stat().st_mtime for path in folder.rglob("*") if path.is_file())
        # Some tools cut their times to whole seconds.
        assert written.began(tool) - 1 <= run["started"] <= done + 1
    if tool.startswith("optuna"):
        assert run["started"] <= run["ended"] <= done + 1


def test_a_restart_is_kept_with_its_pause(tmp_path, monkeypatch):
    for session, start in enumerate((1000.0, 2000.0)):
        monkeypatch.setattr("time.time", lambda start=start: start)  # the file's name tells it
        with SummaryWriter(tmp_path, filename_suffix=f".{session}") as writer:
            for i in range(5):
                step = 5 * session + i
                writer.add_scalar("loss", 1 / (1 + step), step, walltime=start + i)
    curves = read(tmp_path)
    assert curves.observations["seconds"].to_list() == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8]
    assert curves.runs.select("started", "restarted").row(0) == (1000.0, "[[4.0, 2000.0]]")


def test_a_power_log_is_no_run(tmp_path):
    pl.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]}).write_csv(tmp_path / "a.csv")
    power = tmp_path / "power.csv"
    power.write_text("timestamp, power.draw [W]\n2026/01/01 00:00:00.000, 100.00 W\n")
    assert read(tmp_path).runs["run"].to_list() == ["a.csv"]
    with pytest.raises(InputError, match="a log of power, not of a run; give it with --power"):
        read(power)
