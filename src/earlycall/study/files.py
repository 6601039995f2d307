"""Where a run's files are kept: in a folder of this machine, or by whoever has one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from earlycall.atomic import write_whole
from earlycall.errors import InputError

RESULT, CURVE, CHECKPOINT = "result.json", "curve.parquet", "checkpoint.pt"
VERDICT, FAILURE = "verdict.json", "failure.json"


class Files(Protocol):
    """The files of one run, each written whole or not at all."""

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is no such file."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, or replace it."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""


class FolderFiles:
    """The files of one run in a folder.

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
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            why = error.strerror or error
            raise InputError(f"{self.folder / name}: cannot be read: {why}") from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that a kill leaves it as it was before.

        Raises:
            InputError: if it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be made: {error.strerror or error}") from None
        write_whole(self.folder / name, content)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.folder / name).unlink(missing_ok=True)
