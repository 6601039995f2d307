"""The pages say what the program does."""

import contextlib
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import yaml

import earlycall
from conftest import wait_for_wandb
from earlycall import scores
from earlycall.cli import main
from earlycall.nas import model_file

ROOT = Path(__file__).parent.parent


def test_the_command_reference_is_written_from_the_commands(tmp_path):
    written = tmp_path / "commands.md"
    subprocess.run([sys.executable, ROOT / "docs" / "_tools" / "commands.py", written], check=True)
    assert written.read_text() == (ROOT / "docs" / "commands.md").read_text(), "run make docs"


def test_every_score_stands_in_the_method_and_the_comparison():
    for page in ("method.md", "evaluation.md"):
        text = (ROOT / "docs" / page).read_text()
        built_in = [n for n in scores.names() if n.startswith(("tse", "lcga", "last", "min"))]
        assert not [name for name in built_in if f"`{name}`" not in text], page


def test_every_public_name_is_in_the_api_page():
    text = (ROOT / "docs" / "api.md").read_text()
    listed = set(re.findall(r"^::: earlycall\.\S+\.(\w+)$", text, re.MULTILINE))
    hidden = {"Agreement", "CurveWarning", "Score", "Scored", "nas", "study"}
    assert set(earlycall.__all__) - hidden <= listed


# The commands and code of the pages: each block runs, in the order of its page, in a folder with
# what a reader is told to have. A block of `text` after a command is what the command prints;
# `make outputs` writes those again.

BROWSERS = [*map(shutil.which, ("chromium", "google-chrome")), os.environ.get("BROWSER_PATH")]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = {
    "make ": "sets up an environment; .ci/run does it in a fresh clone",
    "pip install": "needs a package index",
    "earlycall serve": "serves until it is stopped; tests/dashboard",
    "earlycall rank runs/ --watch": "watches until it is stopped; tests/cli/test_watch.py",
    "earlycall study run plan.yaml -o study/ --address": "needs a Ray cluster with GPUs",
    "earlycall nas search examples/search.yaml": "trains for ten minutes; tests/nas/test_search.py",
}
SLOW = {
    "coming_from.md": "runs Optuna, W&B, TensorBoard and Keras",
    "energy.md": "CodeCarbon takes its time to look for hardware",
    "loops.md": "trains with every host, as tests/integrations do",
    "nas.md": "fits and searches, as tests/nas do",
    "studies.md": "trains a second study, of a model and images of one's own",
    "trackers.md": "draws in MLflow by a browser, as test_log_verdict.py does",
    "tuners.md": "starts Ray, as tests/integrations do",
}
NEEDS_BROWSER = {"trackers.md"}
STUDY = "earlycall study run plan.yaml -o study/"


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [Block(m[1], m[2], text[: m.start()].count("\n") + 1) for m in found]


def reason(text: str) -> str | None:
    """Why a line or block is not run."""
    return next((why for start, why in NOT_RUN.items() if text.startswith(start)), None)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The folder of a reader who trained the first plan of studies.md: `plan.yaml`, `study/`."""
    folder = tmp_path_factory.mktemp("trained")
    page = blocks(ROOT / "docs" / "studies.md")
    plan = next(block.text for block in page if block.language == "yaml")
    (folder / "plan.yaml").write_text(plan)
    command = [sys.executable, "-m", *shlex.split(STUDY)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def reader(page, tmp_path, monkeypatch, request) -> Path:
    """The folder of a reader of a page, who is in it."""
    study = ROOT / "examples" / "study" / "digits"  # a curve set
    if page.name == "studies.md":
        study = request.getfixturevalue("trained") / "study"
    if page.name in NEEDS_BROWSER:
        request.getfixturevalue("browser_path")
    shutil.copytree(study, tmp_path / "study")
    architectures = pl.read_parquet(ROOT / "examples" / "study" / "digits" / "runs.parquet")
    architectures.select("run", r"^arch\..*$").write_parquet(tmp_path / "new.parquet")
    for name in ("runs", "last-sweep", "mlruns"):
        (tmp_path / name).mkdir()
        for log in (ROOT / "examples" / "digits").iterdir():
            table = pl.read_csv(log)
            if "seconds" in table.columns:
                table = table.with_columns(joules=pl.col("seconds") * 50)
            table.write_csv(tmp_path / name / log.name)
    shutil.copy(tmp_path / "runs" / "mlp-4_lr0.1.csv", tmp_path / "metrics.csv")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for folder in ("logs", "detector/runs"):
        (tmp_path / folder).mkdir(parents=True)
    losses = "step,train/box_loss,train/cls_loss\n1,2,1\n2,1,1\n"
    (tmp_path / "detector" / "runs" / "a.csv").write_text(losses)
    for name in "ab":
        (tmp_path / "zeta" / name).mkdir(parents=True)
        (tmp_path / "zeta" / name / "a.csv").write_text("step,zeta\n1,2\n2,1\n")
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()  # else it goes on writing where it first did
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # for mine.py
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    for name, value in {"COLUMNS": "80", "TTY_COMPATIBLE": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)  # a terminal that only prints
    return tmp_path


def run(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """What a command of a page does, as in a shell."""
    if line.partition("#")[0].strip() == STUDY:  # run once, by the fixture `trained`
        return (0 if Path("study", "study.json").exists() else 1, "", "")
    command, *arguments = shlex.split(line, comments=True)
    assert command == "earlycall", line
    for option, target in pairwise(arguments):
        if option in ("-o", "--export"):  # written anew, whatever the page did before
            shutil.rmtree(target, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", [command, *arguments])
        main()
    return (ended.value.code, *capsys.readouterr())


def write_lines(line: str) -> None:
    """Two logs of lines like one of a page."""
    for name, scale in (("a", 1.0), ("b", 1.5)):
        lines = [
            re.sub(r"loss \S+", f"loss {scale * (2 / k + 0.5)}", line).replace("100", str(100 * k))
            for k in range(1, 30)
        ]
        Path("logs", f"{name}.log").write_text("".join(lines))


def sentences(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What a reader is told who has several losses, or a metric of no known direction."""
    unknown = run("earlycall rank zeta --metric zeta", capsys)[2]
    with contextlib.chdir("detector"):
        return [unknown, run("earlycall rank runs", capsys)[2]]


