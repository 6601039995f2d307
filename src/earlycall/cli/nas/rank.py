"""``earlycall nas rank``: architectures that were never trained, the best first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earlycall.cli import options, output
from earlycall.formatting import number

if TYPE_CHECKING:
    import polars as pl
    from rich.console import RenderableType

    from earlycall.cli.fitted import TableColumn

Top = Annotated[int, typer.Option(help="Number of rows (0 = all).")]
Model = Annotated[Path, typer.Option(help="Predictor written by 'earlycall nas fit'.")]


def command(
    runs: Annotated[
        Path,
        typer.Argument(
            help="A table with arch.* columns (Parquet or CSV), or a curve set.",
            show_default=False,
        ),
    ],
    model: Model,
    top: Top = 30,
    fmt: options.Output = options.Format.table,
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
    table = read_architectures(runs)
    with output.working("ranking"):
        ranked = rank_unseen(predictor, table)
    if fmt is options.Format.json:
        output.print_json({"runs": ranked.to_dicts()})
    elif fmt is options.Format.csv:
        output.print_csv(ranked)
    else:
        out = output.console()
        for line in (*output.words(f"Learnt from {predictor.quality_}."), *_tables(ranked, top)):
            out.print(line)


def read_architectures(path: Path) -> pl.DataFrame:
    """A table of architectures from a file, or that of a curve set.

    Raises:
        InputError: if there is none, or it cannot be read.
    """
    import polars as pl

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
    table = delimited.table(path)  # of text
    parsed = table.with_columns(pl.col(pl.String).cast(pl.Float64, strict=False))
    numbers = [c for c in table.columns if parsed[c].null_count() == table[c].null_count()]
    return table.with_columns(parsed[c] for c in numbers if c not in ("run", "group"))


def _tables(ranked: pl.DataFrame, top: int) -> Iterator[RenderableType]:
    from earlycall.cli.fitted import FittedTable, TableColumn, names

    def body(_: str, rows: pl.DataFrame) -> Iterator[RenderableType]:
        ranks = TableColumn("rank", [str(rank) for rank in rows["rank"]])
        styles = ["bold green" if rank == 1 else "" for rank in rows["rank"]]
        yield FittedTable([ranks, names(rows["run"]), *scores(rows)], styles)

    several = ranked["group"].n_unique() > 1
    yield from output.by_group(ranked, top, lambda group: group if several else "", body)


def scores(rows: pl.DataFrame) -> list[TableColumn]:
    """The predicted standings, and their standard errors where any two of them differ."""
    from earlycall.cli.fitted import TableColumn

    errors = [number(se, 2) for se in rows["se"]]
    shown = [TableColumn("score", [number(score, 3) for score in rows["score"]])]
    return [*shown, TableColumn("±", errors)] if len(set(errors)) > 1 else shown
