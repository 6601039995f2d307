"""What may be read: regular files that lie in the folder that was given, links included."""

from __future__ import annotations

from pathlib import Path


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path is a regular file, or a link to one, below a folder.

    Examples:
        >>> is_inside(Path("/etc/hostname"), Path("/tmp"))
        False
    """
    try:
        return path.is_file() and path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is none
        return False


def files_in(folder: Path, pattern: str = "*") -> list[Path]:
    """The files below a folder that are really in it, sorted; ``**/*`` means at any depth."""
    try:
        return [path for path in sorted(folder.glob(pattern)) if is_inside(path, folder)]
    except OSError:
        return []
