"""``earlycall nas rank``: architectures that were never trained, the best first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import output
from earlycall.cli.options import Format, Output

if TYPE_CHECKING:
    import polars as pl


def command(
    runs: Annotated[
        Path,
        typer.Argument(
            help="A table with arch.* columns (Parquet or CSV), or a curve set.",
            show_default=False,
        ),
    ],
    model: Annotated[Path, typer.Option(help="What 'earlycall nas fit' wrote.")],
    top: Annotated[int, typer.Option(help="Rows of the table; 0 for all.")] = 30,
    fmt: Output = Format.table,
) -> None:
    """Rank architectures that were never trained.

    The score is the predicted standing: the part of the collected runs that the architecture
    would beat, from 0 to 1.

    Examples:
      earlycall nas rank new.parquet --model model

      earlycall nas rank new.parquet --model model --format json
    """
    from earlycall.nas.model_file import load
    from earlycall.nas.predictor import rank_unseen

    predictor = load(model)
    table = described(runs)
    with output.working("ranking"):
        ranked = rank_unseen(predictor, table)
    if fmt is Format.json:
        output.print_json({"runs": ranked.to_dicts()})
    elif fmt is Format.csv:
        output.print_csv(ranked)
    else:
        _print(ranked, top)
        output.console().print(f"learnt from {predictor.quality_}", style="dim", markup=False)


def described(path: Path) -> pl.DataFrame:
    """A table of architectures from a file, or that of a curve set.

    Raises:
        InputError: if there is none, or it cannot be read.
    """
    from earlycall.errors import InputError
    from earlycall.readers.formats import curve_set, delimited

    if path.is_dir():
        inside = [path / name for name in ("runs.parquet", "runs.csv") if (path / name).exists()]
        if not inside:
            raise InputError(f"{path}: has no runs.parquet or runs.csv; name a table")
        path = inside[0]
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.suffix in (".parquet", ".pq"):
        return curve_set.load(path)
    return _with_numbers(delimited.table(path))


def _with_numbers(table: pl.DataFrame) -> pl.DataFrame:
    """A table of text in which columns that hold only numbers are numbers."""
    import polars as pl

    parsed = table.with_columns(pl.col(pl.String).cast(pl.Float64, strict=False))
    same = [c for c in table.columns if parsed[c].null_count() == table[c].null_count()]
    return table.with_columns(parsed[c] for c in same if c not in ("run", "group"))


def _print(ranked: pl.DataFrame, top: int) -> None:
    from rich.table import Table
    from rich.text import Text

    several = ranked["group"].n_unique() > 1
    table = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("rank", justify="right")
    for name in ("group", "run") if several else ("run",):
        table.add_column(name, overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("±", justify="right")
    shown = ranked.head(top) if top > 0 else ranked
    for row in shown.iter_rows(named=True):
        names = [Text(row[name]) for name in (("group", "run") if several else ("run",))]
        numbers = [output.number(row["score"], 3), output.number(row["se"], 2)]
        style = "bold green" if row["rank"] == 1 else None
        table.add_row(str(row["rank"]), *names, *numbers, style=style)
    out = output.console()
    out.print(table)
    if shown.height < ranked.height:
        out.print(f"… and {ranked.height - shown.height} more; --top 0 shows all", style="dim")
