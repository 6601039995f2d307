"""Which logs lie under a path, and the reader that knows each.

Recognition is by content, never by the name of a file alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from earlycall.errors import InputError, first_few
from earlycall.readers import remote
from earlycall.readers.address import is_address
from earlycall.readers.base.growing import State
from earlycall.readers.base.inside import files_in, head_of, visible_files, walk_visible
from earlycall.readers.base.log import Log, as_text
from earlycall.readers.beside import files_beside
from earlycall.readers.formats import curve_set
from earlycall.readers.formats.text import PatternReader
from earlycall.readers.object_store import RemoteSet
from earlycall.readers.power.logs import is_power_log
from earlycall.readers.summaries import is_no_log, is_settings

MAX_NEIGHBOURS = 1000  # of a file that was named, among which there may be other logs
_NOT_LOGS = (*curve_set.RUN_TABLES, "emissions.csv")


@cache
def readers() -> tuple[Any, ...]:
    """The readers, in the order in which they are asked; a curve set is read without them."""
    from earlycall.readers.formats import (
        catboost,
        delimited,
        dvclive,
        evals_result,
        experiment_store,
        json_lines,
        keras_history,
        llama_factory,
        mlflow,
        neptune,
        offline_archive,
        open_mmlab,
        optuna,
        ray_tune,
        sacred,
        skorch,
        stable_baselines,
        study_folder,
        swanlab,
        syne_tune,
        table_folder,
        tensorboard,
        trackio,
        trainer_state,
        wandb,
        wandb_export,
    )

    built_in = (
        study_folder, experiment_store, neptune, curve_set, wandb, swanlab, mlflow, trackio, optuna,
        ray_tune, dvclive, trainer_state, catboost, stable_baselines.progress, stable_baselines,
        open_mmlab, llama_factory, sacred, table_folder.ultralytics, table_folder.timm,
        table_folder.lightning_csv, tensorboard, wandb_export, evals_result, keras_history, skorch,
        syne_tune, offline_archive, json_lines, delimited,
    )  # fmt: skip
    plugins = [point.load() for point in entry_points(group="earlycall.readers")]
    return (*plugins, *built_in)


def known_formats() -> str:
    """The names of the formats that can be read."""
    return ", ".join(dict.fromkeys(reader.NAME for reader in readers()))


@dataclass(frozen=True)
class Source:
    """A log that was found: a file, or a folder that holds one.

    Attributes:
        run: what its run is called (or what its runs' names begin with).
        path: where it is.
        reader: what reads it.
        beside: files that say something of its run, the one that counts most last.
    """

    run: str
    path: Path
    reader: Any  # as described in `earlycall.readers`
    beside: tuple[Path, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        is_module = isinstance(self.reader, ModuleType)
        return vars(self) | {"reader": self.reader.__name__} if is_module else vars(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        reader = state["reader"]
        vars(self).update(state)
        if isinstance(reader, str):
            vars(self)["reader"] = import_module(reader)

    def parts(self, state: State) -> Iterator[Log]:
        """What is new since the ``state``.

        Raises:
            InputError: naming the place in the log that cannot be read.
        """
        try:
            for part in self.reader.parts(self.path, state):
                yield part if isinstance(part, Log) else Log(part)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror or error}") from None


def sources(
    path: str | Path, pattern: str | None = None, others: list[str] | None = None
) -> list[Source]:
    """The logs at a path or address, in the order of their names.

    Args:
        path: a file, a folder or an address.
        pattern: for plain text logs.
        others: takes the names of what was found in a folder and is no log.

    Raises:
        InputError: if there is no such path, or no log in it.
    """
    if (found_set := RemoteSet.at(path)) is not None:
        return [Source("", Path(path), found_set)]
    if is_address(path):
        return [Source(str(path), Path(path), remote.Server(str(path)))]
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    by_pattern = None if pattern is None else PatternReader(pattern)
    if path.is_file():
        return _with_beside(
            [Source(as_text(path.name), path, by_pattern or _reader_of(path))], path
        )
    if not path.is_dir():
        raise InputError(f"{path}: neither a file nor a folder; save the log to a file")
    if os.path.lexists(path / "curves.parquet"):
        if not curve_set.is_set(path):
            raise InputError(
                f"{path / 'curves.parquet'}: a link out of the folder; name its target"
            )
        return [Source("", path, curve_set)]
    if by_pattern is not None:
        found = [
            Source(_relative(file, path), file, by_pattern)
            for file in visible_files(path)
            if (head := head_of(file)).strip()
            and b"\0" not in head
            and file.name not in _NOT_LOGS
            and not file.is_symlink()
            and is_no_log(file, head) is None
        ]
    else:
        others = [] if others is None else others
        found = list(_logs_in(path, others))
        if others and not found:
            raise InputError(
                f"{path}: no logs in this folder, only tables and documents that are none: "
                f"{first_few(others)}; name one of them to be told why"
            )
    if not found:
        raise InputError(f"{path}: no logs in this folder; recognised are: {known_formats()}")
    return _with_beside(sorted(found, key=lambda source: source.run), path)


def _with_beside(found: list[Source], path: Path) -> list[Source]:
    """The logs with what stands beside them; beside a file that was named there may be others."""
    logs, is_file = [source.path for source in found], path.is_file()
    files = files_beside(logs, path.parent if is_file else path)
    if is_file and files[0]:
        logs += (p for p in files_in(path.parent)[:MAX_NEIGHBOURS] if p != path and _recognise(p))
        files = files_beside(logs, path.parent)
    return [replace(source, beside=those) for source, those in zip(found, files, strict=False)]


def _logs_in(folder: Path, others: list[str]) -> Iterator[Source]:
    """The logs below a folder; links are not followed: they lead out of it, or to a log again.

    Args:
        folder: where to look.
        others: takes the names of tables and the like that are no logs.
    """
    trees: dict[Path, Any] = {}  # below a run that takes all, further runs of its kind
    for where, folders, files in walk_visible(folder):
        here = Path(where)
        visible = [f for f in files if (here / f).is_file() and not (here / f).is_symlink()]
        above = trees.get(here)
        reader = _folder_reader(here, frozenset(visible), above)
        if reader is not None:
            yield Source(_relative(here, folder), here, reader)
            if hasattr(reader, "owns"):
                owned = reader.owns(here, folders)
                folders[:] = [name for name in folders if name not in owned]
            claims = getattr(reader, "claims", lambda name: True)
            visible = [name for name in visible if not claims(name)]
        if above is not None or (reader is not None and reader.WHOLE_TREE):
            trees |= {here / name: above or reader for name in folders}
            continue
        for name in visible:
            path = here / name
            if name in _NOT_LOGS:
                continue
            found = _recognise(path)
            if getattr(found, "is_copy", lambda path: False)(path):
                continue
            if found is not None and _is_log(found, path):
                yield Source(_relative(path, folder), path, found)
            elif found is not None or _is_other_table(path):
                others.append(_relative(path, folder))


def _is_log(reader: Any, path: Path) -> bool:
    """Whether a file that was only found is a log, by a reader that takes any table."""
    return not hasattr(reader, "is_log") or reader.is_log(path, head_of(path))


def _is_other_table(path: Path) -> bool:
    """Whether a file that no reader knows could be taken for a log."""
    if path.suffix.lower() not in (".csv", ".tsv", ".jsonl", ".ndjson"):
        return False
    head = head_of(path)
    return bool(head.strip()) and not is_power_log(path, head)


def _relative(path: Path, folder: Path) -> str:
    inside = as_text(path.relative_to(folder).as_posix())
    return as_text(folder.resolve().name) if inside == "." else inside


def _folder_reader(folder: Path, files: frozenset[str], only: Any = None) -> Any:
    for reader in readers() if only is None else (only,):
        if hasattr(reader, "recognises_folder"):
            try:
                if reader.recognises_folder(folder, files):
                    return reader
            except OSError:  # what cannot be looked at is not known
                continue
    return None


def _recognise(path: Path) -> Any:
    """The reader of a file, None where none knows it."""
    head = head_of(path)
    if not head or is_settings(path, head) or is_power_log(path, head):
        return None
    of_files = (reader for reader in readers() if hasattr(reader, "recognises"))
    found = next((reader for reader in of_files if reader.recognises(path, head)), None)
    return None if found in _of_any_document() and is_no_log(path, head) else found


@cache
def _of_any_document() -> tuple[Any, ...]:
    """The readers that know a log by no more than that it is a table, or JSON."""
    from earlycall.readers.formats import delimited, evals_result, json_lines, keras_history

    return delimited, evals_result, json_lines, keras_history


def _reader_of(path: Path) -> Any:
    """The reader of a file that was named."""
    reader = _recognise(path)
    if reader is not None:
        return reader
    head = head_of(path)
    if not head.strip():
        why = "the file is empty"
    elif is_power_log(path, head):
        why = "a log of power, not of a run; give it with --power"
    elif not _is_text(head):
        why = "a binary file that no reader recognises; give a log or curve set"
    elif (what := is_no_log(path, head)) is not None:
        why = what
    else:
        why = (
            f"not a log in a known format; recognised are: {known_formats()}; "
            "plain text is read with --pattern"
        )
    raise InputError(f"{path}: {why}")


def _is_text(head: bytes) -> bool:
    text = head[:-4].decode("utf-8", "replace")
    return "\0" not in text and "\ufffd" not in text
