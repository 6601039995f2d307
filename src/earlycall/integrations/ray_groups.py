"""Ray Data: the groups of a curve set ranked, fitted or evaluated by the machines of a cluster.

The set is read here, and its groups are sent. A node that is lost costs the time of its groups
alone: Ray does them again elsewhere.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from earlycall.approximation.fit import Fits, fit_many
from earlycall.curves import CurveSet, Ragged
from earlycall.curves.horizon import assumptions
from earlycall.errors import CurveWarning, InputError
from earlycall.evaluation.evaluate import Evaluation
from earlycall.evaluation.evaluate import evaluate as evaluate_here
from earlycall.extras import needed_for
from earlycall.ranking.rank import DEFAULT_SCORE, Ranking, joined, rank_part
from earlycall.readers.as_curve_set import as_curve_set
from earlycall.study.ray_cluster import Resources, ray_cluster

Progress = Callable[[int, int], None]


def need_groups_apart(**given: object) -> None:
    """Refuse options by which groups are not ranked apart.

    Raises:
        InputError: if any is given.
    """
    for name, value in given.items():
        if value is not None and value is not False:
            raise InputError(
                f"groups are ranked apart on a cluster: leave out --{name} or --address"
            )


def rank(curves: Any, *, address: str, progress: Progress | None = None, **options: Any) -> Ranking:
    """As `earlycall.rank`, each group on some machine of a Ray cluster.

    Args:
        curves: as there.
        address: ``auto``, host:port or ``ray://…``.
        progress: called with (done, total) after each group.
        options: of `earlycall.rank`, all of them but ``finished`` and ``over``.

    Raises:
        InputError: as there; if there is no cluster at the address, or the set has one group.
    """
    need_groups_apart(finished=options.pop("finished", None), over=options.pop("over", None))
    group = options.pop("group", None)
    whole = as_curve_set(curves)
    whole = whole if group is None else whole.select(group=group)
    defaults: dict[str, Any] = {
        "score": DEFAULT_SCORE, "metric": None, "direction": None, "budget": None, "steps": None,
        "epochs": None, "horizon": None, "axis": "observation", "cost": "step", "top": 3,
        "outcome": None, "burn_in": None,
    }  # fmt: skip
    if whole.runs.group_by("group").len()["len"].max() == 1:
        raise InputError(f"{whole.name or 'the curve set'}: each group has one run alone")
    parts = list(_mapped(rank_part, whole, defaults | options, address, progress))
    noted = [sentence for part in parts for sentence in part.ranking.warnings]
    ends = {group: end for part in parts for group, end in part.ends.items()}
    counted = options.get("budget") is not None and options.get("cost", "step") == "step"
    return joined([p.ranking for p in parts], (*noted, *assumptions(ends, counted=counted)))


def fit(curves: Any, *, address: str, progress: Progress | None = None, **options: Any) -> Fits:
    """As `earlycall.fit_many` of a curve set, each group on some machine of a Ray cluster.

    Args:
        curves: as there.
        address: ``auto``, host:port or ``ray://…``.
        progress: called with (done, total) after each group.
        options: of `earlycall.fit_many`.

    Raises:
        InputError: as there; if there is no cluster at the address, or the set has one group.
    """
    group = options.pop("group", None)
    whole = as_curve_set(curves)
    whole = whole if group is None else whole.select(group=group)
    parts = list(_mapped(fit_many, whole, options, address, progress))
    arrays = ("b1", "b2", "b3", "status", "scale", "shift", "n")
    together: dict[str, Any] = {
        name: np.concatenate([getattr(p, name) for p in parts]) for name in arrays
    }
    for name in ("loss", "x", "epoch"):
        rows = [getattr(p, name) for p in parts]
        together[name] = None if rows[0] is None else Ragged.join(rows)
    runs = pl.concat([p.runs for p in parts if p.runs is not None])
    first: Fits = parts[0]
    return replace(first, runs=runs, **together)


def evaluate(
    sets: Any, *, address: str, progress: Progress | None = None, **options: Any
) -> Evaluation:
    """As `earlycall.evaluate`, each group on some machine of a Ray cluster.

    Args:
        sets: as there.
        address: ``auto``, host:port or ``ray://…``.
        progress: called with (done, total) after each group of a set.
        options: of `earlycall.evaluate`.

    Raises:
        InputError: as there; if there is no cluster at the address, or a set has one group.
    """
    several = list(sets) if isinstance(sets, list | tuple) else [sets]
    tables = []
    for curves in map(as_curve_set, several):
        parts = list(_mapped(evaluate_here, curves, options, address, progress))
        rows = pl.concat([part.table for part in parts]).with_row_index("at")
        budgets = rows["budget"].unique(maintain_order=True).to_list()
        order = rows["budget"].replace_strict({b: i for i, b in enumerate(budgets)})
        rows = rows.with_columns(order.alias("budget number")).sort("budget number", "at")
        tables.append(rows.drop("at", "budget number"))
    return Evaluation(pl.concat(tables))


def _mapped(
    function: Callable[..., Any],
    curves: CurveSet,
    options: dict[str, Any],
    address: str,
    progress: Progress | None,
) -> Iterator[Any]:
    """What a function makes of each group, in the order of the groups; notes are noted once."""
    if len(curves.groups) < 2:
        raise InputError(
            f"{curves.name or 'the curve set'} has one group, which one machine works on: leave "
            "out --address"
        )
    with needed_for("--address", "ray"), ray_cluster(Resources(address), client=True):
        import ray

        items = [
            {"work": pickle.dumps((function, curves.select(group=group), options))}
            for group in curves.groups
        ]
        done: Iterable[bytes] = _done(items)
        if address.startswith("ray://"):  # Ray Data runs in the cluster, not over Ray's client
            there = ray.remote(num_cpus=0)(lambda: list(_done(items)))
            done = ray.get(there.remote())  # type: ignore[arg-type]
        said: set[str] = set()
        for number, one in enumerate(done, start=1):
            found, notes = pickle.loads(one)  # noqa: S301  # of our own tasks
            for note, details in notes:
                if note not in said:
                    said.add(note)
                    warnings.warn(CurveWarning(note, details), stacklevel=3)
            if isinstance(found, InputError):
                raise found
            if progress is not None:
                progress(number, len(items))
            yield found


def _done(items: list[dict[str, bytes]]) -> Iterator[bytes]:
    """What is found of each group, in order; a group whose node was lost is worked on again."""
    import ray
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    tasks = ray.data.from_items(items, override_num_blocks=len(items)).map(_work)
    for row in tasks.iter_rows():
        yield row["done"]


def _work(row: dict[str, bytes]) -> dict[str, bytes]:
    """One group, on some machine."""
    function, curves, options = pickle.loads(row["work"])  # noqa: S301  # of our own
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        try:
            found = function(curves, **options)
        except InputError as error:
            found = InputError(str(error))
    notes = [(str(w.message), getattr(w.message, "details", ())) for w in noted
             if issubclass(w.category, CurveWarning)]  # fmt: skip
    return {"done": pickle.dumps((found, notes))}
