"""The table of docs/logs.md, cell by cell, on a sample of each format as its tool writes it."""

import fnmatch
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import test_formats as formats
import writers

from earlycall import CurveSet, read
from earlycall.readers.base.log import Log
from earlycall.readers.discovery import readers, sources
from earlycall.readers.formats.patterns import named_patterns

PAGE = Path(__file__).parents[2] / "docs" / "logs.md"
HEADER = ["format", "found by", "runs", "steps", "settings", "clock", "horizon", "as it grows"]
EPOCHS = list(range(writers.EPOCHS))
TOOL_SETTINGS = {"hp.lr": 0.1, "hp.optimizer": "sgd"}


@dataclass(frozen=True)
class Sample:
    """A log of a format, and what its cells say of it.

    Attributes:
        log: a tool of `writers`, or what writes the log into a folder.
        steps: of the first run.
        settings: of the first run: ``hp.*``.
        seconds: of the first run; None where it only is known that there is a clock.
        horizon: of the first run.
        grows: the file that becomes longer; None where the log is replaced as a whole.
        pattern: as `read` takes it.
    """

    log: str | Callable[[Path], None]
    steps: list[float]
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] | None = None
    horizon: float | None = None
    grows: str | None = None
    pattern: str | None = None


def tensorboard(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        writer.add_hparams({"lr": 0.1, "optimizer": "sgd"}, {"final": 1.0})
        for step, loss in enumerate(writers.LOSSES, start=1):
            writer.add_scalar("Loss/train", loss, step)


def keras_tensorboard(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for half in ("validation", "train"):
        with SummaryWriter(folder / half) as writer:
            for epoch, loss in enumerate(writers.LOSSES):
                writer.add_scalar("epoch_loss", loss, epoch)


def transformers(folder: Path) -> None:
    from transformers import TrainerState

    state = TrainerState(
        epoch=2.0, global_step=20, max_steps=120, num_train_epochs=12, train_batch_size=8
    )
    state.log_history = [{"loss": 2.5, "epoch": 1.0, "step": 10}]
    state.log_history += [{"loss": 1.5, "epoch": 2.0, "step": 20}]
    state.save_to_json(str(folder / "trainer_state.json"))


def curve_set(folder: Path) -> None:
    CurveSet.from_frame(
        pl.DataFrame({"run": ["a", "a", "b"], "step": [1, 2, 1], "train_loss": [2.5, 1.5, 3.0],
                      "seconds": [1.0, 2.0, 1.0]}),
        pl.DataFrame({"run": ["a", "b"], "hp.lr": [0.1, 0.2], "step_hint": [9, 9]}),
    ).write(folder)  # fmt: skip


def study(folder: Path) -> None:
    from earlycall.study.data import splits
    from earlycall.study.folder import StudyFolder
    from earlycall.study.plan import Plan
    from earlycall.study.training import train

    plan = Plan.of({
        "name": "thin", "data": {"name": "digits", "train": 300, "val": 100}, "epochs": 2,
        "architectures": {"mlp": "thin/mlp"}, "settings": {"sgd": {"lr": 0.1}},
    })  # fmt: skip
    StudyFolder.make(folder, plan)
    for run in plan.runs():
        train(run, splits(**plan.data), folder / run.name)


def experiment_store(folder: Path) -> None:
    from earlycall.nas.store import Store

    with tempfile.TemporaryDirectory() as collected, Store(folder / "store.db") as store:
        curve_set(Path(collected))
        store.add(read(collected))


def sb3_monitors(folder: Path) -> None:
    formats.monitor(folder / "0.monitor.csv", 1000.0, [(9.0, 9, 0.5), (12.0, 12, 2.0)])


def llama_factory(folder: Path) -> None:
    with (folder / "trainer_log.jsonl").open("w") as log:
        for step, clock in zip(
            (10, 20, 30, 40), ("0:01:05", "0:01:30", "0:02:00", "0:02:30"), strict=True
        ):
            log.write(f'{{"current_steps": {step}, "total_steps": 300, "loss": {30 / step}, ')
            log.write(f'"elapsed_time": "{clock}", "remaining_time": "0:31:25"}}\n')


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content) and None


def printed(pattern: str, horizon: float | None = None) -> Sample:
    """A log of `test_formats.PRINTED`."""
    lines, steps = formats.PRINTED[pattern]
    return Sample(text("train.log", lines), steps, horizon=horizon, pattern=pattern)


REGEX = r"(?P<step>\d+)/(?P<step_hint>\d+) (?P<seconds>\S+) s: (?P<loss>\S+)"
JSON_LINES = "".join(
    f'{{"step": {i}, "loss": {3 - i / 2}, "seconds": {i}.5}}\n' for i in range(1, 21)
)
CSV = "".join(["step,loss,seconds\n", *(f"{i},{3 - i / 2},{i}.5\n" for i in range(1, 41))])
GUARD = 64  # bytes at both ends of what was read
COUNTED = {"steps": [1, 2, 3], "seconds": [1.5, 2.5, 3.5]}
# karpathy/llm.c, train_gpt2.cu prints this on the terminal; llmc/logger.h writes `s:1 trl:2.5`.
LLM_C = (
    "step    1/19560 | loss 2.500000 (+nanz)| norm 15.98 (+nanz)| lr 8.57e-07 | 4.2 ms | 9 tok/s\n"
    "step    2/19560 | loss 1.500000 (+nanz)| norm 16.01 (+nanz)| lr 1.71e-06 | 4.2 ms | 9 tok/s\n"
)
SAMPLES = {
    "TensorBoard": Sample(tensorboard, [1, 2, 3], TOOL_SETTINGS, grows="*tfevents*"),
    "TensorBoard of Keras": Sample(keras_tensorboard, EPOCHS, grows="train/*tfevents*"),
    "MLflow, database": Sample("mlflow_sqlite", [1, 2, 3], TOOL_SETTINGS),
    "MLflow, folder": Sample("mlflow_files", [1, 2, 3], TOOL_SETTINGS),
    "Weights & Biases, run": Sample("wandb", EPOCHS, TOOL_SETTINGS, grows="*/*/*.wandb"),
    "Weights & Biases, chart": Sample("wandb_export", EPOCHS),
    "Trackio": Sample("trackio", EPOCHS, TOOL_SETTINGS),
    "Lightning CSVLogger": Sample("lightning_csv", [4, 9], TOOL_SETTINGS, grows="metrics.csv"),
    "Keras CSVLogger": Sample("keras_csv", EPOCHS, grows="training.log"),
    "Keras history": Sample("keras_history", EPOCHS),
    "Transformers": Sample(
        transformers, [10, 20], {"hp.train_batch_size": 8, "hp.num_train_epochs": 12}, horizon=120
    ),
    "timm": Sample("timm", EPOCHS, {"hp.lr": 0.1, "hp.opt": "sgd"}, grows="summary.csv"),
    "Ultralytics": Sample("ultralytics", [1, 2], {"hp.lr0": 0.1}, grows="results.csv"),
    "DVCLive": Sample("dvclive", EPOCHS, TOOL_SETTINGS),
    "Optuna, database": Sample("optuna_sqlite", [1, 2, 3], TOOL_SETTINGS),
    "Optuna, journal": Sample("optuna_journal", [1, 2, 3], TOOL_SETTINGS, grows="journal.log"),
    "Ray Tune": Sample("ray_tune", [1, 2, 3], TOOL_SETTINGS, grows="*/*/result.json"),
    "JSON lines": Sample(text("log.jsonl", JSON_LINES), **COUNTED, grows="log.jsonl"),
    "CSV, TSV": Sample(text("log.csv", CSV), **COUNTED, grows="log.csv"),
    "XGBoost, LightGBM": Sample(formats.boosting, [1, 2, 3]),
    "CatBoost": Sample(
        lambda folder: formats.catboost(folder, 3), [0, 1, 2], seconds=[0.5, 1, 1.5], horizon=999
    ),
    "Stable-Baselines3, logger": Sample(
        formats.sb3_logger, [2048, 4096, 6144], seconds=[2, 4, 6], grows="progress.csv"
    ),
    "Stable-Baselines3, monitors": Sample(sb3_monitors, [9, 21], seconds=[0.5, 2.0]),
    "MMEngine": Sample(formats.mmengine, [50, 100, 150, 200], horizon=400),
    "MMDetection 2": Sample(formats.mmdetection_2, [50, 100, 150, 200], {"hp.seed": 7}),
    "LLaMA-Factory": Sample(
        llama_factory, [10, 20], seconds=[65, 90], horizon=300, grows="trainer_log.jsonl"
    ),
    "skorch": Sample(formats.skorch, [1, 2, 3], seconds=[0.5, 1.0, 1.5]),
    "Sacred": Sample(formats.sacred, [0, 10, 20], {"hp.seed": 3}, seconds=[10, 20, 30]),
    "Syne Tune": Sample(
        formats.syne_tune, [1, 2, 3], {"hp.lr": 0.1, "hp.optimizer": "sgd"}, seconds=[2, 4, 6]
    ),
    "SwanLab": Sample(formats.swanlab_0_10, [1, 2], {"hp.lr": 0.1}, grows="**/*.swanlab"),
    "SwanLab before 0.10": Sample(
        formats.swanlab, [1, 2], {"hp.lr": 0.1}, seconds=[1, 2], grows="**/*.swanlab"
    ),
    "Neptune, exporter": Sample(
        formats.neptune_export, [1, 2], {"hp.parameters/lr": 0.1}, seconds=[0, 10]
    ),
    "Neptune, query": Sample(formats.neptune_query, [1]),
    "Comet": Sample(formats.comet, [1, 2], TOOL_SETTINGS, seconds=[1, 2]),
    "ClearML": Sample(formats.clearml, [10, 20], TOOL_SETTINGS),
    "Detectron2": Sample(formats.detectron2, [19, 39], grows="metrics.json"),
    "curve set": Sample(curve_set, [1, 2], {"hp.lr": 0.1}, seconds=[1, 2], horizon=9),
    "earlycall, study": Sample(study, [1, 2, 3], {"hp.lr": 0.1}, horizon=10),
    "earlycall, experiment store": Sample(
        experiment_store, [1, 2], {"hp.lr": 0.1}, seconds=[1, 2], horizon=9
    ),
    "plain text": Sample(
        text("train.log", "1/9 0.5 s: 2.5\n2/9 1.0 s: 2.0\n3/9 1.5 s: 1.5\n"), [1, 2, 3],
        seconds=[0.5, 1.0, 1.5], horizon=9, pattern=REGEX,
    ),
    "fairseq": printed("fairseq"),
    "llm.c": Sample(text("main.log", LLM_C), [1, 2], horizon=19560, pattern="llm.c"),
    "Megatron-LM": printed("megatron", 500_000),
    "nanoGPT": printed("nanogpt"),
    "torchtune": printed("torchtune"),
}  # fmt: skip


def rows_of_the_page() -> dict[str, dict[str, str]]:
    """The cells of each format by the names of their columns."""
    lines = PAGE.read_text().splitlines()
    table = takewhile(
        lambda line: line.startswith("|"), lines[lines.index(f"| {' | '.join(HEADER)} |") :]
    )
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    header, _, *rows = cells
    assert all(len(row) == len(header) for row in rows)
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


TABLE = rows_of_the_page()


@pytest.fixture
def folder(request, written, tmp_path) -> Path:
    """The sample of a format, in a folder of its own."""
    log = SAMPLES[request.param].log
    if isinstance(log, str):
        return written.copy(log, tmp_path)
    (tmp_path / "logs").mkdir()
    log(tmp_path / "logs")
    return tmp_path / "logs"


def contents(folder: Path) -> dict[str, bytes]:
    """What the files of a sample hold, those in archives among them."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    held = {name: path.read_bytes() for name, path in found.items()}
    for path in found.values():
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                held |= {name: archive.read(name) for name in archive.namelist()}
    return held


def must_stand_there(cell: str, folder: Path) -> None:
    """Each name in the cell is that of a file (a glob) or stands in a file of the sample."""
    held = contents(folder)
    for name in re.findall(r"`([^`]+)`", cell):
        is_file = any(fnmatch.fnmatch(f"/{path}", f"*/{name.rstrip('/')}*") for path in held)
        prefix = name.rstrip("*").encode()
        assert is_file or any(prefix in content for content in held.values()), name


def first_run(curves: CurveSet) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """The columns of the first run's observations, and what is known of it."""
    rows = curves.observations.filter(run_id=0)
    return rows.to_dict(as_series=False), curves.runs.row(0, named=True)


def values(parts: Iterable[Log]) -> int:
    """How many values were read."""
    return sum(column.count() for part in parts for column in part.observations.get_columns())


def has(cell: str) -> bool:
    """Whether the cell says that there is something."""
    return cell != "–"


def test_the_table_has_every_reader_and_every_named_pattern(written, tmp_path):
    assert list(TABLE) == list(SAMPLES)
    found = set()
    for name, sample in SAMPLES.items():
        (tmp_path / name / "logs").mkdir(parents=True)
        if isinstance(sample.log, str):
            log = written(sample.log)
        else:
            sample.log(log := tmp_path / name / "logs")
        if sample.pattern is None:
            found |= {source.reader.NAME for source in sources(log)}
    assert found == {reader.NAME for reader in readers()}
    assert {s.pattern for s in SAMPLES.values()} - {None, REGEX} == set(named_patterns())


@pytest.mark.parametrize(
    ("folder", "name"), [(n, n) for n in TABLE], indirect=["folder"], ids=TABLE
)
def test_what_the_table_says_of_a_format(folder, name):
    cells, sample = TABLE[name], SAMPLES[name]
    for column in ("found by", "steps", "settings", "clock", "horizon"):
        if sample.pattern is None:
            must_stand_there(cells[column], folder)
    if sample.pattern not in (None, REGEX):
        assert cells["found by"] == f"`--pattern {sample.pattern}`"
    [*_, source] = sources(folder, sample.pattern)
    [log, *_] = source.parts({})
    first, number = cells["runs"].split()[0], cells["steps"].rpartition(" from ")[2]
    assert (first == "many") == ("run" in log.observations.columns)
    assert source.path.is_dir() == (cells["runs"].split(",")[0].endswith("per folder"))
    rows, known = first_run(read(folder, pattern=sample.pattern))
    assert rows["step"][: len(sample.steps)] == sample.steps
    if number.isdigit():
        assert rows["step"][0] == int(number)
    settings = {key: value for key, value in known.items() if key.startswith("hp.")}
    assert bool(settings) == has(cells["settings"])
    assert sample.settings.items() <= settings.items()
    seconds = rows.get("seconds")
    assert (seconds is not None) == has(cells["clock"])
    if seconds is not None:
        seconds = [second for second in seconds if second is not None]
        assert all(0 <= s < 3600 for s in seconds) and seconds == sorted(seconds)
        assert seconds[: len(sample.seconds or [])] == (sample.seconds or [])
    assert known.get("step_hint") == sample.horizon
    assert (sample.horizon is not None) == has(cells["horizon"])


@pytest.mark.parametrize(
    ("folder", "name"), [(n, n) for n in TABLE], indirect=["folder"], ids=TABLE
)
def test_whether_a_log_that_grows_is_read_on(folder, name):
    sample, cell = SAMPLES[name], TABLE[name]["as it grows"]
    assert cell in ("read on", "read again")
    [*_, source] = sources(folder, sample.pattern)
    total = values(source.parts({}))
    if cell == "read again":
        state: dict[str, Any] = {}
        for _ in range(2):
            parts = list(source.parts(state))
            assert values(parts) == total
            assert not parts[0].continues
        return
    log = next(folder.glob(sample.grows))
    whole, lines = log.read_bytes(), log.read_bytes().splitlines(keepends=True)
    begun, tail = b"".join(lines[: len(lines) * 3 // 4]), GUARD
    if b"\0" in whole:
        begun, tail = whole[: whole.rindex(b"oss")], 3 * GUARD  # with the record that is cut
    log.write_bytes(begun)
    state = {}
    before = values(source.parts(state))
    assert 0 < before < total
    # What was read is not looked at again, but for its ends: it could be anything.
    assert len(begun) > GUARD + tail
    log.write_bytes(begun[:GUARD] + b"#" * (len(begun) - GUARD - tail) + whole[len(begun) - tail :])
    parts = list(source.parts(state))
    new = values(parts)
    assert new == (total - before if parts[0].continues else total)


def test_a_column_of_runs_makes_many_of_a_file(tmp_path):
    (tmp_path / "a.csv").write_text("run,step,loss\na,1,2.5\nb,1,1.5\n")
    lines = ['{"run": "a", "step": 1, "loss": 2.5}', '{"run": "b", "step": 1, "loss": 1.5}']
    (tmp_path / "b.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "c.log").write_text("a 1/9 0.5 s: 2.5\nb 1/9 0.5 s: 2.0\n")
    assert [name for name, cells in TABLE.items() if ", or many" in cells["runs"]] == [
        "JSON lines", "CSV, TSV", "plain text",
    ]  # fmt: skip
    for file, pattern in (("a.csv", None), ("b.jsonl", None), ("c.log", rf"(?P<run>\w) {REGEX}")):
        assert len(read(tmp_path / file, pattern=pattern)) == 2
