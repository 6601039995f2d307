"""Logs in, a `CurveSet` out: `read` finds the runs under a path and the reader that knows each.

A reader is a module with ``NAME`` and ``parts(path, state)``. ``recognises(path, head)`` says
whether a file is its own, by its content, never by its name alone. For logs that are folders,
``recognises_folder(folder, files)`` does, and ``WHOLE_TREE`` says whether all below the folder is
its own, but for further runs of its kind; if not, ``claims(name)`` says which files are. Folders
that ``owns(folder, below)`` names are not looked into. Where any table would be recognised,
``is_log(path, head)`` says whether one that was only found in a folder, not named, is a log.

``parts`` yields a table of observations or a `Log`. A reader that can read a growing log on keeps
in ``state``, a dictionary that is empty at first, what it needs for that, and marks what follows
earlier parts with ``continues``; any other leaves ``state`` alone and yields the whole log.
Third parties add readers by the entry-point group ``earlycall.readers``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from earlycall.curves import CurveSet
from earlycall.errors import (
    CurveWarning,
    EmptyLogError,
    InputError,
    NoMatchError,
    first_few,
)
from earlycall.readers.address import is_address
from earlycall.readers.assembly import assembled, together
from earlycall.readers.discovery import Source, sources
from earlycall.readers.mirror import by_address, mirror_of
from earlycall.readers.trainings import warn_of_copies
from earlycall.readers.workers import Outcome, read_each


def read(
    paths: str | Path | Sequence[str | Path],
    *,
    name: str | None = None,
    pattern: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CurveSet:
    r"""Read the runs under one or several paths.

    Args:
        paths: curve sets, log files, folders of logs, or addresses (``s3://…``, ``gs://…``,
            ``az://…``, ``hf://…`` of logs in object storage, ``https://…/log.csv``,
            ``wandb://ENTITY/PROJECT``, ``http://…`` of an MLflow server, ``postgresql://…`` of an
            Optuna storage). In a folder,
            each log is a run (or several), named by its path relative to the folder; files of
            settings beside a log (``config.yaml``, ``args.json`` …) are read with it; a
            ``runs.csv`` or ``runs.parquet`` in the folder adds settings and outcomes.
        name: what to call the set in tables; by default the name of the path.
        pattern: read plain text logs by this regular expression with named groups, such as
            ``epoch (?P<epoch>\d+).*loss (?P<train_loss>\S+)``.
        progress: called with (done, total) after each log.

    Returns:
        The runs of all paths together. Where logs give the training loss different names, those
        are joined in ``train_loss``; a validation loss of another name also is ``val_loss``.

    Raises:
        InputError: naming the file, line or column that cannot be read, and what to do.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.csv").write_text("step,train_loss\n1,2.5\n2,1.5\n")
        ...     read(folder).runs["run"].to_list()
        ['a.csv']
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    if not paths:
        raise InputError("no path was given; name a curve set, a log file or a folder of logs")
    mirrors = [mirror_of(path) for path in paths]
    with by_address([mirror for mirror in mirrors if mirror is not None]):
        here = [path if mirror is None else mirror.update(progress)
                for path, mirror in zip(paths, mirrors, strict=True)]  # fmt: skip
        found = [_Found.under(path, pattern) for path in here]
        all_sources = [source for one in found for source in one.sources]
        with closing(read_each(all_sources)) as outcomes:
            counted = _counted(outcomes, len(all_sources), progress)
            curves = together([one.read(counted) for one in found])
        warn_of_copies(curves.observations, curves.runs)
    return curves if name is None else replace(curves, name=name)


def _counted(
    outcomes: Iterator[Outcome], total: int, progress: Callable[[int, int], None] | None
) -> Iterator[Outcome]:
    for done, outcome in enumerate(outcomes, start=1):
        if progress is not None:
            progress(done, total)
        yield outcome


@dataclass(frozen=True)
class _Found:
    """What was found under a path: logs, and the names of files that are none."""

    path: str | Path
    sources: list[Source]
    others: list[str]

    @classmethod
    def under(cls, path: str | Path, pattern: str | None) -> _Found:
        if not is_address(path):
            path = Path(path)
            path = path.parent if path.is_file() and path.name == "curves.parquet" else path
        others = list[str]()
        return cls(path, sources(path, pattern, others), others)

    def read(self, outcomes: Iterator[Outcome]) -> CurveSet:
        """The runs of the logs, of which the next outcomes are."""
        logs, empty, others = [], [], self.others
        unmatched: NoMatchError | None = None
        for source, outcome in zip(self.sources, outcomes, strict=False):
            if isinstance(outcome, EmptyLogError):
                empty.append(str(outcome))
            elif isinstance(outcome, NoMatchError):
                if source.path == self.path:
                    raise outcome
                unmatched = outcome
                others.append(source.run)
            else:
                logs.append(outcome)
        if not logs:
            raise unmatched if unmatched is not None and not empty else EmptyLogError(empty[0])
        for sentence in empty:
            warnings.warn(sentence, CurveWarning, stacklevel=3)
        if others:
            n = len(others)
            what = "1 file is no log and was" if n == 1 else f"{n} files are no logs and were"
            sentence = f"{self.path}: {what} left out: {first_few(others)}"
            warnings.warn(CurveWarning(sentence, others), stacklevel=3)
        return assembled(logs, self.path)
