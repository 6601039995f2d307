"""What is not in the core install: who needs a missing package says which extra brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from earlycall.errors import InputError


class MissingExtraError(InputError, ImportError):
    """A package that an extra brings is not installed; an ``ImportError``, too."""


@contextmanager
def needed_for(what: str, extra: str) -> Iterator[None]:
    """Say which extra brings a package whose import fails within the block.

    A package that is there, but broken, raises its own error.

    Args:
        what: what cannot be done without it, such as "a figure".
        extra: the extra of earlycall that brings it.

    Raises:
        MissingExtraError: if a package is not installed.

    Examples:
        >>> with needed_for("a picture", "plots"):
        ...     import no_such_package
        Traceback (most recent call last):
            ...
        earlycall.extras.MissingExtraError: a picture needs no_such_package: pip install
        'earlycall[plots]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = missing_package(error)
        if package is None:
            raise
        sentence = f"{what} needs {package}: pip install 'earlycall[{extra}]'"
        raise MissingExtraError(sentence) from None


def missing_package(error: ModuleNotFoundError) -> str | None:
    """The package that is not installed; None where only a part of it is missing."""
    package = (error.name or "").partition(".")[0]
    return package if package and find_spec(package) is None else None
