"""What a person looks at: chosen runs, score and budget, as the query of a link."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args
from urllib.parse import parse_qsl, urlencode

import polars as pl

from earlycall.curves import AXES, Axis, CurveSet, Direction
from earlycall.curves.columns import SETTINGS_PREFIXES
from earlycall.errors import InputError
from earlycall.ranking.rank import DEFAULT_SCORE
from earlycall.report.run_table import setting_text

TABS = {
    "curves": "Curves",
    "elasticity": "Elasticity",
    "rules": "Stop rules",
    "agreement": "Agreement",
    "energy": "Energy",
}
MAX_MARKED = 2000  # runs marked to stop
MAX_FIELDS = 10_000  # of a query
_RANGE = re.compile(r"([-+.\deE]*)\.\.([-+.\deE]*)")
_SINGLE = ("tab", "group", "score", "metric", "direction", "axis", "cost", "budget", "horizon",
           "find", "focus", "sort", "rows")  # fmt: skip


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
        sort: the column that the table is sorted by, with ``.up`` or ``.down``.
        rows: "all" for a table of all runs.
        stop: the runs marked to stop.

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
    sort: str = "rank.up"
    rows: str = ""
    stop: tuple[str, ...] = ()

    @classmethod
    def from_query(cls, query: str) -> View:
        """The view of a link; unknown names are ignored.

        Raises:
            InputError: if a value cannot be used.
        """
        try:
            pairs = parse_qsl(query.removeprefix("?"), max_num_fields=MAX_FIELDS)
        except ValueError:
            raise InputError(f"it has more than {MAX_FIELDS} parts") from None
        given = {name: value for name, value in pairs if name in _SINGLE}
        settings: dict[str, tuple[str, ...]] = {}
        for name, value in pairs:
            if name.startswith(SETTINGS_PREFIXES):
                settings[name] = (*settings.get(name, ()), value)
        _among(given, "tab", tuple(TABS))
        _among(given, "axis", AXES)
        _among(given, "direction", get_args(Direction))
        numbers = {name: _number(name, given.pop(name, None)) for name in ("budget", "horizon")}
        percent = numbers.pop("budget")
        if percent is not None and not 0 < percent <= 100:
            raise InputError(f"budget {percent:g} % is outside (0, 100]")
        horizon = numbers["horizon"]
        if horizon is not None and horizon <= 0:
            raise InputError(f"horizon {horizon:g} must be above 0")
        budget = None if percent is None else percent / 100
        stop = tuple(value for name, value in pairs if name == "stop")[:MAX_MARKED]
        fields = cast("dict[str, Any]", given) | numbers
        return cls(**fields, budget=budget, settings=settings, stop=stop)

    def query(self) -> str:
        """The query of a link to this view."""
        default = View()
        pairs: list[tuple[str, str]] = []
        for name in _SINGLE:
            value = getattr(self, name)
            if value is not None and value != getattr(default, name):
                number = 100 * value if name == "budget" else value
                pairs.append((name, f"{number:.12g}" if isinstance(number, float) else number))
        pairs += [(name, v) for name, values in self.settings.items() for v in values]
        return urlencode([*pairs, *(("stop", run) for run in self.stop)])

    def of_tab(self) -> View:
        """The part of the view that its tab's figures depend on."""
        return replace(self, sort="rank.up", rows="", stop=())

    def of_ranking(self) -> View:
        """The part of the view that the ranking depends on."""
        return replace(self.of_tab(), tab="curves", cost="step", focus=None)

    def of_filters(self) -> View:
        """The part of the view that `runs` depends on."""
        return View(
            group=self.group, metric=self.metric, direction=self.direction, find=self.find,
            settings=self.settings,
        )  # fmt: skip

    def runs(self, curves: CurveSet) -> CurveSet:
        """The runs that are looked at, with the direction of the metric where the view gives it.

        Raises:
            InputError: if there is no such group, or no such setting.
        """
        mask = pl.lit(True)
        if len(curves.groups) > 1:
            group = curves.groups[0] if self.group is None else self.group
            if group not in curves.groups:
                raise InputError(f"no group is called {group!r}; choose another one")
            mask &= pl.col("group") == group
        if self.find:
            name = pl.col("run").cast(pl.String).str.to_lowercase()
            mask &= name.str.contains(self.find.lower(), literal=True)
        for column, values in self.settings.items():
            if column not in curves.runs.columns:
                raise InputError(f"no run has a setting {column!r}; clear the filters")
            mask &= _matching(curves.runs, column, values)
        if self.metric is not None:
            curves = curves.directed(self.metric, self.direction)
        return curves.filter(curves.runs.select(mask=mask)["mask"])


def _matching(runs: pl.DataFrame, column: str, values: tuple[str, ...]) -> pl.Expr:
    """Which runs have a setting of these values, or in this range."""
    between = _RANGE.fullmatch(values[0]) if len(values) == 1 else None
    if between is not None and runs.schema[column].is_numeric():
        low, high = (_number(column, bound or None) for bound in between.groups())
        number = pl.col(column).cast(pl.Float64)
        return number.is_between(
            -math.inf if low is None else low, math.inf if high is None else high
        ).fill_null(False)
    texts = pl.Series([setting_text(v) for v in runs[column].to_list()], dtype=pl.String)
    return pl.lit(texts.is_in(list(values)))


def _among(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> None:
    if name in given and given[name] not in known:
        raise InputError(f"{name} {given[name]!r} is unknown; use one of: {', '.join(known)}")


def _number(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name} {text!r} is not a number")
    return value
