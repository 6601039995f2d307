"""A ranking with how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.errors import InputError
from earlycall.formatting import labels, shown
from earlycall.plots.theme import Palette, Theme, palette, soft, styled

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from earlycall.ranking.rank import Ranking

NAMED = 50  # runs whose names have room along the side
GROUPS = 12
SURE = 1.645  # standard errors to each side: a 90 % interval


def ranking(
    ranking: Ranking, *, group: str | None = None, top: int | None = None, theme: Theme = "light"
) -> Figure:
    """The scores of runs with their 90 % intervals, and their chances to end among the best.

    The best run stands on top. The leader and the runs that cannot be told from it are in colour;
    open circles are runs whose early losses say little (the reason is in the hover text); runs
    that cannot be ranked are left out. Where the score does not say how sure it is, its values
    stand alone. From 51 runs on the names are in the hover text only, and the intervals are a band.

    Args:
        ranking: of `earlycall.rank`.
        group: only this group; by default a row of panels for each.
        top: only so many of the first runs of each group; by default all.
        theme: light or dark.

    Raises:
        InputError: if there is no such group, no run was ranked, or plotly is not installed.
    """
    colours = palette(theme)
    from plotly.subplots import make_subplots

    table = ranking.table.filter(pl.col("rank").is_not_null() & pl.col("score").is_not_null())
    known = ranking.table["group"].unique(maintain_order=True).to_list()
    if group is not None and group not in known:
        raise InputError(f"the ranking has no group {group!r}; found: {', '.join(known[:20])}")
    groups = [g for g in known if group in (None, g)][:GROUPS]
    tables = [_rows(table, g, top) for g in groups]
    tables = [t for t in tables if t.height]
    if not tables:
        raise InputError("no run could be ranked, so there is nothing to draw")
    sure = table["p_first"].count() > 0
    heights = [_height(t.height) for t in tables]
    figure = make_subplots(
        rows=len(tables), cols=2 if sure else 1, shared_yaxes=True, horizontal_spacing=0.04,
        column_widths=[0.62, 0.38] if sure else None, row_heights=heights,
        vertical_spacing=min(0.3 / len(tables), 90 / sum(heights)),
    )  # fmt: skip
    for row, rows in enumerate(tables, start=1):
        _draw_scores(figure, ranking, rows, colours, row)
        if sure:
            _draw_chances(figure, ranking, rows, colours, row)
        if len(tables) > 1:
            title = shown(str(rows["group"][0]), 40)
            figure.update_yaxes(title=f"<b>{title}</b>", row=row, col=1)
    return styled(
        figure, colours, height=sum(heights) + 110 * len(tables), barmode="overlay", bargap=0.4,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 1, "xanchor": "right",
                "bgcolor": "rgba(0, 0, 0, 0)"},
    )  # fmt: skip


def _rows(table: pl.DataFrame, group: str, top: int | None) -> pl.DataFrame:
    rows = table.filter(pl.col("group") == group).sort("rank", "run")
    return rows if top is None else rows.head(top)


def _height(runs: int) -> int:
    """Of a panel, in pixels."""
    return 24 * runs + 20 if runs <= NAMED else 460


def _draw_scores(
    figure: Figure, ranking: Ranking, rows: pl.DataFrame, colours: Palette, row: int
) -> None:
    from plotly.graph_objects import Scatter, Scattergl

    n = rows.height
    place = np.arange(n)
    score = rows["score"].to_numpy()
    half = SURE * rows["se"].fill_null(float("nan")).to_numpy()
    colour = _colours(ranking, rows, colours)
    doubted = ~rows["status"].is_in(["ok"]).to_numpy()
    sure = np.isfinite(half).any()
    if sure and n > NAMED:
        around = np.concatenate([score - half, (score + half)[::-1]])
        figure.add_trace(
            Scatter(x=around, y=np.append(place, place[::-1]), fill="toself", mode="lines",
                    fillcolor=soft(colours.faint, 0.25), line={"width": 0}, hoverinfo="skip",
                    showlegend=False),
            row=row, col=1,
        )  # fmt: skip
    elif sure:
        x = np.stack([score - half, score + half, np.full(n, np.nan)], axis=1).ravel()
        figure.add_trace(
            Scatter(x=x, y=np.repeat(place, 3), mode="lines", hoverinfo="skip", showlegend=False,
                    line={"color": soft(colours.faint, 0.8), "width": 2}),
            row=row, col=1,
        )  # fmt: skip
    kind = Scatter if n <= 2000 else Scattergl
    figure.add_trace(
        kind(
            x=score, y=place, mode="markers", text=_hover(rows), showlegend=False,
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": colour, "size": 9 if n <= NAMED else 5,
                "symbol": np.where(doubted, "circle-open", "circle").tolist(),
                "line": {"width": 2 if n <= NAMED else 1, "color": colour},
            },
        ),
        row=row, col=1,
    )  # fmt: skip
    unit = "larger is better" if not sure else "larger is better; bars: 90 % interval"
    if n > NAMED and sure:
        unit = "larger is better; band: 90 % interval"
    edges = np.concatenate([score - half, score + half]) if sure else score
    low, high = float(np.nanmin(edges)), float(np.nanmax(edges))
    space = 0.04 * (high - low) or 1.0
    figure.update_xaxes(
        title=f"{shown(ranking.score)} ({unit})", range=[low - space, high + space], row=row, col=1
    )
    _name_rows(figure, rows, row)


def _name_rows(figure: Figure, rows: pl.DataFrame, row: int) -> None:
    """The runs' names along the side, the best on top; ranks where there are too many."""
    n = rows.height
    limits = [n - 0.4, -0.6]
    if n <= NAMED:
        named = labels(rows["run"].to_list(), 34)
        ticks = [f"{name}  <b>{place}</b>" for name, place in zip(named, rows["rank"], strict=True)]
        figure.update_yaxes(tickvals=list(range(n)), ticktext=ticks, row=row)
    else:
        at = np.unique(np.linspace(0, n - 1, 6).round().astype(int)).tolist()
        figure.update_yaxes(tickvals=at, ticktext=[str(i + 1) for i in at], row=row)
        figure.update_yaxes(title="rank", row=row, col=1)
    figure.update_yaxes(range=limits, showgrid=False, zeroline=False, row=row)


