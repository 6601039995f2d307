"""What make installs is what pyproject.toml asks for, pinned and by its hash."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {  # the extras and the dependency groups of each
    "demo": (["plots"], ["build"]),
    "test": (["all"], ["build", "test", "lint"]),
    "bench": (["all"], ["build", "bench"]),
    "docs": ([], ["build", "docs"]),
}


def pins(name: str) -> dict[str, set[str]]:
    """The versions of each package in a lock, of which some are for one system only."""
    found: dict[str, set[str]] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / "requirements" / f"{name}.txt").read_text()):
        if entry.startswith("#"):
            continue
        assert re.match(r"\S+==\S+( ; .*)? \\\n +--hash=sha256:[0-9a-f]{64}", entry), entry
        package, version = entry.split()[0].split("==")
        found.setdefault(package, set()).add(version)
    return found


def wanted(texts: list[str | dict[str, str]]) -> list[Requirement]:
    """What a list in pyproject.toml asks for, with what the extras and groups in it ask for."""
    found = []
    for text in texts:
        if isinstance(text, dict):
            found += wanted(PROJECT["dependency-groups"][text["include-group"]])
            continue
        one = Requirement(text)
        if one.name != "earlycall":
            found.append(one)
        for extra in one.extras if one.name == "earlycall" else ():
            found += wanted(PROJECT["project"]["optional-dependencies"][extra])
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_all_that_is_asked_for(name):
    extras, groups = LOCKS[name]
    asked = wanted(PROJECT["project"]["dependencies"])
    for extra in extras:
        asked += wanted(PROJECT["project"]["optional-dependencies"][extra])
    for group in groups:
        asked += wanted(PROJECT["dependency-groups"][group])
    locked = pins(name)
    missing = [
        str(one)
        for one in asked
        for versions in [locked.get(canonicalize_name(one.name), set())]
        if not versions or not all(one.specifier.contains(version) for version in versions)
    ]
    assert not missing, "run make lock"


def test_all_locks_pin_the_same_versions():
    """So that make demo, make test and make docs can share one environment."""
    of = {name: pins(name) for name in LOCKS}
    assert not [
        (name, package)
        for name in LOCKS
        for package, versions in of[name].items()
        if of["test"].get(package, versions) != versions
    ]


def test_no_lock_names_an_index_or_a_file():
    for lock in (ROOT / "requirements").iterdir():
        assert "://" not in lock.read_text(), lock


def test_all_is_all_that_users_may_install():
    extras = PROJECT["project"]["optional-dependencies"]
    everything = {one.name for one in wanted(extras["all"])}
    large = {"xgboost"}  # half a gigabyte of CUDA
    assert everything | large >= {one.name for name in extras for one in wanted(extras[name])}
    copyleft = {"ultralytics", "dvclive", "dvc"}
    assert not everything & copyleft
