"""The pages say what the program does."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import yaml

import earlycall
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
# what a reader is told to have.

BROWSERS = [*map(shutil.which, ("chromium", "google-chrome")), os.environ.get("BROWSER_PATH")]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = {
    "make ": "sets up an environment; .ci/run does it in a fresh clone",
    "pip install": "needs a package index",
    "earlycall serve": "serves until it is stopped; tests/dashboard",
    "earlycall rank runs/ --watch": "watches until it is stopped; tests/cli/test_watch.py",
    "earlycall study run plan.yaml -o study/ --address": "needs a Ray cluster with GPUs",
    "earlycall nas search examples/search.yaml": "trains for ten minutes; tests/nas/test_search.py",
    "from pathlib import Path\n\nfrom earlycall.evaluation.by_epochs": "asks for half a GPU a run",
    "from earlycall.integrations.transformers": "leaves out (...) what tests/integrations has",
}
ELSEWHERE = {"loops.md", "trackers.md", "tuners.md"}  # tests/integrations trains with each of them
SLOW = {"energy.md", "nas.md"}
STUDY = "earlycall study run plan.yaml -o study/"
PLAN = """
data: {name: digits, size: 8, train: 200, val: 100}
epochs: 3
architectures:
  narrow: {model: thin/mlp, widths: [8]}
  wide: {model: thin/mlp, widths: [64]}
  deep: {model: thin/mlp, widths: [16, 16]}
settings:
  sgd: {optimizer: sgd, lr: 0.1}
  adam: {optimizer: adam, lr: 0.003}
seeds: [0, 1]
"""


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
    """What the pages' own command trained: `plan.yaml`, `study/`, and `curves/` exported of it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "plan.yaml").write_text(PLAN)
    for line in (STUDY, "earlycall study export study/ -o curves/"):
        command = [sys.executable, "-m", *shlex.split(line)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def reader(page, tmp_path, monkeypatch, request) -> Path:
    """The folder of a reader of a page, who is in it."""
    study = ROOT / "examples" / "study" / "digits"  # a curve set
    if page.name == "studies.md":
        study = request.getfixturevalue("trained") / "study"
    shutil.copytree(study, tmp_path / "study")
    architectures = pl.read_parquet(ROOT / "examples" / "study" / "digits" / "runs.parquet")
    architectures.select("run", r"^arch\..*$").write_parquet(tmp_path / "new.parquet")
    for name in ("runs", "last-sweep", "mlruns", "wandb"):
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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    return tmp_path


def run(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """What a command of a page does, as in a shell."""
    if line.partition("#")[0].strip() == STUDY:
        if Path("study", "study.json").exists():
            return (0, "", "")
        # Run once, by the fixture `trained`; the next lines have a study that says enough.
        shutil.rmtree("study")
        shutil.copytree(ROOT / "examples" / "study" / "digits", "study")
        return (0, "", "")
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


def with_a_page_for_a_pdf(text: str) -> str:
    """The code, without the PDF where there is no browser to draw it."""
    return text if any(BROWSERS) else text.replace("ranking.pdf", "ranking.html")


def names_of(page: str) -> dict[str, Any]:
    """What the code of a page takes as given."""
    losses = [2 / k + 0.5 for k in range(1, 101)]
    past, falling = iter(range(1, 1000)), lambda *_: 2 / next(past) + 0.5
    names: dict[str, Any] = {
        "ec": earlycall, "losses": losses, "seconds": [0.5 * k for k in range(1, 101)],
        "val_loss": 0.5, "validate": falling, "train": lambda model: None, "model": None,
        "steps": 3, "train_step": falling, "train_one_epoch": falling,
    }  # fmt: skip
    if page == "finished.md":
        names |= {"curves": earlycall.read("runs"), "past": earlycall.read("last-sweep")}
    if page == "energy.md":
        names |= {"Trainer": pytest.importorskip("lightning.pytorch").Trainer}
    return names


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] * (page.name in SLOW))
        for page in PAGES
        if page.name not in {"commands.md", *ELSEWHERE} and blocks(page)
    ],
)
def test_the_commands_and_code_of_a_page_run(page, reader, capsys):
    names = names_of(page.name)
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.language == "python":
            if page.name == "nas.md":
                names["predictor"] = model_file.load("model")
            if reason(block.text) is None:
                exec(compile(with_a_page_for_a_pdf(block.text), where, "exec"), names)
        elif block.language == "toml":
            assert tomllib.loads(block.text)
        elif block.language == "yaml":
            assert yaml.safe_load(block.text)["architectures"]
        elif block.text.startswith("epoch 0"):
            write_lines(block.text)
        elif block.text.startswith("earlycall: "):
            assert block.text in sentences(capsys)
        else:
            for line in block.text.splitlines():
                if reason(line) is None:
                    code, _, err = run(line, capsys)
                    assert code == 0, f"{where}: {line}\n{err}"


def test_the_study_of_the_pages_has_the_twelve_runs_that_were_asked_for(trained):
    curves = earlycall.read(trained / "curves")
    assert len(curves) == 12
    assert curves.runs["final"].is_between(0, 1).all()
    assert earlycall.rank(curves, score="last_loss").table["rank"].null_count() == 0
