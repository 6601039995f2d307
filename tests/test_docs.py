"""The pages say what the program does."""

import re
import subprocess
import sys
from pathlib import Path

import earlycall
from earlycall import scores

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