def _draw_chances(
    figure: Figure, ranking: Ranking, rows: pl.DataFrame, colours: Palette, row: int
) -> None:
    """Bars (or, of many runs, lines) of the chances to end first, and among the best."""
    from plotly.graph_objects import Bar, Scatter

    n = rows.height
    drawn: list[tuple[str, str, str]] = [
        ("p_top", f"to end among the best {ranking.top}", soft(colours.blue, 0.28)),
        ("p_first", "to end first", colours.blue),
    ]
    named = _hover(rows)
    for column, name, colour in drawn:
        chance = 100 * rows[column].fill_null(float("nan")).to_numpy()
        shared: dict[str, Any] = {
            "x": chance, "y": np.arange(n), "name": name, "text": named, "legendgroup": column,
            "showlegend": row == 1, "hovertemplate": "%{text}<extra></extra>",
        }  # fmt: skip
        if n <= NAMED:
            bar = {"marker": {"color": colour, "line": {"width": 0}}, "textposition": "none"}
            trace = Bar(orientation="h", **bar, **shared)
        else:
            line = {"color": colour, "width": 2}
            trace = Scatter(mode="lines", line=line, **shared)
        figure.add_trace(trace, row=row, col=2)
    largest = 100 * max((p for p in rows["p_top"].to_list() if p is not None), default=0.0)
    figure.update_xaxes(title="chance, %", range=[0, max(1.05 * largest, 1)], row=row, col=2)


def _colours(ranking: Ranking, rows: pl.DataFrame, colours: Palette) -> list[str]:
    """The leader, those tied with it, the others."""
    said = ranking.verdicts.get(str(rows["group"][0]))
    tied = 1 if said is None else said.tied
    return [
        colours.green if place == 1 else colours.blue if place <= tied else colours.faint
        for place in rows["rank"].to_list()
    ]


def _hover(rows: pl.DataFrame) -> list[str]:
    """A few lines on each run."""
    out = []
    for row in rows.iter_rows(named=True):
        lines = [f"<b>{shown(row['run'])}</b>", f"rank {row['rank']}"]
        if row["se"] is None:
            lines.append(f"raw value {row['raw']:.4g}" if row["raw"] is not None else "")
        else:
            lines.append(f"score {row['score']:.3g} ± {row['se']:.2g}")
        if row["p_first"] is not None:
            lines.append(f"first {row['p_first']:.0%}, among the best {row['p_top']:.0%}")
        lines.append("" if row["reason"] is None else shown(row["reason"], 120))
        out.append("<br>".join(line for line in lines if line))
    return out
