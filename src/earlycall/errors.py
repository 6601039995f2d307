"""The errors that a person's input can cause, and what they suggest."""

from collections.abc import Iterable, Sequence

MAX_NAMED = 20  # names in a sentence that lists what was found


class InputError(ValueError):
    """Input that cannot be used: one sentence with the place (file, line, column) and the remedy.

    The command line prints the sentence and exits with 2; in Python it is an ordinary
    ``ValueError``.

    Examples:
        >>> raise InputError("runs/a.csv: no loss column; found: step, lr")
        Traceback (most recent call last):
            ...
        earlycall.errors.InputError: runs/a.csv: no loss column; found: step, lr
    """


class EmptyLogError(InputError):
    """The log is valid but has no observations yet.

    Among other logs of a folder it is left out with a note.
    """


class NoMatchError(InputError):
    """No line of a text matches the pattern; among other logs of a folder it is left out."""


class UnknownDirectionError(InputError):
    """Whether less or more of a metric is better is not known, so that it is asked.

    Attributes:
        metric: its name.
    """

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.question = f"whether more or less of {metric!r} is better cannot be told from its name"
        super().__init__(
            f"{self.question}; say so with --maximize or --minimize (in Python, direction='max' or "
            "'min')"
        )


class CurveWarning(UserWarning):
    """Something about the curves that a person should know but that does not stop the work.

    Attributes:
        details: all that the sentence names only the first few of; ``-v`` lists them.
    """

    def __init__(self, sentence: str = "", details: Iterable[str] = ()) -> None:
        super().__init__(sentence)
        self.details = tuple(details)


def first_few(names: Sequence[str], shown: int = 3) -> str:
    """The first of some names, and how many more there are.

    Examples:
        >>> first_few(["a.csv", "b.csv", "c.csv", "d.csv"], 2)
        "'a.csv', 'b.csv' and 2 more (-v lists them)"
    """
    more = f" and {len(names) - shown} more (-v lists them)" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + more


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """How the sentence about an unknown name goes on: with the known name most like it, if any.

    Args:
        name: as it was given.
        known: all names that there are.
        cutoff: how alike two names must be, from 0 to 1.

    Examples:
        >>> f"unknown rule 'gian'{nearest('gian', ['gain', 'loss'])} Known rules: gain, loss"
        "unknown rule 'gian'; did you mean 'gain'? Known rules: gain, loss"
        >>> f"unknown rule 'zzzz'{nearest('zzzz', ['gain', 'loss'])} Known rules: gain, loss"
        "unknown rule 'zzzz'. Known rules: gain, loss"
    """
    from difflib import get_close_matches

    matches = get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {matches[0]!r}?" if matches else "."


def first_of(names: Sequence[str]) -> str:
    """Names for a sentence: the first of them, the others counted.

    Examples:
        >>> first_of(["a", "b"]), first_of([str(i) for i in range(99)])[-18:]
        ('a, b', '18, 19 and 79 more')
    """
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