def runnable(code: str) -> str:
    """Code of a page without what this machine may lack: a browser that draws a PDF, GPUs."""
    code = code.replace("gpus=0.5", "gpus=0")
    return code if any(BROWSERS) else code.replace("ranking.pdf", "ranking.html")


def names_of(page: str) -> dict[str, Any]:
    """What the code of a page takes as given."""
    losses = [2 / k + 0.5 for k in range(1, 101)]
    past, falling = iter(range(1, 10000)), lambda *_: 2 / next(past) + 0.5
    names: dict[str, Any] = {
        "ec": earlycall, "losses": losses, "seconds": [0.5 * k for k in range(1, 101)],
        "val_loss": 0.5, "validate": falling, "train": lambda model: None, "model": None,
        "steps": 3, "train_step": falling, "train_one_epoch": falling,
    }  # fmt: skip
    if page in ("asked.md", "compare.md", "coming_from.md"):
        names["train"] = losses_of
    if page == "coming_from.md":
        names |= keras_network() | {"build": lambda lr: keras_network()["model"]}
    if page == "finished.md":
        names |= {"curves": earlycall.read("runs"), "past": earlycall.read("last-sweep")}
    if page == "tuners.md":
        names |= {"build": lambda lr: None, "trainable": trainable()}
    return names


def losses_of(lr: float) -> list[float]:
    """What a training with this learning rate logs, an epoch each."""
    return [2 / (1 + 20 * lr * k) + 0.1 / (1 + k) + lr for k in range(1, 41)]


def trainable() -> Callable[[dict[str, float]], None]:
    """A function for Ray Tune, which takes it along only as a local one."""

    def descend(config: dict[str, float]) -> None:
        from ray import tune

        for step in range(1, 82):
            tune.report({"loss": (1 - config["lr"] / 2) ** step})

    return descend


def lightning_network() -> dict[str, Any]:
    from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
    from torch.utils.data import DataLoader

    class Network(BoringModel):
        def validation_step(self, batch: Any, index: int) -> Any:
            self.log("val_loss", self.step(batch))

    data = DataLoader(RandomDataset(32, 64), batch_size=16)
    return {"model": Network(), "train_loader": data, "val_loader": data}


def transformers_network() -> dict[str, Any]:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, TrainingArguments

    tokens = (torch.randint(0, 8, (64, 1)) + torch.arange(12)) % 16
    data = [{"input_ids": row, "labels": row} for row in tokens]
    arguments = TrainingArguments(
        output_dir="transformers", use_cpu=True, report_to=[], eval_strategy="epoch"
    )
    config = GPT2Config(vocab_size=16, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config)
    return {"model": model, "arguments": arguments, "train_data": data, "val_data": data}


def keras_network() -> dict[str, Any]:
    import keras
    import numpy as np

    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return {"model": model, "x": x, "y": x.sum(axis=1)}


def boosted(package: str) -> dict[str, Any]:
    import numpy as np

    module = importlib.import_module(package)
    x = np.random.default_rng(0).normal(size=(200, 3))
    made = {"xgboost": "DMatrix", "lightgbm": "Dataset"}[package]
    train, valid = (getattr(module, made)(x[at], label=x[at].sum(axis=1))
                    for at in (slice(100), slice(100, 200)))  # fmt: skip
    parameters = {"xgboost": {}, "lightgbm": {"metric": "l2", "verbosity": -1}}[package]
    return {"parameters": parameters, "train": train, "valid": valid}


def skorch_network() -> dict[str, Any]:
    import numpy as np
    import torch

    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    module = torch.nn.Sequential(torch.nn.Linear(8, 2), torch.nn.Softmax(dim=-1))
    return {"module": module, "x": x, "y": (x[:, 0] > 0).astype("int64")}


