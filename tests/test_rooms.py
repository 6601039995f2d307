"""Imports point one way, in the order of rooms that CONTRIBUTING tells."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "earlycall"


def test_no_room_imports_one_nearer_the_door():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    line = next(li for li in text.splitlines() if li.startswith("- The rooms of"))
    rooms = re.findall(r"`(\w+)`", line)
    found = {p.relative_to(SOURCE).parts[0].removesuffix(".py") for p in SOURCE.rglob("*.py")}
    assert found - {"__init__", "__main__"} == set(rooms)
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        # The one exception: a result's own method may draw or show it.
        forward = r"\n {8}from earlycall\.(plots|report\.notebook) import \w+\n"
        text = re.sub(forward, "\n", path.read_text())
        for imported in re.findall(r"from earlycall\.(\w+)[\w.]* import", text):
            if room in rooms:
                assert rooms.index(imported) <= rooms.index(room), (path, imported)
