"""A study's folder: its plan, and for each run what is done of it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from earlycall.atomic import write_whole
from earlycall.errors import InputError
from earlycall.study.files import CURVE, FAILURE, RESULT, VERDICT, FolderFiles
from earlycall.study.plan import Plan, RunPlan

PLAN, LOCK = "study.json", ".lock"
Status = Literal["waiting", "started", "finished", "stopped", "diverged", "failed"]


@dataclass(frozen=True)
class State:
    """How far a run has come.

    Attributes:
        plan: the run.
        status: ``waiting`` (no epoch done), ``started``, ``finished``, ``stopped`` (early, by a
            rule or halving), ``diverged`` or ``failed``.
        epochs: epochs done.
        val_accuracy: that of the last epoch, None before the first.
        seconds: spent so far.
        result: what ``result.json`` holds, for a run that is done.
        why: why it was stopped or failed.
    """

    plan: RunPlan
    status: Status
    epochs: int = 0
    val_accuracy: float | None = None
    seconds: float = 0.0
    result: dict[str, Any] | None = None
    why: str | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to train."""
        return self.result is not None


@dataclass(frozen=True)
class Stopping:
    """How runs may be ended early.

    Attributes:
        rule: a stop rule on the validation loss over epochs, such as ``gain:0.1``.
        halving: a score for successive halving on the validation loss, such as ``outlook``.
        min_epochs: the first rung of the halving.
        factor: one run in so many goes on at each rung.
    """

    rule: str | None = None
    halving: str | None = None
    min_epochs: int = 3
    factor: float = 3


@dataclass(frozen=True)
class StudyFolder:
    """A folder that holds a study.

    Attributes:
        path: the folder.
        plan: what the study trains.
        imports: folders from which MODULE:FUNCTION is imported.
        stopping: how runs may be ended early.
    """

    path: Path
    plan: Plan
    imports: tuple[str, ...] = ()
    stopping: Stopping = field(default_factory=Stopping)

    @classmethod
    def make(
        cls,
        path: Path,
        plan: Plan,
        *,
        imports: tuple[str, ...] = (),
        stopping: Stopping | None = None,
    ) -> StudyFolder:
        """Begin a study in a folder, or widen the one that it holds.

        Raises:
            InputError: if the folder has files of a run of the same name that was planned
                differently, or cannot be written.
        """
        study = cls(path, plan, imports, stopping or Stopping())
        before = cls.open(path) if (path / PLAN).exists() else None
        known = {} if before is None else {run.name: run for run in before.plan.runs()}
        for run in plan.runs():
            old = known.get(run.name)
            if old is None or old.fingerprint == run.fingerprint:
                study.state(run)  # refuses the result of another run
            elif study.curve(run) is not None:
                raise InputError(
                    f"{path}: holds a run called {run.name!r} that was planned differently "
                    f"({_difference(old, run)}); rename the architecture or setting, or use "
                    "another folder"
                )
        path.mkdir(parents=True, exist_ok=True)
        document = {
            "plan": plan.declared(),
            "imports": list(imports),
            "stopping": vars(study.stopping),
        }
        write_whole(path / PLAN, json.dumps(document, indent=1))
        return study

    @classmethod
    def open(cls, path: Path) -> StudyFolder:
        """The study that a folder holds.

        Raises:
            InputError: if it holds none, or its file is damaged.
        """
        try:
            document = json.loads((path / PLAN).read_text(encoding="utf-8"))
            return cls(
                path,
                Plan.of(document["plan"], str(path / PLAN)),
                tuple(document["imports"]),
                Stopping(**document["stopping"]),
            )
        except FileNotFoundError:
            raise InputError(
                f"{path}: holds no study (no {PLAN}); begin one by earlycall study run PLAN -o "
                f"{path}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path / PLAN}: damaged ({error}); run the plan into this folder again, finished "
                "runs are kept"
            ) from None

    def files(self, run: RunPlan) -> FolderFiles:
        """The files of a run."""
        return FolderFiles(self.path / run.name)

    def states(self) -> list[State]:
        """How far each run has come, in the plan's order."""
        return [self.state(run) for run in self.plan.runs()]

    def state(self, run: RunPlan) -> State:
        """How far a run has come.

        Raises:
            InputError: if its result is of a run that was planned differently, or damaged.
        """
        files = self.files(run)
        result = self._json(files, RESULT)
        if result is not None:
            if result["fingerprint"] != run.fingerprint:
                raise InputError(
                    f"{files.folder}: holds a run called {run.name!r} that was planned "
                    "differently; rename the architecture or setting, or use another folder"
                )
            why = result.get("stopped")
            status: Status = "diverged" if result["diverged"] else "stopped" if why else "finished"
            accuracy = self._last(self.curve(run))
            return State(run, status, result["epochs"], accuracy, result["seconds"], result, why)
        failure = self._json(files, FAILURE)
        curve = self.curve(run)
        epochs = 0 if curve is None else curve["val_loss"].count()
        seconds = 0.0 if curve is None else curve["seconds"].fill_null(0.0).max()
        return State(
            run,
            "failed" if failure else "started" if epochs else "waiting",
            epochs,
            self._last(curve),
            float(seconds or 0.0),  # type: ignore[arg-type]
            None,
            failure["why"] if failure else None,
        )

    def curve(self, run: RunPlan) -> pl.DataFrame | None:
        """What a run has logged so far (see `Record.frame`), None before its first epoch.

        Raises:
            InputError: if the file is damaged.
        """
        files = self.files(run)
        content = files.read(CURVE)
        if content is None:
            return None
        try:
            return pl.read_parquet(io.BytesIO(content))
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{files.folder / CURVE}: damaged: {error}") from None

    def verdict(self, run: RunPlan, why: str) -> None:
        """Say that a run is to end after the epochs that it has done."""
        self.files(run).write(VERDICT, json.dumps({"why": why}).encode())

    def fail(self, run: RunPlan, why: str) -> None:
        """Note that a run failed; the next `resume` tries it again, from its checkpoint."""
        self.files(run).write(FAILURE, json.dumps({"why": why}).encode())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from training in this folder meanwhile; a killed process keeps none.

        Raises:
            InputError: if another process trains in it.
        """
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        with (self.path / LOCK).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"{self.path}: another process trains in this study; wait for it or stop it"
                ) from None
            yield

    @staticmethod
    def _json(files: FolderFiles, name: str) -> dict[str, Any] | None:
        content = files.read(name)
        try:
            return None if content is None else dict(json.loads(content))
        except ValueError:
            raise InputError(
                f"{files.folder / name}: damaged; remove the file and resume the study"
            ) from None

    @staticmethod
    def _last(curve: pl.DataFrame | None) -> float | None:
        accuracy = None if curve is None else curve["val_accuracy"].drop_nulls()
        return None if accuracy is None or not len(accuracy) else float(accuracy[-1])


def _difference(old: RunPlan, new: RunPlan) -> str:
    """The first thing in which two plans of a run differ."""
    for key, value in vars(new).items():
        was = vars(old)[key]
        if was != value:
            if isinstance(value, dict) and isinstance(was, dict):
                inner = next(k for k in {**was, **value} if was.get(k) != value.get(k))
                return f"{inner} was {was.get(inner)!r}, is {value.get(inner)!r}"
            return f"{key} was {was!r}, is {value!r}"
    return "otherwise"