def ignite_network() -> dict[str, Any]:
    import torch
    from ignite.engine import create_supervised_evaluator, create_supervised_trainer

    model = torch.nn.Linear(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    trainer = create_supervised_trainer(model, optimizer, torch.nn.MSELoss())
    evaluator = create_supervised_evaluator(model)
    return {"model": model, "optimizer": optimizer, "trainer": trainer, "evaluator": evaluator}


NETWORKS = {
    "earlycall.integrations.lightning": lightning_network,
    "earlycall.integrations.transformers": transformers_network,
    "earlycall.integrations.keras": keras_network,
    "earlycall.integrations.xgboost": partial(boosted, "xgboost"),
    "earlycall.integrations.lightgbm": partial(boosted, "lightgbm"),
    "earlycall.integrations.skorch": skorch_network,
    "earlycall.integrations.ignite": ignite_network,
}


def run_code(
    block: Block, shown: str | None, page: Path, names: dict[str, Any], capsys: Any
) -> None:
    """Run the Python of a page, and keep it beside the plan where a plan asks for it."""
    for module, network in NETWORKS.items():
        if page.name == "loops.md" and f"from {module} import" in block.text:
            names |= network()
    if page.name == "nas.md":
        names["predictor"] = model_file.load("model")
    if "def network(" in block.text:
        Path("mine.py").write_text(block.text)
    capsys.readouterr()
    exec(compile(runnable(block.text), f"{page.name}:{block.line}", "exec"), names)
    for log in Path().rglob("run-*.wandb"):
        wait_for_wandb(log)
    if shown is not None:
        compare(shown, capsys.readouterr().out, page, block)


def run_lines(block: Block, shown: str | None, page: Path, capsys: Any) -> None:
    """Run the commands of a page."""
    capsys.readouterr()  # what code above printed
    lines = block.text.splitlines()
    for line in lines:
        if reason(line) is None:
            code, out, err = run(line, capsys)
            where = f"{page.name}:{block.line}: {line}\n{err}"
            refused = line == lines[-1] and shown is not None and "earlycall: " in shown
            assert code == (2 if refused else 0), where
    if shown is not None:
        compare(shown, out + err, page, block)


def compare(shown: str, printed: str, page: Path, block: Block) -> None:
    """Compare what a page says that a block prints with what it does."""
    printed = "".join(f"{text.rstrip()}\n" for text in printed.strip().splitlines())
    if os.environ.get("WRITE_OUTPUTS"):
        new = page.read_text().replace(f"```text\n{shown}```", f"```text\n{printed}```", 1)
        page.write_text(new)
    else:
        where = f"{page.name}:{block.line}: {block.text}"
        assert shown == printed, f"{where}\nmake outputs writes it again"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] * (page.name in SLOW))
        for page in PAGES
        if page.name != "commands.md" and blocks(page)
    ],
)
def test_the_commands_and_code_of_a_page_run(page, reader, capsys):
    names = names_of(page.name)
    page_blocks = blocks(page)
    for block, following in zip(page_blocks, [*page_blocks[1:], None], strict=True):
        shown = following.text if following and following.language == "text" else None
        if block.language == "python":
            run_code(block, shown, page, names, capsys)
        elif block.language == "toml":
            assert tomllib.loads(block.text)
        elif block.language == "yaml":
            assert yaml.safe_load(block.text)["architectures"]
            if "mine:" in block.text:
                Path("plan.yaml").write_text(block.text)
                shutil.rmtree("study")
        elif block.text.startswith("epoch 0"):
            write_lines(block.text)
        elif block.text.startswith("earlycall: ") and block.language != "text":
            assert block.text in sentences(capsys)
        elif block.language != "text":
            run_lines(block, shown, page, capsys)


def test_the_first_study_has_the_twelve_runs_that_were_asked_for(
    trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(trained)
    results = [json.loads(path.read_text()) for path in trained.glob("study/*/result.json")]
    outcomes = {result["run"]: result["test_accuracy"] for result in results}
    assert len(outcomes) == 12

    ranked = json.loads(run("earlycall rank study/ --budget 20% --format json", capsys)[1])
    assert sorted(row["run"] for row in ranked["runs"]) == sorted(outcomes)
    assert {row["rank"] for row in ranked["runs"]} <= {*range(1, 13)}
    assert ranked["horizon"] == results[0]["planned_steps"]
    rows = json.loads(run("earlycall evaluate study/ --format json", capsys)[1])["rows"]
    assert {row["n"] + row["excluded"] for row in rows} == {12}
    store = tmp_path / "experiments.db"
    assert "12 new" in run(f"earlycall nas add study/ --store {store}", capsys)[1]
    for path in ("study", store):
        runs = earlycall.read(path).runs
        assert dict(runs.select("run", "final").iter_rows()) == outcomes
        assert set(runs["final_metric"]) == {"test_accuracy"}
