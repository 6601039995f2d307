"""What a person looks at: chosen runs, score and budget, as the query of a link."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args
from urllib.parse import parse_qsl, urlencode

import polars as pl

from earlycall.curves import AXES, Axis, CurveSet, Direction
from earlycall.errors import InputError
from earlycall.ranking.rank import DEFAULT_SCORE

TABS = ("curves", "elasticity", "rules", "agreement", "energy")
SETTINGS = ("hp.", "arch.", "tag.")  # columns of runs that can be filtered by
_RANGE = re.compile(r"([-+.\deE]*)\.\.([-+.\deE]*)")
_ONE = ("tab", "group", "score", "metric", "direction", "axis", "cost", "budget", "horizon",
        "find", "focus", "theme", "width")  # fmt: skip


@dataclass(frozen=True)
class View:
    """What is looked at; every field stands in the link where it is not the default.

    Attributes:
        tab: one of curves, elasticity, rules, agreement and energy.
        group: only the runs of this group; None for the first one.
        score: what runs are ranked by.
        metric: the metric that is scored; None for the training loss.
        direction: whether less ("min") or more ("max") of the metric is better; None where its name
            tells.
        axis: the axis along which curves are fitted.
        cost: what elasticity is measured against.
        budget: the part of the horizon that is looked at, in (0, 1]; None for all that was logged.
        horizon: the step at which training would end; None for what the logs say.
        find: a part of the run's name.
        settings: the values of a setting that are looked at, or its range as ``low..high``.
        focus: the run that is looked at closely.
        theme: light or dark.
        width: wide, or narrow on a phone.

    Examples:
        >>> view = View.from_query("budget=10&score=tse&hp.lr=0.1&hp.lr=0.01")
        >>> view.budget, view.score, view.settings
        (0.1, 'tse', {'hp.lr': ('0.1', '0.01')})
        >>> view.query()
        'score=tse&budget=10&hp.lr=0.1&hp.lr=0.01'
    """

    tab: str = "curves"
    group: str | None = None
    score: str = DEFAULT_SCORE
    metric: str | None = None
    direction: Direction | None = None
    axis: Axis = "observation"
    cost: str = "step"
    budget: float | None = None
    horizon: float | None = None
    find: str = ""
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    focus: str | None = None
    theme: Literal["light", "dark"] = "light"
    width: Literal["wide", "narrow"] = "wide"

    @classmethod
    def from_query(cls, query: str) -> View:
        """The view that a link speaks of; what it does not know is left out.

        Raises:
            InputError: if a value cannot be used.
        """
        given = parse_qsl(query.removeprefix("?"), keep_blank_values=False, max_num_fields=2000)
        one = {name: value for name, value in given if name in _ONE}
        settings: dict[str, tuple[str, ...]] = {}
        for name, value in given:
            if name.startswith(SETTINGS):
                settings[name] = (*settings.get(name, ()), value)
        return cls(
            tab=_among("tab", one.get("tab", "curves"), TABS),
            group=one.get("group"),
            score=one.get("score", DEFAULT_SCORE),
            metric=one.get("metric"),
            direction=_direction(one.get("direction")),
            axis=cast("Axis", _among("axis", one.get("axis", "observation"), AXES)),
            cost=one.get("cost", "step"),
            budget=_budget(one.get("budget")),
            horizon=_number("horizon", one.get("horizon")),
            find=one.get("find", ""),
            settings=settings,
            focus=one.get("focus"),
            theme="dark" if one.get("theme") == "dark" else "light",
            width="narrow" if one.get("width") == "narrow" else "wide",
        )

    def query(self) -> str:
        """The query of a link to this view."""
        start = View()
        pairs: list[tuple[str, str]] = []
        for name in _ONE:
            value = getattr(self, name)
            if value != getattr(start, name) and value is not None:
                number = 100 * value if name == "budget" else value
                pairs.append((name, f"{number:.12g}" if isinstance(number, float) else number))
        pairs += [(name, v) for name, values in self.settings.items() for v in values]
        return urlencode(pairs)

    def runs(self, curves: CurveSet) -> CurveSet:
        """The runs that are looked at, with the direction of the metric where the view gives it.

        Raises:
            InputError: if there is no such group, or no such setting.
        """
        keep = pl.lit(True)
        if len(curves.groups) > 1:
            group = curves.groups[0] if self.group is None else self.group
            if group not in curves.groups:
                raise InputError(f"no group is called {group!r}; choose another one")
            keep &= pl.col("group") == group
        if self.find:
            name = pl.col("run").cast(pl.String).str.to_lowercase()
            keep &= name.str.contains(self.find.lower(), literal=True)
        for column, values in self.settings.items():
            if column not in curves.runs.columns:
                raise InputError(f"no run has a setting {column!r}; clear the filters")
            keep &= _matching(curves.runs, column, values)
        if self.metric is not None:
            curves = curves.directed(self.metric, self.direction)
        return curves.filter(curves.runs.select(kept=keep)["kept"])


def _matching(runs: pl.DataFrame, column: str, values: tuple[str, ...]) -> pl.Expr:
    """Which runs have a setting of these values, or in this range."""
    between = _RANGE.fullmatch(values[0]) if len(values) == 1 else None
    if between is not None and runs.schema[column].is_numeric():
        low, high = (_number(column, bound or None) for bound in between.groups())
        number = pl.col(column).cast(pl.Float64)
        return number.is_between(
            -math.inf if low is None else low, math.inf if high is None else high
        ).fill_null(False)
    shown = pl.Series([setting_text(v) for v in runs[column].to_list()], dtype=pl.String)
    return pl.lit(shown.is_in(list(values)))


def setting_text(value: object) -> str:
    """The value of a setting, as it is shown and stands in links.

    Examples:
        >>> setting_text(0.1), setting_text(64.0), setting_text(True), setting_text(None)
        ('0.1', '64', 'true', '–')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _among(what: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InputError(f"{what} {value!r} is unknown; use one of: {', '.join(known)}")
    return value


def _direction(text: str | None) -> Direction | None:
    known = get_args(Direction)
    return None if text is None else cast("Direction", _among("direction", text, known))


def _number(what: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{what} {text!r} is not a number")
    return value


def _budget(text: str | None) -> float | None:
    percent = _number("budget", text)
    if percent is not None and not 0 < percent <= 100:
        raise InputError(f"budget {text} % is outside (0, 100]")
    return None if percent is None else percent / 100
