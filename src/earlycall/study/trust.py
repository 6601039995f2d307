"""Whether the code that a study's folder imports may run: that of studies made here, or trusted.

A study that was made by this user on this machine leaves a note in the user's state directory
(``$XDG_STATE_HOME/earlycall/studies``, by default below ``~/.local/state``): an empty file whose
name is the SHA-256 of the folder's ``study.json``. The folder itself, which may come from somebody
else, cannot vouch for itself; one that was moved is still known, one that was changed is not.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path


def note(document: str) -> None:
    """Trust a study from now on; where nothing can be noted it is asked again."""
    with suppress(OSError, RuntimeError):
        path = _note_of(document)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)


def is_noted(document: str) -> bool:
    """Whether a study was made here or trusted before."""
    try:
        return _note_of(document).is_file()
    except (OSError, RuntimeError):  # a user without a home
        return False


def _note_of(document: str) -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    home = Path(state) if state else Path.home() / ".local" / "state"
    name = hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest()
    return home / "earlycall" / "studies" / name
