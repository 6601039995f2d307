"""What the core install does: the list of commands at once, the demo, and what an extra is for."""

import subprocess
import sys
from importlib import import_module

import polars as pl
import pytest

import earlycall as ec
from conftest import DIGITS, earlycall
from earlycall.cli import COMMANDS
from earlycall.cli.nas import NAS_COMMANDS
from earlycall.demo import FOLDER, demo
from earlycall.extras import MissingExtraError, needed_for

HEAVY = {"numpy", "polars", "pandas", "scipy", "torch", "plotly", "yaml", "pyarrow"}


def modules_after(program: str) -> set[str]:
    """The top-level modules that a program has imported."""
    code = f"import sys\n{program}\nprint(' '.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_the_list_of_commands_imports_nothing_heavy():
    listing = "sys.argv = ['earlycall', '--help']\nfrom earlycall.cli import main\n" \
        "try: main()\nexcept SystemExit: pass"  # fmt: skip
    assert not HEAVY & modules_after(listing)


@pytest.mark.parametrize("words", [["demo"], ["rank", str(FOLDER)]])
def test_ranking_imports_no_statistics_and_no_pyarrow(words):
    listing = f"sys.argv = {['earlycall', *words]}\n" \
        "from earlycall.cli import main\ntry: main()\nexcept SystemExit: pass"  # fmt: skip
    assert not {"scipy", "pyarrow", "pandas", "plotly", "sqlite3"} & modules_after(listing)


@pytest.mark.parametrize(
    ("package", "commands"),
    [("earlycall.cli", COMMANDS), ("earlycall.cli.nas", NAS_COMMANDS)],
)
def test_the_list_says_what_each_command_says_of_itself(package, commands):
    for name, line in commands.items():
        module = import_module(f"{package}.{name}")
        app = getattr(module, "app", None)
        said = module.command.__doc__.splitlines()[0] if app is None else app.info.help
        assert said == line


def test_a_slip_in_a_command_is_told():
    ran = earlycall("rnk")
    assert ran.code == 2
    assert "Did you mean 'rank'?" in ran.err


def test_the_demo_says_who_leads_and_where_to_go_on():
    ran = earlycall("demo")
    assert ran.code == 0
    assert "cnn-16-32-bn_lr0.1 leads 16 runs" in ran.out


def test_the_bundled_runs_are_the_example_runs():
    bundled, example = demo(), ec.read(DIGITS)
    names = example.runs["run"].str.strip_suffix(".csv").to_list()
    assert bundled.runs["run"].to_list() == names
    assert bundled.observations.equals(example.observations.select(bundled.observations.columns))
    tables = [ec.rank(c, budget=0.1).table.drop("run") for c in (bundled, example)]
    assert tables[0].equals(tables[1])
    assert sum(f.stat().st_size for f in FOLDER.glob("*.parquet")) < 300_000


def test_what_needs_an_extra_says_which():
    sentence = r"a picture needs no_such_package: pip install 'earlycall\[plots\]'"
    with pytest.raises(MissingExtraError, match=sentence), needed_for("a picture", "plots"):
        import no_such_package  # noqa: F401
    assert issubclass(MissingExtraError, ImportError)


def test_a_broken_package_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import broken_package.inner\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="inner") as found, needed_for("a", "plots"):
        import broken_package  # noqa: F401
    assert not isinstance(found.value, MissingExtraError)


def test_units_are_in_the_metadata(tmp_path):
    demo().write(tmp_path)
    told = pl.read_parquet_metadata(tmp_path / "curves.parquet")["units"]
    assert '"seconds": "s"' in told
