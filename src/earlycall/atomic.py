"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from earlycall.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of the one at the path when it is whole.

    Raises:
        InputError: if the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def write_whole(path: str | Path, content: str | bytes) -> Path:
    """Write a file so that a kill or a full disk leaves it as it was before.

    Raises:
        InputError: if the file cannot be written.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_whole(Path(folder, "state.json"), "{}").read_text()
        '{}'
    """
    path = Path(path)
    with replacing(path) as file:
        file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path
