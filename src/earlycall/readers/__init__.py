"""Logs in, a `CurveSet` out: `read` finds the runs under a path and the reader that knows each.

A reader of files is a module with ``NAME``, ``recognises(path, head)`` and ``load(path)``; a
reader of folders has ``NAME``, ``recognises_folder(folder, files)``, ``load_folder(folder)`` and
``WHOLE_TREE``, which says whether all below the folder is its own; if not, ``claims(name)`` says
which files are, and ``owns(folder, below)`` which folders. A module may be both.
Recognition is by content, never by the file's name alone. Third parties add readers by the
entry-point group ``earlycall.readers``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.curves import KEYS, CurveSet
from earlycall.curves.cleaning import with_step_name
from earlycall.curves.columns import training_loss, validation_loss
from earlycall.errors import CurveWarning, InputError, NothingYetError
from earlycall.readers import curve_set, remote
from earlycall.readers.growing import Gathering, Tail
from earlycall.readers.inside import is_inside
from earlycall.readers.log import Log, as_text

HEAD = 8192
_RUN_TABLES = ("runs.parquet", "runs.csv")
_NOT_LOGS = (*_RUN_TABLES, "emissions.csv", "hparams.yaml", "args.yaml")


@cache
def readers() -> tuple[Any, ...]:
    """The readers, in the order in which they are asked; a curve set is read without them."""
    from earlycall.readers import (
        delimited,
        dvclive,
        json_lines,
        keras_history,
        mlflow,
        optuna,
        ray_tune,
        table_folder,
        tensorboard,
        trackio,
        trainer_state,
        wandb,
        wandb_export,
    )

    built_in = (
        curve_set, wandb, mlflow, trackio, optuna, ray_tune, dvclive, trainer_state,
        table_folder.ultralytics, table_folder.timm, table_folder.lightning_csv, tensorboard,
        wandb_export, keras_history, json_lines, delimited,
    )  # fmt: skip
    plugins = [point.load() for point in entry_points(group="earlycall.readers")]
    return (*plugins, *built_in)


def known() -> str:
    """The formats that can be read, as a list in words."""
    return ", ".join(dict.fromkeys(reader.NAME for reader in readers()))


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


@dataclass(frozen=True)
class Source:
    """A log that was found: a file, or a folder that holds one.

    Attributes:
        run: what its run is called (or what its runs' names begin with).
        path: where it is.
        load: reads it.
        tail: what reads it on as it grows, where its reader knows how.
        kind: what its reader calls it.
        gathering: what reads on a log of several runs or files, where its reader knows how.
    """

    run: str
    path: Path
    load: Callable[[], pl.DataFrame | Log]
    tail: Callable[[], Tail | None] = lambda: None
    kind: str = ""
    gathering: Callable[[], Gathering | None] = lambda: None

    def log(self) -> Log:
        """What it holds.

        Raises:
            InputError: naming the place in the log that cannot be read.
        """
        try:
            found = self.load()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        return found if isinstance(found, Log) else Log(found)


def sources(path: Path, pattern: str | None = None) -> list[Source]:
    """The logs at a path, in the order of their names.

    Raises:
        InputError: if there is no such path, or no log in it.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    by_pattern = None if pattern is None else _by_pattern(pattern)
    if path.is_file():
        if by_pattern is not None:
            return [Source(as_text(path.name), path, _loader(by_pattern, path))]
        reader = _reader_of(path)
        load = _loader(reader.load, path)
        return [Source(as_text(path.name), path, load, *_ways_on(reader, "", path))]
    if not path.is_dir():
        raise InputError(f"{path}: neither a file nor a folder; save the log to a file")
    if os.path.lexists(path / "curves.parquet"):
        if not is_inside(path / "curves.parquet", path):
            raise InputError(
                f"{path / 'curves.parquet'}: a link out of the folder; name its target"
            )
        return [Source("", path, lambda: curve_set.load(path / "curves.parquet"))]
    if by_pattern is not None:
        files = [p for p in _files_in(path) if _is_text_file(p)]
        found = [Source(_relative(p, path), p, _loader(by_pattern, p)) for p in files]
    else:
        found = list(_logs_in(path))
    if not found:
        raise InputError(f"{path}: no logs in this folder; recognised are: {known()}")
    return sorted(found, key=lambda source: source.run)


def _by_pattern(pattern: str) -> Callable[[Path], pl.DataFrame]:
    """What reads plain text by a pattern.

    Raises:
        InputError: if the pattern cannot be used.
    """
    from earlycall.readers import text

    expression = text.compiled(pattern)
    return lambda path: text.load(path, expression)


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


def _logs_in(folder: Path) -> Iterator[Source]:
    """The logs below a folder; links are not followed: they lead out of it, or to a log again."""
    for where, folders, files in os.walk(folder):
        here = Path(where)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        visible = [f for f in sorted(files) if not f.startswith(".") and _is_plain(here / f)]
        reader = _folder_reader(here, frozenset(visible))
        if reader is not None:
            load = _loader(reader.load_folder, here)
            yield Source(_relative(here, folder), here, load, *_ways_on(reader, "_folder", here))
            if reader.WHOLE_TREE:
                folders.clear()
                continue
            if hasattr(reader, "owns"):
                owned = reader.owns(here, folders)
                folders[:] = [name for name in folders if name not in owned]
            claims = getattr(reader, "claims", lambda name: True)
            visible = [name for name in visible if not claims(name)]
        for name in visible:
            path = here / name
            if name not in _NOT_LOGS and (found := _recognise(path)) is not None:
                load = _loader(found.load, path)
                yield Source(_relative(path, folder), path, load, *_ways_on(found, "", path))


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _loader(load: Callable[[Path], Any], path: Path) -> Callable[[], Any]:
    return lambda: load(path)


def _ways_on(
    reader: Any, end: str, path: Path
) -> tuple[Callable[[], Tail | None], str, Callable[[], Gathering | None]]:
    """How a log is read on, as `Source` takes it."""

    def way(name: str) -> Callable[[], Any]:
        return lambda: getattr(reader, name + end, lambda _: None)(path)

    return way("tail"), reader.NAME, way("gathering")


def _relative(path: Path, folder: Path) -> str:
    inside = as_text(path.relative_to(folder).as_posix())
    return as_text(folder.resolve().name) if inside == "." else inside


def _files_in(folder: Path) -> Iterable[Path]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            path = Path(where, file)
            if not file.startswith(".") and _is_plain(path):
                yield path


def _folder_reader(folder: Path, files: frozenset[str]) -> Any:
    for reader in readers():
        if hasattr(reader, "recognises_folder"):
            try:
                if reader.recognises_folder(folder, files):
                    return reader
            except OSError:  # what cannot be looked at is not known
                continue
    return None


def _recognise(path: Path) -> Any:
    """The reader of a file, None where none knows it."""
    from earlycall.power import is_power_log

    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    if is_power_log(path, head):
        return None
    of_files = (reader for reader in readers() if hasattr(reader, "recognises"))
    return next((reader for reader in of_files if head and reader.recognises(path, head)), None)


def _reader_of(path: Path) -> Any:
    """The reader of a file that was named; why there is none, if there is none."""
    reader = _recognise(path)
    if reader is not None:
        return reader
    with path.open("rb") as file:
        head = file.read(HEAD)
    from earlycall.power import is_power_log

    if not head.strip():
        raise InputError(f"{path}: the file is empty")
    if is_power_log(path, head):
        raise InputError(f"{path}: a log of power, not of a run; give it with --power")
    if b"\0" in head or not _is_text(head):
        raise InputError(
            f"{path}: a binary file that no reader recognises; give a log or curve set"
        )
    raise InputError(
        f"{path}: not a log in a known format; recognised are: {known()}; "
        "plain text is read with --pattern"
    )


def _is_text(head: bytes) -> bool:
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_text_file(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD)
    return bool(head.strip()) and b"\0" not in head and path.name not in _NOT_LOGS


def run_table(path: Path) -> pl.DataFrame | None:
    """What is known of each run, from the table beside the logs."""
    for name in _RUN_TABLES:
        table = path / name
        if path.is_dir() and is_inside(table, path):
            if name.endswith("parquet"):
                return curve_set.load(table)
            from earlycall.readers import delimited

            return delimited.table(table)
    return None


def assembled(logs: list[tuple[str, Log]], told: pl.DataFrame | None, name: str) -> CurveSet:
    """One curve set from several logs.

    Args:
        logs: what each log's run is called, and what it holds.
        told: a table of runs beside the logs; it has the last word.
        name: what to call the set.

    Raises:
        InputError: if there is no observation, or a column cannot be used.
    """
    logs = [(run, log) for run, log in logs if log.observations.height] or logs
    several = len(logs) > 1
    if any("group" in log.observations.columns for _, log in logs):
        logs = [(run, _in_a_group(log)) for run, log in logs]
    tables = [_named(log.observations, run, several=several) for run, log in logs]
    from_logs = [
        _named(log.runs, run, several=several) for run, log in logs if log.runs is not None
    ]
    if [run for run, _ in logs] != [""]:  # a curve set is taken as it is
        tables = _same_names(tables)
    whole = pl.concat(tables, how="diagonal_relaxed") if several else tables[0]
    try:
        return CurveSet.from_frame(whole, _all_told(from_logs, told), name=name)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _in_a_group(log: Log) -> Log:
    """A log whose runs have a group, that of all runs where they had none."""
    everyone = pl.lit("all").alias("group")
    rows, runs = log.observations, log.runs
    rows = rows if "group" in rows.columns else rows.with_columns(everyone)
    if runs is not None and "group" not in runs.columns:
        runs = runs.with_columns(everyone)
    return Log(rows, runs)


def _named(table: pl.DataFrame, run: str, *, several: bool) -> pl.DataFrame:
    """A table with its run's name."""
    if "run" not in table.columns:
        return table.with_columns(run=pl.lit(run))
    if several:
        return table.with_columns(run=pl.format("{}/{}", pl.lit(run), "run"))
    return table


def _same_names(tables: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Tables in which steps, the training and the validation loss can be found under one name."""
    tables = [with_step_name(table) for table in tables]
    names = [[c for c in table.columns if c not in KEYS] for table in tables]
    training = [training_loss(metrics)[0] for metrics in names]
    joined = len({guess for guess in training if guess is not None}) > 1
    out = []
    for table, metrics, loss in zip(tables, names, training, strict=True):
        new = {"train_loss": loss if joined else None, "val_loss": validation_loss(metrics)[0]}
        added = [
            pl.col(old).alias(name)
            for name, old in new.items()
            if old is not None and name not in table.columns
        ]
        out.append(table.with_columns(added))
    return out


def _all_told(from_logs: list[pl.DataFrame], told: pl.DataFrame | None) -> pl.DataFrame | None:
    """What logs tell of their runs, and what a table beside them does, which has the last word."""
    if not from_logs:
        return told
    logged = pl.concat(_agreeing(from_logs), how="diagonal_relaxed")
    if told is None or "run" not in told.columns:
        return logged if told is None else told
    on = ["group", "run"] if {"group"} <= set(told.columns) & set(logged.columns) else ["run"]
    told = told.with_columns(pl.col(on).cast(pl.String))
    both = told.join(logged, on=on, how="full", coalesce=True, suffix=" of the log")
    for column in [c for c in both.columns if c.endswith(" of the log")]:
        both = both.drop(column)
    return both


def _agreeing(tables: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Tables whose columns can be joined: one that is text in some of them becomes text in all."""
    mixed = {
        name
        for table in tables
        for name in table.columns
        if len({t.schema[name].is_numeric() for t in tables if name in t.columns}) > 1
    }
    return [
        t.with_columns(pl.col([c for c in t.columns if c in mixed]).cast(pl.String)) for t in tables
    ]
