"""A ranking with how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.errors import InputError
from earlycall.formatting import labels, shown
from earlycall.plots.theme import (
    ABOVE,
    LEGEND_ABOVE,
    Figure,
    Palette,
    Theme,
    add_points,
    palette,
    panels,
    soft,
    styled,
)

if TYPE_CHECKING:
    from earlycall.ranking.rank import Ranking

MAX_NAMED = 50  # runs whose names have room along the side
MAX_GROUPS = 12
Z_90 = 1.645  # standard errors to each side: a 90 % interval


def ranking(
    ranking: Ranking, *, group: str | None = None, top: int | None = None, theme: Theme = "light"
) -> Figure:
    """The scores of runs with their 90 % intervals, and their chances to end among the best.

    The best run stands on top. The leader and the other runs to keep are in colour;
    open circles are runs whose early losses say little (the reason is in the hover text); runs
    that cannot be ranked are left out. Where the score does not say how sure it is, its values
    stand alone. From 51 runs on the names are in the hover text only, and the intervals are a band.

    Args:
        ranking: of `earlycall.rank`.
        group: only this group; by default a row of panels for each.
        top: the number of runs per group; by default all.
        theme: light or dark.

    Raises:
        InputError: if there is no such group, no run was ranked, or plotly is not installed.
    """
    colours = palette(theme)
    groups = ranking.table["group"].unique(maintain_order=True).to_list()
    if group is not None and group not in groups:
        raise InputError(f"the ranking has no group {group!r}; found: {', '.join(groups[:20])}")
    table = ranking.table.filter(pl.col("rank").is_not_null() & pl.col("score").is_not_null())
    tables = [
        table.filter(pl.col("group") == name).sort("rank", "run").head(top or table.height)
        for name in [name for name in groups if group in (None, name)][:MAX_GROUPS]
    ]
    tables = [rows for rows in tables if rows.height]
    if not tables:
        raise InputError("no run could be ranked, so there is nothing to draw")
    sure = table["p_first"].count() > 0
    heights = [24 * t.height + 20 if t.height <= MAX_NAMED else 460 for t in tables]
    figure = panels(
        len(tables), 2 if sure else 1, shared_yaxes=True, horizontal_spacing=0.04,
        column_widths=[0.62, 0.38] if sure else None, row_heights=heights,
        vertical_spacing=min(0.3 / len(tables), 90 / sum(heights)),
    )  # fmt: skip
    for row, rows in enumerate(tables, start=1):
        _draw_scores(figure, ranking, rows, colours, row)
        if sure:
            _draw_chances(figure, ranking.top, rows, colours, row)
        if len(tables) > 1:
            title = shown(str(rows["group"][0]), 40)
            figure.update_yaxes(title=f"<b>{title}</b>", row=row, col=1)
    place = {"x": 1, "xanchor": "right", "bgcolor": "rgba(0, 0, 0, 0)"}
    return styled(
        figure, colours, height=sum(heights) + 110 * len(tables) + 26, barmode="overlay",
        bargap=0.4, legend=LEGEND_ABOVE | place, margin={"t": ABOVE},
    )  # fmt: skip


def _draw_scores(
    figure: Figure, ranking: Ranking, rows: pl.DataFrame, colours: Palette, row: int
) -> None:
    """The scores with their intervals: bars, or a band around many runs."""
    n, few = rows.height, rows.height <= MAX_NAMED
    place, score = np.arange(n), rows["score"].to_numpy()
    half = Z_90 * rows["se"].fill_null(float("nan")).to_numpy()
    low, high, unit = score, score, "larger is better"
    if np.isfinite(half).any():
        low, high = score - half, score + half
        unit += f"; {'bars' if few else 'band'}: 90 % interval"
        if few:
            x, y = np.stack([low, high, np.full(n, np.nan)], axis=1).ravel(), np.repeat(place, 3)
            style: dict[str, Any] = {"line": {"color": soft(colours.faint, 0.8), "width": 2}}
        else:
            x, y = np.append(low, high[::-1]), np.append(place, place[::-1])
            style = {"fill": "toself", "fillcolor": soft(colours.faint, 0.25), "line": {"width": 0}}
        figure.add_scatter(
            x=x, y=y, mode="lines", hoverinfo="skip", showlegend=False, row=row, col=1, **style
        )
    colour = _colours(ranking, rows, colours)
    symbols = np.where(rows["status"] == "ok", "circle", "circle-open").tolist()
    line = {"width": 2 if few else 1, "color": colour}
    add_points(
        figure, n, x=score, y=place, text=_hover(rows), showlegend=False, row=row, col=1,
        marker={"color": colour, "size": 9 if few else 5, "symbol": symbols, "line": line},
    )  # fmt: skip
    first, last = float(np.nanmin(np.append(low, high))), float(np.nanmax(np.append(low, high)))
    space = 0.04 * (last - first) or 1.0
    title = f"{shown(ranking.score)} ({unit})"
    figure.update_xaxes(title=title, range=[first - space, last + space], row=row, col=1)
    _name_rows(figure, rows, row)


def _name_rows(figure: Figure, rows: pl.DataFrame, row: int) -> None:
    """The runs' names along the side, the best on top; ranks if there are too many."""
    n = rows.height
    if n <= MAX_NAMED:
        names = labels(rows["run"].to_list(), 34)
        ticks = [f"{name}  <b>{rank}</b>" for name, rank in zip(names, rows["rank"], strict=True)]
        figure.update_yaxes(tickvals=list(range(n)), ticktext=ticks, row=row)
    else:
        at = np.unique(np.linspace(0, n - 1, 6).round().astype(int)).tolist()
        figure.update_yaxes(tickvals=at, ticktext=[str(i + 1) for i in at], row=row)
        figure.update_yaxes(title="rank", row=row, col=1)
    figure.update_yaxes(range=[n - 0.4, -0.6], showgrid=False, zeroline=False, row=row)


