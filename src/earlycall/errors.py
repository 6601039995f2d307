"""The errors that a person's input can cause, and the warning about curves."""


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
    """Something about the curves that a person should know but that does not stop the work."""
