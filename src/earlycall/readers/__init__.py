"""Logs in, a `CurveSet` out: `read` finds the runs under a path and the reader that knows each.

A reader of files is a module with ``NAME``, ``recognises(path, head)`` and ``load(path)``; a
reader of folders has ``NAME``, ``recognises_folder(folder, files)``, ``load_folder(folder)`` and
``WHOLE_TREE``, which says whether all below the folder is its own; if not, ``claims(name)`` says
which files are, and ``owns(folder, below)`` which folders. A module may be both.
Recognition is by content, never by the file's name alone. Third parties add readers by the
entry-point group ``earlycall.readers``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from earlycall.curves import CurveSet
from earlycall.errors import CurveWarning, InputError, NothingYetError
from earlycall.readers import remote
from earlycall.readers.assembly import assembled, run_table
from earlycall.readers.base.log import as_text
from earlycall.readers.discovery import sources


def read(
    paths: str | Path | Sequence[str | Path], *, name: str | None = None, pattern: str | None = None
) -> CurveSet:
    r"""Read the runs under one or several paths.

    Args:
        paths: curve sets, log files, folders of logs, or addresses (``wandb://ENTITY/PROJECT``,
            ``http://…`` of an MLflow server, ``postgresql://…`` of an Optuna storage). In a folder,
            each log is a run (or several), named by its path relative to the folder; a
            ``runs.csv`` or ``runs.parquet`` beside the logs tells what is known of each run.
        name: what to call the set in tables; by default the name of the path.
        pattern: read plain text logs by this regular expression with named groups, such as
            ``epoch (?P<epoch>\d+).*loss (?P<train_loss>\S+)``.

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
    sets = [_read_one(path, pattern) for path in paths]
    whole = CurveSet.concat(sets)
    return whole if name is None else CurveSet(whole.observations, whole.runs, name)


def _read_one(path: str | Path, pattern: str | None) -> CurveSet:
    if remote.is_address(path):
        address = str(path)
        return assembled([(address, remote.load(address))], None, address.rpartition("/")[2])
    path = Path(path)
    if path.is_file() and path.name == "curves.parquet":
        path = path.parent
    logs, empty = [], []
    for source in sources(path, pattern):
        try:
            logs.append((source.run, source.log()))
        except NothingYetError as error:
            empty.append(str(error))
    if not logs:
        raise NothingYetError(empty[0])
    for sentence in empty:
        warnings.warn(sentence, CurveWarning, stacklevel=3)
    return assembled(logs, run_table(path), as_text(path.resolve().name))
