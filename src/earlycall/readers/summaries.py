"""Summaries: documents of one record, such as ``test_results.json``, which are no logs."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from earlycall.curves.columns import (
    direction,
    is_epoch,
    is_held_out,
    is_step_counter,
    role,
    words,
)
from earlycall.curves.outcomes import SUMMARY
from earlycall.errors import CurveWarning
from earlycall.readers.base.inside import HEAD_BYTES, is_inside
from earlycall.readers.base.log import flat, is_expanded, number_or_text, settings
from earlycall.readers.base.settings_file import MAX_BYTES, document, settings_kind

_TABLES, _LINES = (".csv", ".tsv"), (".jsonl", ".ndjson")
_FINAL = frozenset({"test", "testing", "final", "eval", "evaluation"})  # measured when all is done
_RESULTS = _FINAL | {"result", "results", "summary", "best", "score", "scores", "performance"}
_NAMES = _RESULTS | {"metrics"}
_TRAINING = frozenset({"train", "training"})
_SETTINGS = ("config", "params", "hparams", "hyperparameters", "hyperparams", "args", "settings")
_MAX_NUMBERS = 200
_LISTED = 4


def is_settings(path: Path, head: bytes) -> bool:
    """Whether a file is one of settings by its name, and not lines of JSON all the same."""
    return settings_kind(path.name) is not None and not _is_lines(head)


def is_no_log(path: Path, head: bytes) -> str | None:
    """What a file is that looks like a log of one observation or a history, but is none.

    A record without a step is no observation of a curve, whatever the file is called: if it is the
    first line of a log that grows, the second line makes it one, and nothing can be said of a run
    before that. A record with a step is a log that has just begun, unless it is a JSON document
    that says which step it is of: one that does not end its line, or is called results or so.

    Args:
        path: the file.
        head: how it begins.

    Returns:
        What to call it, None where it may be a log.
    """
    if is_settings(path, head):
        return "settings of a run, not a log"
    record = _record(path, head)
    if record is None or _holds_curves(record):
        return None
    is_document = head.lstrip()[:1] in (b"{", b"[") and path.suffix.lower() not in _LINES
    is_results = not head.endswith(b"\n") or _RESULTS.intersection(words(path.stem))
    if _is_counted(record) and not (is_document and is_results):
        return None
    return "a single record: a summary, or a log that has just begun; name the log itself"


def _is_counted(record: Mapping[str, Any]) -> bool:
    return any(is_step_counter(name) or is_epoch(name) for name in flat(record))


def is_summary_name(name: str) -> bool:
    """Whether a file may be a summary by its name.

    Examples:
        >>> [is_summary_name(name) for name in ("test_results.json", "metrics.yaml", "log.csv")]
        [True, True, False]
    """
    path = Path(name)
    is_document = path.suffix.lower() in (".json", ".yaml", ".yml", *_TABLES)
    return is_document and not _NAMES.isdisjoint(words(path.stem))


def is_only_summary(name: str) -> bool:
    """Whether a name says that the file is a summary and nothing else, such as of which run."""
    return is_summary_name(name) and _NAMES.union({"all"}).issuperset(words(Path(name).stem))


def holds_results(path: Path) -> bool:
    """Whether a document holds a number of a metric, rather than settings only."""
    numbers = settings(_record(path, b"") or {}, "")
    return any(
        _is_number(value) and direction(name) and not _is_setting(name)
        for name, value in numbers.items()
    )


def summary_in(path: Path) -> dict[str, Any]:
    """What a summary says of its run: ``hp.*`` where it repeats settings, else ``summary.*``.

    Numbers are named as in the file; where only its name says that they are of a test
    (``test_results.json``), theirs begin so, too.
    """
    if not is_inside(path, path.parent):
        return {}
    record = _record(path, b"") or {}
    if _holds_curves(record):
        return {}
    nested = [v for k, v in record.items() if k in _SETTINGS and isinstance(v, Mapping)]
    numbers = settings({k: v for k, v in record.items() if k not in _SETTINGS}, "")
    found: dict[str, Any] = {}
    for values in (*nested, {name: v for name, v in numbers.items() if _is_setting(name)}):
        found |= settings(values)
    kind = next((word for word in words(path.stem) if word in _FINAL | _TRAINING), "")
    for name, value in islice(numbers.items(), _MAX_NUMBERS):
        if _is_number(value) and not _is_setting(name):
            said = not kind or kind in words(name) or is_held_out(name)
            found[f"{SUMMARY}{name if said else f'{kind}_{name}'}"] = float(value)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_setting(name: str) -> bool:
    return name == "seed" or role(name) == "setting"


def with_outcomes(tables: Iterable[pl.DataFrame], *, known: bool) -> list[pl.DataFrame]:
    """The tables of runs with the outcome of each where its summaries say one.

    The outcome is the one number that was measured when all was done (test, eval, final; not
    training) and whose direction its name tells. Where there are several, or runs differ in which
    one it is, none is taken, and a note says so.

    Args:
        tables: with a row per run, of one log each.
        known: whether a table of runs has outcomes, which has the last word.
    """
    tables = list(tables)
    candidates = [_candidates(table) for table in tables]
    if known or not any(candidates):
        return tables
    one = {names[0] for names in candidates if len(names) == 1}
    several = sorted({name for names in candidates for name in names})
    if len(one) != 1 or any(len(names) > 1 for names in candidates):
        shown = ", ".join(several[:_LISTED]) + (" …" if len(several) > _LISTED else "")
        warnings.warn(
            f"the summaries beside the logs say of how runs ended: {shown}; none is taken as the "
            "outcome; name one by --outcome, or in runs.csv, column 'final'",
            CurveWarning,
            stacklevel=4,
        )
        return tables
    [name] = one
    way = direction(name)
    out = [
        table.with_columns(
            final=pl.col(SUMMARY + name), final_metric=pl.lit(name), higher_is_better=way == "max"
        )
        if found
        else table
        for table, found in zip(tables, candidates, strict=True)
    ]
    count = sum(map(bool, candidates))
    runs = f"{count} run{'' if count == 1 else 's'}"
    warnings.warn(
        f"the outcome of {runs} is {name!r} of the summary beside the log; a column 'final' in "
        "runs.csv would overrule it",
        CurveWarning,
        stacklevel=4,
    )
    return out


def _candidates(table: pl.DataFrame) -> list[str]:
    """The numbers of a run's summaries that may be its outcome."""
    if table.height != 1 or "final" in table.columns:
        return []
    return [
        name
        for column in table.columns
        if (name := column.removeprefix(SUMMARY)) != column
        and table[column].is_finite().all()
        and _FINAL.intersection(words(name))
        and not _TRAINING.intersection(words(name))
        and direction(name) is not None
    ]


