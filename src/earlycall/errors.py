"""The one error that a person's input can cause."""


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


class NothingYetError(InputError):
    """A log of a run that has just begun: readable, but without an observation so far.

    Among other logs of a folder it is left out with a note.
    """


class CurveWarning(UserWarning):
    """Something about the curves that a person should know but that does not stop the work."""
