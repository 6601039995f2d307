"""The package for OptunaHub, by its own tests and by what its registry checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PACKAGE = Path(__file__).parents[2] / "optunahub" / "pruners" / "earlycall"


def test_its_own_tests_pass_as_the_registry_runs_them():
    pytest.importorskip("optunahub.hub")
    here = ["-c", os.devnull, "--rootdir", "tests", "--confcutdir", "tests"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *here, "-p", "no:cacheprovider", "tests"],
        cwd=PACKAGE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_front_matter_is_what_the_registry_asks_for():
    """As optuna/optunahub-registry checks it (optunahub-registry/header_confirm.py)."""
    _, header, text = (PACKAGE / "README.md").read_text().split("---\n", 2)
    found = yaml.safe_load(header)
    for name in ("author", "title", "description", "license"):
        assert isinstance(found[name], str), name
    assert found["license"] == "MIT License"
    assert "pruner" in found["tags"]
    for name in ("tags", "optuna_versions"):
        assert all(isinstance(value, str) for value in found[name]), name
    sections = [line for line in text.splitlines() if line.startswith("## ")]
    assert sections == [
        "## Abstract", "## Class or Function Names", "## Installation", "## Example", "## Others",
    ]  # fmt: skip
    assert not {"LICENSE", "README.md", "__init__.py", "example.py"} - {
        path.name for path in PACKAGE.iterdir()
    }
