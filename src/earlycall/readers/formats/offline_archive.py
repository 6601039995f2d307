"""What Comet and ClearML keep of a run without their servers: a ZIP file, or its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import (
    Log,
    json_value,
    number_or_text,
    settings,
    table_of,
    table_of_numbers,
)
from earlycall.readers.base.zip_file import MAX_BYTES, members, read_member

NAME = "Comet or ClearML offline archives"
WHOLE_TREE = True
_COMET = ("messages.json", "experiment.json")
_CLEARML = ("metrics.jsonl", "task.json")
_SYSTEM = ("sys.", ":monitor:", "process duration")  # metrics of the machine
_COUNTERS = ("curr_step", "curr_epoch", "run_arg_")  # that Comet logs as parameters by itself
_MILLISECONDS = 1000


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a ZIP file with what one of them writes."""
    return head.startswith(b"PK") and _is_offline(set(members(path)))


def is_copy(path: Path) -> bool:
    """Whether the folder lies beside that an archive was packed from: ClearML leaves both."""
    folder = path.with_suffix("")
    return folder.is_dir() and _is_offline({there.name for there in folder.iterdir()})


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder has what one of them writes."""
    return _is_offline(files)


def _is_offline(names: set[str] | frozenset[str]) -> bool:
    return names.issuperset(_COMET) or names.issuperset(_CLEARML)


def parts(path: Path, state: State) -> Iterator[Log]:
    """The run.

    Raises:
        InputError: if the archive is damaged or too large, or holds no metric.
    """
    names = {there.name for there in path.iterdir()} if path.is_dir() else set(members(path))
    is_comet = names.issuperset(_COMET)
    log, about = _COMET if is_comet else _CLEARML
    run = _object(_content(path, about))
    lines = [line for line in _content(path, log).splitlines(keepends=True) if line.endswith(b"\n")]
    rows, found = _comet(lines, run) if is_comet else _clearml(lines, run)
    if not rows:
        raise EmptyLogError(f"{path}: no metric in it")
    table = table_of_numbers(rows)
    times = [row["seconds"] for row in rows if row["seconds"] is not None]
    if times:
        found.setdefault("started", min(times))
        table = table.with_columns((pl.col("seconds") - found["started"]).clip(0))
    yield Log(table, table_of([found]) if found else None)


def _content(path: Path, name: str) -> bytes:
    if not path.is_dir():
        return read_member(path, name)
    if (path / name).stat().st_size > MAX_BYTES:
        raise InputError(f"{path / name}: larger than {MAX_BYTES >> 20} MB")
    return (path / name).read_bytes()


def _loaded(text: bytes) -> Any:
    """What a line holds; nothing of one that is no JSON."""
    try:
        return json_value(text)
    except (ValueError, RecursionError):
        return None


def _object(value: Any) -> dict[str, Any]:
    value = _loaded(value) if isinstance(value, bytes) else value
    return value if isinstance(value, dict) else {}


def _seconds(milliseconds: Any) -> float | None:
    is_time = isinstance(milliseconds, int | float) and abs(milliseconds) < 1 << 53
    return milliseconds / _MILLISECONDS if is_time else None


def _comet(lines: list[bytes], run: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of metrics by their steps, in which a context stands before the name; settings."""
    rows, hyper = [], {}
    for line in lines:
        payload = _object(_object(line).get("payload"))
        metric, param = _object(payload.get("metric")), _object(payload.get("param"))
        if "paramName" in param and not str(param["paramName"]).startswith(_COUNTERS):
            hyper[str(param["paramName"])] = _number(param.get("paramValue"))
        name = str(metric.get("metricName", _SYSTEM[0]))
        if name.startswith(_SYSTEM):
            continue
        context = payload.get("context")
        when = _seconds(payload.get("local_timestamp"))
        named = {f"{context}_{name}" if context else name: _number(metric.get("metricValue"))}
        counts = {key: metric[key] for key in ("step", "epoch") if metric.get(key) is not None}
        rows.append(counts | named | {"seconds": when})
    started = _seconds(run.get("start_time"))
    return rows, settings(hyper) | ({} if started is None else {"started": started})


def _clearml(
    lines: list[bytes], run: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of scalars by their iterations, named ``TITLE/SERIES``; hyper-parameters by name."""
    rows = []
    for line in lines:
        events = _loaded(line)
        for event in map(_object, events if isinstance(events, list) else []):
            title = str(event.get("metric"))
            if "value" in event and "variant" in event and not title.startswith(_SYSTEM):
                name = f"{title}/{event['variant']}"
                when = _seconds(event.get("timestamp"))
                rows.append({"step": event.get("iter"), name: event["value"], "seconds": when})
    sections = map(_object, _object(run.get("hyperparams")).values())
    hyper = {
        str(name): _number(_object(item).get("value"))
        for section in sections
        for name, item in section.items()
    }
    return rows, settings(hyper)


def _number(value: Any) -> Any:
    return number_or_text(value) if isinstance(value, str) else value
