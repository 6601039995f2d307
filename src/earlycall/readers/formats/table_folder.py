"""Folders with one table of a run, known by the settings beside it: Lightning, timm, Ultralytics.

Each is a row of the table of formats at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from earlycall.readers.base.growing import State, growing_parts
from earlycall.readers.base.log import Log, make_monotone
from earlycall.readers.formats import delimited


@dataclass(frozen=True)
class TableFolder:
    """A reader of folders whose run is one table.

    Attributes:
        NAME: what people call it.
        table: the name of the table's file.
        columns: sets of columns, one of which the header must have in full.
        needs: files that must stand beside it.
        renamed: columns with a meaning here, by another name.
        summed: losses, by the beginning of the names of those that they are the sum of.
    """

    NAME: str
    table: str
    columns: tuple[frozenset[str], ...]
    needs: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    summed: tuple[tuple[str, str], ...] = ()
    WHOLE_TREE: bool = False

    def recognises_folder(self, folder: Path, files: frozenset[str]) -> bool:
        """Whether the table is there, with its columns."""
        if not {self.table, *self.needs} <= files:
            return False
        with (folder / self.table).open("rb") as file:
            head = file.read(1 << 14).split(b"\n", 1)[0]
        names = {name.strip().strip('"') for name in head.decode("utf-8", "replace").split(",")}
        return any(wanted <= names for wanted in self.columns)

    def claims(self, name: str) -> bool:
        """Whether a file of the folder belongs to the run; TensorBoard's hold the same."""
        return name in (self.table, *self.needs) or ".tfevents." in name

    def parts(self, folder: Path, state: State) -> Iterator[Log]:
        """The run's new observations.

        Raises:
            InputError: naming the line and column that cannot be read.
        """
        if self.renamed:  # seconds that depend on the rows before
            return iter([self._load(folder)])
        return growing_parts(folder, state, self._new_parts, self._load)

    def _new_parts(self, folder: Path, state: State) -> Iterator[Log]:
        return delimited.new_parts(folder / self.table, state)

    def _load(self, folder: Path) -> Log:
        table = delimited.load(folder / self.table)
        new = {a: b for a, b in self.renamed if a in table.columns and b not in table.columns}
        table = table.rename(new)
        if "seconds" in new.values():
            table = table.with_columns(make_monotone(pl.col("seconds")))
        for total, beginning in self.summed:
            terms = [c for c in table.columns if c.startswith(beginning) and c.endswith("_loss")]
            if terms and total not in table.columns:
                both = pl.sum_horizontal(terms, ignore_nulls=False).alias(total)
                table = table.with_columns(both)
        return Log(table)


lightning_csv = TableFolder(
    "Lightning CSV logs",
    "metrics.csv",
    (frozenset({"step"}),),
    needs=("hparams.yaml",),
)
timm = TableFolder(
    "timm summaries",
    "summary.csv",
    (frozenset({"epoch", "train_loss"}),),
    ("args.yaml",),
)
ultralytics = TableFolder(
    "Ultralytics results",
    "results.csv",
    (frozenset({"epoch", "train/loss"}), frozenset({"epoch", "train/box_loss"})),
    renamed=(("time", "seconds"),),
    summed=(("train_loss", "train/"), ("val_loss", "val/")),
)
