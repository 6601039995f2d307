"""What needs a package that is not installed says which extra brings it, whatever else is there."""

import subprocess
import sys

import pytest

from conftest import PATIENCE, Ran, earlycall
from earlycall.energy import Meter
from earlycall.errors import InputError

PLAN = """
name: small
data: {name: DATA, val: 100}
epochs: 1
architectures: {a: {model: MODEL}}
settings: {sgd: {optimizer: sgd, lr: 0.1}}
"""


def without(package: str, *arguments: object) -> Ran:
    """Run the command as if a package were not installed."""
    program = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv[0] = 'earlycall'\n"
        "from earlycall.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, done.stderr)


def said(ran: Ran) -> str:
    """The one sentence of a command that could not do what it was asked for."""
    assert (ran.code, ran.out) == (2, ""), ran
    [sentence] = [li for li in ran.err.splitlines() if not li.startswith("note: ")]
    return sentence.removeprefix("earlycall: ")


@pytest.mark.parametrize(
    ("package", "command", "sentence"),
    [
        ("plotly", "report demo -o r.html", "the report needs plotly: 'earlycall[plots]'"),
        ("plotly", "report demo -o r.md", "the report needs plotly: 'earlycall[plots]'"),
        ("jinja2", "report demo -o r.html", "the report needs jinja2: 'earlycall[plots]'"),
        ("plotly", "replay demo --plot p.html", "a figure needs plotly: 'earlycall[plots]'"),
        ("kaleido", "replay demo --plot p.png", "a picture needs kaleido: 'earlycall[plots]'"),
        ("werkzeug", "serve demo", "the page needs werkzeug: 'earlycall[dashboard]'"),
        ("mlflow", "rank http://[::1]:9", "http://[::1]:9 needs mlflow: 'earlycall[mlflow]'"),
        ("sqlalchemy", "nas add demo", "the experiment store needs sqlalchemy: 'earlycall[nas]'"),
        ("alembic", "nas add demo --store a.db",
         "the experiment store needs alembic: 'earlycall[nas]'"),
        ("sklearn", "nas fit demo -o m", "train-less ranking needs sklearn: 'earlycall[nas]'"),
    ],
)  # fmt: skip
def test_a_command_names_the_package_and_its_extra(
    package, command, sentence, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    expected = sentence.replace("'earlycall", "pip install 'earlycall")
    assert said(without(package, *command.split())) == expected
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".db"]


@pytest.mark.parametrize(
    ("package", "data", "model", "what"),
    [
        ("torch", "digits", "thin/mlp", "a study"),
        ("sklearn", "digits", "thin/mlp", "the data set of digits"),
        ("torchvision", "mnist", "thin/mlp", "the data set mnist"),
        ("torchvision", "digits", "torchvision/resnet18", "torchvision/resnet18"),
        ("timm", "digits", "timm/resnet10t", "timm/resnet10t"),
    ],
)
def test_a_study_names_what_its_plan_needs(package, data, model, what, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("DATA", data).replace("MODEL", model))
    sentence = said(without(package, "study", "run", plan, "-o", tmp_path / "study"))
    assert sentence.endswith(f"{what} needs {package}: pip install 'earlycall[study]'")


@pytest.mark.parametrize(
    ("package", "extra", "module", "function", "arguments"),
    [
        ("skops", "nas", "earlycall.nas.model_file", "save", (None, "model")),
        ("optuna", "nas", "earlycall.nas.search", "search", (None, None)),
        ("plotly", "plots", "earlycall.plots", "curves", ({"a": [3.0, 2.0, 1.0]},)),
        ("kaleido", "plots", "earlycall.plots.write", "picture", (None, "png")),
    ],
)
def test_a_function_names_the_package_and_its_extra(
    package, extra, module, function, arguments, monkeypatch
):
    called = getattr(pytest.importorskip(module), function)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"needs {package}: pip install 'earlycall\[{extra}\]'"):
        called(*arguments)


def test_a_package_that_is_broken_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "codecarbon").mkdir()
    (tmp_path / "codecarbon" / "__init__.py").write_text(
        "raise ImportError('a library is missing')"
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "codecarbon"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with Meter() as meter:
        assert "pip install" not in meter.source
        assert "a library is missing" in meter.source or meter.source.startswith("NVML")


@pytest.mark.parametrize("group", [(), ("nas",), ("study",)])
def test_a_group_alone_shows_its_commands(group):
    ran = earlycall(*group)
    assert (ran.code, ran.err) == (2, "")
    assert ran.out == earlycall(*group, "--help").out


def test_what_the_demo_shows_fits_80_columns_and_works_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = earlycall("demo").out.splitlines()
    assert max(map(len, lines)) <= 80
    shown = [li.strip().split("  ")[0].split() for li in lines if li.startswith("  earlycall ")]
    assert [words[1] for words in shown] == ["rank", "elasticity", "evaluate", "report"]
    for _, *words in shown:
        assert earlycall(*words).code == 0
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_a_folder_called_demo_is_that_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine.csv").write_text("step,train_loss\n1,2\n2,1\n3,0.5\n")
    runs = earlycall("fit", "demo", "--format", "json").json["runs"]
    assert [run["run"] for run in runs] == ["mine.csv"]
