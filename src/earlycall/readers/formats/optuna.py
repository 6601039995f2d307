"""Optuna: intermediate values of trials in an SQLite storage or a journal file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import GrowingLines, State, growing_parts
from earlycall.readers.base.log import Log, json_value, table_of, table_of_numbers, timestamp_of
from earlycall.readers.base.sqlite import column_names, has_tables, opened, rows

NAME = "Optuna studies"
METRIC = "loss"  # what a trial reports; "accuracy" where more is better
_BROKEN = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
_CREATE_STUDY, _CREATE_TRIAL, _SET_PARAM, _SET_STATE, _REPORT = 0, 4, 5, 6, 7
_COMPLETE = 1  # the state of a trial whose value is one; a pruned trial's is its last report


@dataclass
class Trial:
    """A trial and what it reported.

    Attributes:
        study: the study's name.
        number: the trial's number.
        values: by step.
        params: as they were given to the objective.
        final: its value, None where it has none.
        started: when, in seconds since 1970.
        ended: when it was done.
        maximise: whether more is better.
    """

    study: str
    number: int
    maximise: bool
    values: dict[int, float] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    final: float | None = None
    started: float | None = None
    ended: float | None = None


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a database with Optuna's tables, or a journal."""
    if has_tables(path, head, {"studies", "trials", "trial_intermediate_values"}):
        return True
    first = head.split(b"\n", 1)[0]
    return first.startswith(b"{") and b'"op_code"' in first and b'"worker_id"' in first


def parts(path: Path, state: State) -> Iterator[Log]:
    """The trials of all studies; of a journal, only what is new is read.

    Raises:
        InputError: if it cannot be read, or no trial has reported yet.
    """
    with path.open("rb") as file:
        is_journal = file.read(1) == b"{"
    if not is_journal:
        yield tables(path, _database(path))
        return
    for part in growing_parts(path, state, _new_entries, lambda p: tables(p, [])):
        yield Log(part.observations, part.runs)  # a trial may report a step again


def tables(source: Any, trials: list[Trial]) -> Log:
    """A log from trials.

    Raises:
        InputError: if no trial has reported yet.
    """
    trials = [trial for trial in trials if trial.values]
    if not trials:
        raise EmptyLogError(f"{source}: no trial has reported an intermediate value yet")
    several = len({trial.study for trial in trials}) > 1
    observations, runs = [], []
    for trial in trials:
        key: dict[str, Any] = {"run": f"trial-{trial.number}"}
        if several:
            key["group"] = trial.study
        name = "accuracy" if trial.maximise else METRIC
        observations += [key | {"step": at, name: value} for at, value in trial.values.items()]
        outcome = {
            "final": trial.final, "higher_is_better": trial.maximise,
            "started": trial.started, "ended": trial.ended,
        }  # fmt: skip
        runs.append(key | outcome | {f"hp.{name}": v for name, v in trial.params.items()})
    return Log(table_of_numbers(observations, text=["run", "group"]), table_of(runs))


def _database(path: Path) -> list[Trial]:
    with opened(path) as connection:
        up = {
            study
            for study, direction in rows(
                connection, "SELECT study_id, direction FROM study_directions WHERE objective = 0"
            )
            if direction == "MAXIMIZE"
        }
        typed = "intermediate_value_type" in column_names(connection, "trial_intermediate_values")
        kind = "intermediate_value_type" if typed else "'FINITE'"
        trials = {
            trial: Trial(name, number, study in up, started=timestamp_of(a), ended=timestamp_of(b))
            for trial, number, study, name, a, b in rows(
                connection,
                "SELECT t.trial_id, t.number, t.study_id, s.study_name, "
                "t.datetime_start, t.datetime_complete FROM trials t "
                "JOIN studies s ON s.study_id = t.study_id",
            )
        }
        reported = rows(
            connection,
            f"SELECT trial_id, step, intermediate_value, {kind} "  # noqa: S608 (one of two names)
            "FROM trial_intermediate_values ORDER BY step",
        )
        params = rows(
            connection,
            "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params",
        )
        finals = rows(
            connection,
            "SELECT v.trial_id, v.value FROM trial_values v JOIN trials t USING (trial_id) "
            "WHERE v.objective = 0 AND t.state = 'COMPLETE'",
        )
    for trial, step, value, what in reported:
        if trial in trials:
            trials[trial].values[step] = _value(value, what)
    for trial, name, value, distribution in params:
        if trial in trials:
            trials[trial].params[name] = _param(value, distribution)
    for trial, value in finals:
        if trial in trials:
            trials[trial].final = value
    return list(trials.values())


def _value(value: float | None, kind: str) -> float:
    special = {"INF_POS": math.inf, "INF_NEG": -math.inf}
    return special.get(kind, math.nan if value is None else value)


def _param(value: float, distribution: str) -> Any:
    """A parameter as the objective saw it: choices are stored by their place."""
    try:
        choices = json_value(distribution)["attributes"].get("choices")
        return choices[int(value)] if choices is not None else value
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return value


def _new_entries(path: Path, state: State) -> Iterator[Log]:
    """All trials of a journal, if it has grown."""
    lines, studies, trials = state.setdefault("journal", (GrowingLines(path), [], []))
    before = lines.end
    for number, line in lines.json_lines():
        try:
            _apply(json_value(line), studies, trials)
        except _BROKEN:
            raise InputError(
                f"{path}, line {number}: not a line of an Optuna journal; remove it"
            ) from None
    if lines.end > before:
        yield tables(path, trials)


@dataclass
class _Study:
    name: str
    maximise: bool
    trials: int = 0


def _apply(entry: dict[str, Any], studies: list[_Study], trials: list[Trial]) -> None:
    code = entry["op_code"]
    if code == _CREATE_STUDY:
        studies.append(_Study(str(entry["study_name"]), entry["directions"][0] == 2))
    elif code == _CREATE_TRIAL:
        study = studies[entry["study_id"]]
        trial = Trial(study.name, study.trials, study.maximise)
        trial.started = timestamp_of(entry.get("datetime_start"))
        study.trials += 1
        for param, value in entry.get("params", {}).items():
            trial.params[param] = _param(value, entry["distributions"][param])
        trials.append(trial)
    elif code == _SET_PARAM:
        value = _param(entry["param_value_internal"], entry["distribution"])
        trials[entry["trial_id"]].params[str(entry["param_name"])] = value
    elif code == _SET_STATE:
        trial = trials[entry["trial_id"]]
        trial.started = timestamp_of(entry.get("datetime_start")) or trial.started
        trial.ended = timestamp_of(entry.get("datetime_complete")) or trial.ended
        if entry["state"] == _COMPLETE and entry.get("values"):
            trial.final = float(entry["values"][0])
    elif code == _REPORT:
        value = entry["intermediate_value"]
        number = math.nan if value is None else float(value)
        trials[entry["trial_id"]].values[int(entry["step"])] = number
