"""Folders with one table of a run and its settings beside it: Lightning, timm, Ultralytics.

A row of this table of formats tells how each is known and read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from earlycall.readers.base.log import Log, going_on, settings, table_of
from earlycall.readers.base.settings_file import settings_beside
from earlycall.readers.formats import delimited
from earlycall.readers.growing.tails import Stamp, stamp


@dataclass(frozen=True)
class TableFolder:
    """A reader of folders whose run is one table.

    Attributes:
        NAME: what people call it.
        table: the name of the table's file.
        beside: the names of the settings' files.
        columns: columns that the header must have one of, all of each.
        needs: files without which it is any table.
        renamed: columns that mean something to us.
    """

    NAME: str
    table: str
    beside: tuple[str, ...]
    columns: tuple[frozenset[str], ...]
    needs: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    WHOLE_TREE: bool = False

    def recognises_folder(self, folder: Path, files: frozenset[str]) -> bool:
        """Whether the table is there, with its columns."""
        if not {self.table, *self.needs} <= files:
            return False
        with (folder / self.table).open("rb") as file:
            head = file.read(1 << 14).split(b"\n", 1)[0]
        names = {name.strip().strip('"') for name in head.decode("utf-8", "replace").split(",")}
        return any(wanted <= names for wanted in self.columns)

    def load_folder(self, folder: Path) -> Log:
        """The run.

        Raises:
            InputError: naming the line and column that cannot be read.
        """
        table = delimited.load(folder / self.table)
        new = {a: b for a, b in self.renamed if a in table.columns and b not in table.columns}
        table = table.rename(new)
        if "seconds" in new.values():
            table = table.with_columns(going_on(pl.col("seconds")))
        return Log(table, self.settings_of(folder))

    def settings_of(self, folder: Path) -> pl.DataFrame | None:
        """The run's settings."""
        hyper: dict[str, object] = {}
        for name in self.beside:
            hyper |= settings(settings_beside(folder / name))
        return table_of([hyper]) if hyper else None

    def tail_folder(self, folder: Path) -> TableTail | None:
        """What reads a growing run on, where nothing depends on its later rows."""
        return None if self.renamed else TableTail(folder, self)


class TableTail(delimited.DelimitedTail):
    """The observations of the table in a folder, a part of it at a time.

    Args:
        folder: the run's folder.
        kind: what the folder is.
    """

    def __init__(self, folder: Path, kind: TableFolder) -> None:
        super().__init__(folder / kind.table)
        self._folder, self._kind = folder, kind
        self._stamps: list[Stamp] = []
        self._settings: pl.DataFrame | None = None

    def runs(self) -> pl.DataFrame | None:
        """The run's settings."""
        files = (self._folder / name for name in self._kind.beside)
        now = [stamp(file) for file in files if file.is_file()]
        if now != self._stamps:
            self._stamps, self._settings = now, self._kind.settings_of(self._folder)
        return self._settings


lightning_csv = TableFolder(
    "Lightning CSV logs",
    "metrics.csv",
    ("hparams.yaml",),
    (frozenset({"step"}),),
    needs=("hparams.yaml",),
)
timm = TableFolder(
    "timm summaries",
    "summary.csv",
    ("args.yaml",),
    (frozenset({"epoch", "train_loss"}),),
    ("args.yaml",),
)
ultralytics = TableFolder(
    "Ultralytics results",
    "results.csv",
    ("args.yaml",),
    (frozenset({"epoch", "train/loss"}), frozenset({"epoch", "train/box_loss"})),
    renamed=(("time", "seconds"),),
)
