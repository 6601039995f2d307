"""What stands beside a log and says something of its run: settings, and summaries.

A file is of the log in its folder; where its folder holds none, of the only log below. Of several
logs in its folder or, where there is none, in the folders directly below, settings are those of
each, with a note; a summary is of none. A file that bears the name of a log (``a_config.json``
beside ``a.csv``) is of that one alone. The nearest file counts, and before all the log itself.
"""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.curves.cleaning import Observations
from earlycall.curves.columns import plain, words
from earlycall.curves.outcomes import SUMMARY
from earlycall.errors import CurveWarning
from earlycall.readers.base.inside import is_inside
from earlycall.readers.base.log import table_of
from earlycall.readers.base.settings_file import HYDRA, settings_in, settings_kind
from earlycall.readers.summaries import (
    holds_results,
    is_only_summary,
    is_summary_name,
    summary_in,
)
from earlycall.readers.trainings import LOG_WORDS, beyond_the_log

_DOCUMENTS = (".json", ".yaml", ".yml")
_SEPARATOR = re.compile(r"[._-]")
_OF_A_LOG = re.compile(rf"[._-](?:{'|'.join(sorted({*LOG_WORDS, 'train'}))})$")


def files_beside(logs: Sequence[Path], root: Path) -> list[tuple[Path, ...]]:
    """For each log the files that say something of its run, the one that counts most last.

    Args:
        logs: files and folders.
        root: the folder above which nothing is read.
    """
    homes = [log if log.is_dir() else log.parent for log in logs]
    above = [_up_to(root, home) for home in homes]
    trainings = {(home, _name(log)): up for log, home, up in zip(logs, homes, above, strict=True)}
    direct = Counter(home for home, _ in trainings)
    below = Counter(folder for folders in trainings.values() for folder in folders)
    taken = set(logs)
    listed = {folder: _Folder(folder, taken) for folder in below}
    found, shared = [], dict[Path, None]()
    for log, home, folders in zip(logs, homes, above, strict=True):
        files = [] if log == home else listed[home].of(log)
        for folder in folders:
            here, is_home = listed[folder], folder == home
            if below[folder] == 1 or (is_home and direct[folder] == 1):
                files += here.settings + here.summaries
            elif is_home or (folder == home.parent and direct[home] == 1 and not direct[folder]):
                files += here.settings
                shared |= dict.fromkeys(here.settings)
        found.append(tuple(reversed(dict.fromkeys(files))))
    for path in shared:
        _warn(f"{path}: taken as the settings of each of the logs beside it")
    return found


def _name(log: Path) -> tuple[str, ...]:
    """What the name of a log that is a file says of its run."""
    return () if log.is_dir() else beyond_the_log(words(log.stem))


def _up_to(root: Path, home: Path) -> list[Path]:
    """A folder and those above it, up to the root."""
    parents = [home, *home.parents]
    return parents[: parents.index(root) + 1] if root in parents else [home]


class _Folder:
    """The files of a folder that may say something of runs, the one that counts most first."""

    def __init__(self, folder: Path, logs: set[Path]) -> None:
        try:
            names = sorted(entry.name for entry in os.scandir(folder))
        except OSError:
            names = []
        hydra = [*HYDRA] if ".hydra" in names else []
        names = [name for name in names if not name.startswith(".")] + hydra
        self._folder, self._logs = folder, logs
        kinds = {name: kind for name in names if (kind := settings_kind(name)) is not None}
        self.settings = self._paths(sorted(kinds, key=lambda name: -kinds[name]))
        self.summaries = self._paths(name for name in names if is_summary_name(name))
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in names:
            if name not in kinds:
                for stem in _stems(name):
                    self._by_stem[stem].append(name)

    def of(self, log: Path) -> list[Path]:
        """The files that bear the name of a log in the folder."""
        stems = dict.fromkeys((log.stem, _OF_A_LOG.sub("", log.stem)))
        return self._paths(name for stem in stems for name in self._by_stem.get(stem, ()))

    def _paths(self, names: Any) -> list[Path]:
        paths = (self._folder / name for name in names)
        return [p for p in paths if p not in self._logs and is_inside(p, self._folder)]


