"""A training measured while it runs: joules and seconds beside what it logs."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import polars as pl

from earlycall.curves import CurveSet
from earlycall.energy.meter import Meter, Scope
from earlycall.errors import CurveWarning, InputError


class measure:  # noqa: N801 (a context manager reads as a verb)
    """Measures a training: each step that is logged gets ``seconds`` and ``joules``.

    With a file, each step is appended to it as a line of JSON that survives a kill, and
    `earlycall.read` reads it as a run. If the file already exists the run goes on: steps that are
    logged again replace the old ones, and seconds and joules continue from the last complete line.
    Nothing is sent anywhere.

    Args:
        path: a file that ends in ``.jsonl``; by default nothing is written.
        scope: ``machine`` or ``process`` (see `Meter`).

    Raises:
        InputError: if the file cannot be used, or the scope is unknown.

    Examples:
        >>> with measure() as run:
        ...     for step in range(3):
        ...         run.log(step, train_loss=1 / (1 + step))
        >>> run.table.columns[:3]
        ['step', 'seconds', 'joules']
    """

    def __init__(self, path: str | Path | None = None, scope: Scope = "machine") -> None:
        self.path = None if path is None else Path(path)
        self._rows: list[dict[str, Any]] = []
        self._before = 0.0  # seconds of earlier sessions
        self._scope: Scope = scope
        if self.path is not None:
            if self.path.suffix != ".jsonl":
                raise InputError(f"{self.path}: name a file that ends in .jsonl")
            self._rows = _earlier(self.path)
        self._meter: Meter | None = None

    def __enter__(self) -> Self:
        last = self._rows[-1] if self._rows else {}
        self._before = float(last.get("seconds") or 0.0)
        self._meter = Meter(self._scope, before=float(last.get("joules") or 0.0))
        if self._meter.joules() is None:
            warnings.warn(
                f"no energy is measured: {self._meter.source}", CurveWarning, stacklevel=2
            )
        return self

    def __exit__(self, *exception: object) -> None:
        self._running.close()

    @property
    def source(self) -> str:
        """Where the joules come from, or why there are none."""
        return self._running.source

    @property
    def estimated(self) -> bool:
        """Whether a part of them is estimated rather than counted by the hardware."""
        return self._running.estimated

    def joules(self) -> float | None:
        """The energy so far; None if nothing measures it."""
        return self._running.joules()

    def seconds(self) -> float:
        """The time so far."""
        return self._before + self._running.seconds()

    def costs(self) -> dict[str, float]:
        """The costs so far, for another logger: ``seconds``, and ``joules`` if measured.

        Examples:
            >>> with measure() as run:
            ...     list(run.costs())[0]
            'seconds'
        """
        joules = self.joules()
        return {"seconds": self.seconds()} | ({} if joules is None else {"joules": joules})

    def log(self, step: float, metrics: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Log a step's metrics with the costs so far.

        Args:
            step: its number.
            metrics: names and numbers (tensors of one element too).
            more: further metrics as keywords.

        Raises:
            InputError: if a metric is not a number, or the file cannot be written.
        """
        row = {"step": step, "seconds": self.seconds(), "joules": self.joules()}
        for name, value in {**(metrics or {}), **more}.items():
            try:
                row[name] = float(value)
            except (TypeError, ValueError):
                raise InputError(f"metric {name!r} must be a number, got {value!r:.60}") from None
        self._rows.append(row)
        if self.path is not None:
            _append(self.path, row)

    @property
    def table(self) -> pl.DataFrame:
        """A row per logged step: ``step``, ``seconds``, ``joules`` and the metrics."""
        return pl.DataFrame(self._rows, infer_schema_length=None)

    @property
    def curves(self) -> CurveSet:
        """The run as a curve set.

        Raises:
            InputError: if nothing was logged.
        """
        name = "run" if self.path is None else self.path.name
        return CurveSet.from_frame(self.table.with_columns(run=pl.lit(name)))

    @property
    def _running(self) -> Meter:
        if self._meter is None:
            raise InputError("nothing is measured yet: write `with earlycall.measure() as run:`")
        return self._meter


def _append(path: Path, row: Mapping[str, Any]) -> None:
    line = json.dumps(row) + "\n"  # NaN and Infinity as Python's readers take them
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(line.encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _earlier(path: Path) -> list[dict[str, Any]]:
    """The steps of an earlier session; a half-written last line is cut off."""
    if not path.exists():
        return []
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    rows = []
    for number, line in enumerate(content[:end].splitlines(), start=1):
        try:
            row = json.loads(line)
            rows.append({"step": row["step"]} | row)
        except (ValueError, TypeError, KeyError):
            raise InputError(
                f"{path}, line {number}: not a step that earlycall.measure wrote; name another file"
            ) from None
    if end < len(content):
        os.truncate(path, end)
    return rows
