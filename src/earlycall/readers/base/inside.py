"""What may be read: regular files that lie in the folder that was given, links included."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

HEAD_BYTES = 8192  # by which formats are recognised


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path is a regular file, or a link to one, below a folder.

    Examples:
        >>> is_inside(Path("/etc/hostname"), Path("/tmp"))
        False
    """
    try:
        if path.parent == root and stat.S_ISREG(path.lstat().st_mode):
            return True  # no link, so that nothing needs to be resolved
        return path.is_file() and path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is none
        return False


def is_within(path: Path, root: Path) -> bool:
    """Whether a path is a file below a folder, or a folder of which all files are."""
    if not path.is_dir() or path.is_symlink():
        return is_inside(path, root)
    return all(is_inside(file, root) for file in path.rglob("*") if not file.is_dir())


def files_in(folder: Path, pattern: str = "*") -> list[Path]:
    """The files below a folder that are really in it, sorted; ``**/*`` means at any depth."""
    try:
        return [path for path in sorted(folder.glob(pattern)) if is_inside(path, folder)]
    except OSError:
        return []


def head_of(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of a file, none of one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def walk_visible(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, in the order of names and without hidden folders and files."""
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield where, folders, sorted(name for name in files if not name.startswith("."))


def visible_files(folder: Path) -> Iterator[Path]:
    """The regular files below a folder that are not hidden, links among them."""
    for where, _, files in walk_visible(folder):
        yield from (path for path in (Path(where, name) for name in files) if path.is_file())