def _draw_chances(figure: Figure, top: int, rows: pl.DataFrame, colours: Palette, row: int) -> None:
    """Bars (or, of many runs, lines) of the chances to end first, and among the best."""
    for column, name, colour in (
        ("p_top", f"best {top}", soft(colours.blue, 0.28)),
        ("p_first", "first", colours.blue),
    ):
        trace: dict[str, Any] = {
            "x": 100 * rows[column].fill_null(float("nan")).to_numpy(), "y": np.arange(rows.height),
            "name": name, "text": _hover(rows), "legendgroup": column, "showlegend": row == 1,
            "hovertemplate": "%{text}<extra></extra>", "row": row, "col": 2,
        }  # fmt: skip
        if rows.height <= MAX_NAMED:
            marker = {"color": colour, "line": {"width": 0}}
            figure.add_bar(orientation="h", marker=marker, textposition="none", **trace)
        else:
            figure.add_scatter(mode="lines", line={"color": colour, "width": 2}, **trace)
    largest = 100 * max(rows["p_top"].drop_nulls(), default=0.0)
    figure.update_xaxes(title="chance, %", range=[0, max(1.05 * largest, 1)], row=row, col=2)


def _colours(ranking: Ranking, rows: pl.DataFrame, colours: Palette) -> list[str]:
    """The leader, the others to keep, all others."""
    keep = set(ranking.keep(str(rows["group"][0])))
    return [
        colours.green if rank == 1 else colours.blue if run in keep else colours.faint
        for run, rank in rows.select("run", "rank").iter_rows()
    ]


def _hover(rows: pl.DataFrame) -> list[str]:
    texts = []
    for row in rows.iter_rows(named=True):
        lines = [f"<b>{shown(row['run'])}</b>", f"rank {row['rank']}"]
        if row["se"] is not None:
            lines.append(f"score {row['score']:.3g} ± {row['se']:.2g}")
        elif row["raw"] is not None:
            lines.append(f"raw value {row['raw']:.4g}")
        if row["p_first"] is not None:
            lines.append(f"first {row['p_first']:.0%}, among the best {row['p_top']:.0%}")
        if row["reason"]:
            lines.append(shown(row["reason"], 120))
        texts.append("<br>".join(lines))
    return texts
