"""CatBoost: a ``train_dir`` (by default ``catboost_info``) with a table of errors per data set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from earlycall.curves.columns import direction
from earlycall.errors import EmptyLogError
from earlycall.readers.base.growing import State, is_json_object
from earlycall.readers.base.inside import head_of, is_inside
from earlycall.readers.base.log import Log, json_value, table_of
from earlycall.readers.formats import delimited

NAME = "CatBoost folders"
WHOLE_TREE = False
_ERRORS = {"learn": "learn_error.tsv", "test": "test_error.tsv"}
_CLOCK, _JSON = "time_left.tsv", "catboost_training.json"
_EVENTS = re.compile(r"learn|test\d*|tmp")  # folders with the same curves as TensorBoard's events
_ROUNDS = re.compile(rb'"iteration_count"\s*:\s*(\d{1,15})\b')
_METRIC = re.compile(rb'\{[^{}]*"best_value"[^{}]*\}')


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder has a table of errors as CatBoost names it, and what it lays beside it."""
    return not files.isdisjoint(_ERRORS.values()) and not files.isdisjoint((_CLOCK, _JSON))


def claims(name: str) -> bool:
    """Whether a file in the folder is CatBoost's."""
    return name in (*_ERRORS.values(), _CLOCK, _JSON)


def owns(folder: Path, below: Sequence[str]) -> list[str]:
    """The folders that hold the same curves again."""
    return [name for name in below if _EVENTS.fullmatch(name)]


def parts(folder: Path, state: State) -> Iterator[Log]:
    """The run, by boosting rounds as CatBoost counts them, from 0.

    A metric is named ``learn/METRIC`` or ``test/METRIC`` (``test/METRIC:K`` where there are several
    data sets to evaluate). The first of which less is better also is ``train_loss``, and of the
    last data set to evaluate ``val_loss``.

    Raises:
        InputError: naming the file, line and column that cannot be read, or if nothing is logged.
    """
    head = head_of(folder / _JSON) if is_inside(folder / _JSON, folder) else b""
    known = [json_value(metric) for metric in _METRIC.findall(head) if is_json_object(metric)]
    goals = {str(metric.get("name")): metric["best_value"] == "Min" for metric in known}
    table = pl.DataFrame(schema={"step": pl.Float64})
    for source, file in _ERRORS.items():
        errors = _table(folder / file)
        if errors is None:
            continue
        losses = [c for c in errors.columns[1:] if _falls(c.partition(":")[0], goals)]
        loss = {"learn": "train_loss", "test": "val_loss"}[source]
        alike = [c for c in losses if c.partition(":")[0] == losses[0].partition(":")[0]]
        errors = errors.select(
            pl.col("iter").cast(pl.Float64).alias("step"),
            pl.col(errors.columns[1:]).name.prefix(f"{source}/"),
            *(pl.col(last).alias(loss) for last in alike[-1:]),
        )
        table = table.join(errors, on="step", how="full", coalesce=True)
    if not table.height:
        raise EmptyLogError(f"{folder}: no round has ended yet")
    clock = _table(folder / _CLOCK)
    if clock is not None and "Passed" in clock.columns:
        table = table.join(
            clock.select(
                pl.col("iter").cast(pl.Float64).alias("step"), seconds=pl.col("Passed") / 1000
            ),
            on="step",
            how="left",
        )
    rounds = _ROUNDS.search(head)
    # The last round is one less than their number, since they are counted from 0.
    hint = table_of([{"step_hint": float(rounds[1]) - 1}]) if rounds else None
    yield Log(table.sort("step"), hint)


def _table(path: Path) -> pl.DataFrame | None:
    """A table of rounds, None where there is none yet."""
    if not is_inside(path, path.parent):
        return None
    try:
        table = delimited.load(path)
    except EmptyLogError:
        return None
    return table if "iter" in table.columns[:1] and table.width > 1 else None


def _falls(metric: str, goals: dict[str, bool]) -> bool:
    return goals.get(metric, direction(metric) == "min")
