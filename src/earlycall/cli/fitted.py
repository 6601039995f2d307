"""Tables that are never wider than where they are shown: one line a row, and no number is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len
from rich.text import Text

from earlycall.cli import output
from earlycall.formatting import short_names

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

Need = Literal["always", "where it fits", "details"]

PADDING = 2  # spaces between columns
MIN_NAME = 16  # characters that names keep before columns that may be left out are
MIN_NOTE, FULL_NOTE = 20, 30  # that notes keep, and to which they go before names
MAX_TITLE = 16


@dataclass(frozen=True)
class TableColumn:
    """A column of a table in a terminal.

    Attributes:
        title: its head.
        texts: its cells, row by row.
        kind: a name is shortened where room is short, a note cut at its end (folded with -v); texts
            and numbers, which are set flush right, are shown whole.
        need: always shown, where it fits, or as a detail with -v only; -v shows all of them, those
            that do not fit in a further table.
        style: of its cells.
        styles: of each cell.
    """

    title: str
    texts: Sequence[str]
    kind: Literal["name", "number", "text", "note"] = "number"
    need: Need = "always"
    style: str = ""
    styles: Sequence[str] = ()

    @property
    def width(self) -> int:
        """Its width in full; heads that are longer than any cell are cut."""
        longest = max(map(cell_len, self.texts), default=1)
        return max(longest, min(cell_len(self.title), MAX_TITLE))


@dataclass(frozen=True)
class FittedTable:
    """Rows in as many columns as there is room for.

    The first columns up to the name begin every part of a table that is too wide in full.

    Attributes:
        columns: with a cell for each row; at most one name and one note.
        styles: of each row.
    """

    columns: Sequence[TableColumn]
    styles: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        for i, columns in enumerate(self._parts(options.max_width)):
            if i:
                yield Text()
            yield self._drawn(columns, options.max_width)

    def _parts(self, width: int) -> list[list[TableColumn]]:
        """The columns of each table, one below the other."""
        wanted = [c for c in self.columns if output.verbose or c.need != "details"]
        while not output.verbose and _least(wanted) > width:
            droppable = [c for c in wanted if c.need == "where it fits"]
            if not droppable:
                break
            wanted.remove(droppable[-1])
        keys = [c.kind for c in wanted].index("name") + 1
        parts = [wanted[:keys]]
        for column in wanted[keys:]:
            if len(parts[-1]) > keys and _least([*parts[-1], column]) > width:
                parts.append(wanted[:keys])
            parts[-1].append(column)
        return parts

    def _drawn(self, columns: list[TableColumn], width: int) -> Table:
        from rich.table import Table

        whole = sum(c.width for c in columns if c.kind not in ("name", "note"))
        left = width - whole - PADDING * (len(columns) - 1)
        note = sum(c.width for c in columns if c.kind == "note")
        table = Table(header_style="dim", box=None, pad_edge=False, padding=(0, PADDING, 0, 0))
        cells = []
        for column in columns:
            size, texts = column.width, list(column.texts)
            if column.kind == "name":
                room = left - min(note, max(left // 2, FULL_NOTE))
                size = max(min(size, max(room, min(MIN_NAME, left))), 1)
                texts = short_names(texts, size)
                left -= size
            elif column.kind == "note":
                size = max(left, 1)
                if not output.verbose:
                    texts = [_whole_words(text, size) for text in texts]
            table.add_column(
                column.title,
                justify="right" if column.kind == "number" else "left",
                style=column.style,
                width=min(size, column.width),
                no_wrap=not (output.verbose and column.kind == "note"),
                overflow="ellipsis",
            )
            styles = column.styles or [""] * len(texts)
            cells.append([Text(t, style=s) for t, s in zip(texts, styles, strict=True)])
        notes_alone = columns[-1].kind == "note" and columns[-2].kind == "name"
        rows = zip(*cells, strict=True)
        for row, style in zip(rows, self.styles or [""] * len(cells[0]), strict=True):
            if row[-1] or not notes_alone:
                table.add_row(*row, style=style)
        return table


def names(runs: Iterable[str], title: str = "run", ending: str | None = None) -> TableColumn:
    """The names of runs, without the ending of a file that they share.

    Args:
        runs: as they are.
        title: the head.
        ending: what they share, where they are only some of the runs.
    """
    from earlycall.formatting import common_ending

    runs = list(runs)
    shared = common_ending(runs) if ending is None else ending
    return TableColumn(title, [output.shown(r.removesuffix(shared)) for r in runs], "name")


def _whole_words(text: str, most: int) -> str:
    """The beginning of a sentence, without a part of a word or number."""
    if cell_len(text) <= most:
        return text
    words = text[:most].split(" ")[:-1] or [text[: most - 1]]
    return f"{' '.join(words)}…"


def _least(columns: Sequence[TableColumn]) -> int:
    """The least width of a table of these columns."""
    least = {"name": MIN_NAME, "note": MIN_NOTE}
    widths = (min(c.width, least.get(c.kind, c.width)) for c in columns)
    return sum(widths) + PADDING * (len(columns) - 1)
