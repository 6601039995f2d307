"""The files of a run: in a folder of this machine, or of the one that has the study's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from earlycall.atomic import write_whole
from earlycall.errors import InputError
from earlycall.readers.formats.study_folder import RESULT
from earlycall.study.plan import RunPlan

CHECKPOINT, VERDICT = "checkpoint.pt", "verdict.json"


class Files(Protocol):
    """The files of one run, each written whole or not at all."""

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is no such file."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, or replace it."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""


class FolderFiles:
    """The files in a folder: those of a run, or by ``run/name`` those of a study.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     files = FolderFiles(Path(folder, "mlp-sgd-s0"))
        ...     files.write("result.json", b"{}")
        ...     files.read("result.json"), files.read("curve.parquet")
        (b'{}', None)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is no such file.

        Raises:
            InputError: if the file is there but cannot be read.
        """
        path = self.folder / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that a kill leaves it as it was before.

        Raises:
            InputError: if it cannot be written.
        """
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
        write_whole(path, content)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.folder / name).unlink(missing_ok=True)


def read_json(files: Files, name: str) -> dict[str, Any] | None:
    """The content of a JSON file, None where there is none; an `InputError` if it is damaged."""
    content = files.read(name)
    try:
        return None if content is None else dict(json.loads(content))
    except ValueError:
        place = Path(getattr(files, "folder", ""), name)
        raise InputError(f"{place}: damaged; remove the file and resume the study") from None


def finished_result(plan: RunPlan, files: Files) -> dict[str, Any] | None:
    """The result of a run, None of one that is not finished.

    Raises:
        InputError: if the file is damaged, or of a run of the same name that was planned
            differently.
    """
    result = read_json(files, RESULT)
    if result is not None:
        refuse_other_plan(plan, result["fingerprint"])
    return result


def refuse_other_plan(plan: RunPlan, fingerprint: str) -> None:
    """Raise an `InputError` unless the fingerprint is the plan's own."""
    if fingerprint != plan.fingerprint:
        raise InputError(
            f"the study holds a run called {plan.name!r} that was planned differently; rename the "
            "architecture or setting, or use another folder"
        )