def _stems(name: str) -> list[str]:
    """The names of logs that a file bears: ``a.yaml``, ``a_config.json``, ``config-a.json``."""
    found = [stem for stem, rest in _splits(name) if _is_settings(rest) or is_only_summary(rest)]
    return [*found, Path(name).stem] if name.endswith(_DOCUMENTS) else []


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """What a name may bear of another one, and the rest of it."""
    path = Path(name)
    if path.suffix in _DOCUMENTS:
        for cut in _SEPARATOR.finditer(path.stem):
            before, after = path.stem[: cut.start()], path.stem[cut.end() :]
            yield before, after + path.suffix
            yield after, before + path.suffix


def _is_settings(name: str) -> bool:
    return settings_kind(name) is not None


class Facts:
    """What the files beside a log say, read again when they have changed.

    Attributes:
        row: ``hp.*`` and ``summary.*``.
    """

    def __init__(self) -> None:
        self.row: dict[str, Any] = {}
        self._signature: list[tuple[Path, int, int, int]] = []

    def update(self, files: Sequence[Path]) -> bool:
        """Whether the files, of which the last one counts most, say something else now."""
        signature = []
        for path in files:
            with suppress(OSError):
                stat = path.stat()
                signature.append((path, stat.st_ino, stat.st_size, stat.st_mtime_ns))
        if signature == self._signature:
            return False
        before, self._signature, self.row = self.row, signature, {}
        said: dict[str, Path] = {}
        paths = [(path, _holds_settings(path)) for path, *_ in signature]
        for path, is_settings in sorted(paths, key=lambda pair: pair[1]):
            found = settings_in(path) if is_settings else summary_in(path)
            for name in found.keys() & said.keys():
                if said[name].parent == path.parent and found[name] != self.row[name]:
                    what = f"{name.removeprefix('hp.')!r} as in {path.name}, not {said[name].name}"
                    _warn(f"{path.parent}: two files say different settings; taken is {what}")
                    break
            self.row |= found
            if is_settings and path.parent.name != ".hydra":
                said |= dict.fromkeys(found, path)
        return self.row != before

    def joined(
        self, runs: pl.DataFrame | None, rows: Observations, *, named: bool
    ) -> pl.DataFrame | None:
        """The settings of a log's only run with what it lacks; those of several as they are.

        Args:
            runs: what the log says of its runs.
            rows: its observations, whose metrics say more than a summary.
            named: whether the log names its runs.
        """
        if not self.row or len(rows.keys) != 1 or (runs is not None and runs.height > 1):
            return runs
        row = self.row
        if any(name.startswith(SUMMARY) for name in row):
            logged = {SUMMARY + plain(name) for name in rows.frame().columns}
            row = {n: v for n, v in row.items() if SUMMARY + plain(n[len(SUMMARY) :]) not in logged}
        own = {} if runs is None or not runs.height else runs.row(0, named=True)
        if named and "run" not in own:
            own |= {"run": rows.keys["run"][0]}
        lacking = table_of([{n: v for n, v in row.items() if own.get(n) is None}])
        if runs is None or not runs.height:
            runs = pl.DataFrame(own) if own else None
        if runs is None:
            return lacking
        return runs.drop(set(runs.columns) & set(lacking.columns)).hstack(lacking)


def _holds_settings(path: Path) -> bool:
    """Whether a file is one of settings rather than a summary: by its name, else by its content."""
    if path.parent.name == ".hydra" or _is_settings(path.name):
        return True
    if is_summary_name(path.name):
        return False
    return any(_is_settings(rest) for _, rest in _splits(path.name)) or not holds_results(path)


def _warn(sentence: str) -> None:
    warnings.warn(sentence, CurveWarning, stacklevel=2)