def _record(path: Path, head: bytes) -> dict[str, Any] | None:
    """The one record of a small file, None where there are none or several, or it is huge."""
    if len(head) == HEAD_BYTES and _is_lines(head):
        return None
    found: Any
    try:
        if path.suffix.lower() in _TABLES:
            found = _row(path)
        elif path.suffix.lower() in (".yaml", ".yml"):
            found = document(path)
        elif path.stat().st_size > MAX_BYTES:
            return None
        else:
            found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, csv.Error, yaml.YAMLError):
        return None
    if isinstance(found, list) and len(found) == 1:  # as Lightning's `Trainer.test` returns it
        found = found[0]
    return found if isinstance(found, dict) and not is_expanded(found) else None


def _row(path: Path) -> dict[str, Any] | None:
    """The only row of a table, None where there are more."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [file.readline(HEAD_BYTES) for _ in range(3)]
    if not lines[1].endswith("\n") or lines[2].strip():
        return None
    delimiter = max(",\t;", key=lines[0].count)
    header, cells = csv.reader(lines[:2], delimiter=delimiter)
    pairs = zip(header, cells, strict=False)
    return {name.strip(): number_or_text(cell) for name, cell in pairs}


def _is_lines(head: bytes) -> bool:
    """Whether a file begins with two or more lines of which the first is a whole JSON object."""
    first, _, rest = head.lstrip().partition(b"\n")
    return first.rstrip().endswith(b"}") and first.startswith(b"{") and bool(rest.strip())


def _holds_curves(record: Mapping[str, Any]) -> bool:
    """Whether a document is a history: of losses, of several metrics, or of nothing but lists.

    Other lists are settings (``hidden: [64, 64]``), or a metric's values for each class.
    """
    values = flat(record)
    lists = [n for n, v in values.items() if isinstance(v, list) and len(v) > 1]
    has_numbers = any(map(_is_number, values.values()))
    losses = any({"loss", "losses"}.intersection(words(name)) for name in lists)
    return losses or sum(map(bool, map(direction, lists))) > 1 or bool(lists and not has_numbers)
