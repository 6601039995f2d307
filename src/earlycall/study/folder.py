"""A study's folder: its plan, and the state of each run."""

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
from earlycall.readers.formats.study_folder import CURVE, FAILURE, PLAN, status_of
from earlycall.study import trust
from earlycall.study.files import VERDICT, FolderFiles, finished_result, read_json
from earlycall.study.plan import Plan, RunPlan

LOCK = ".lock"
Status = Literal["waiting", "started", "finished", "stopped", "diverged", "failed"]


@dataclass(frozen=True)
class State:
    """The state of a run.

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
class EarlyStopping:
    """How runs may be ended early.

    Attributes:
        rule: a stop rule on the validation loss over epochs, such as ``gain:0.02``.
        halving: a score for successive halving on the validation loss, such as ``outlook``.
        min_epochs: the first rung of the halving.
        factor: at each rung, one run in ``factor`` continues.
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
        trusted: whether its code may run (`earlycall.study.trust`).
    """

    path: Path
    plan: Plan
    imports: tuple[str, ...] = ()
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    trusted: bool = True

    @classmethod
    def make(
        cls,
        path: Path,
        plan: Plan,
        *,
        imports: tuple[str, ...] = (),
        stopping: EarlyStopping | None = None,
    ) -> StudyFolder:
        """Begin a study in a folder, or extend the one that it holds.

        Raises:
            InputError: if the folder has files of a run of the same name that was planned
                differently, or cannot be written.
        """
        study = cls(path, plan, imports, stopping or EarlyStopping())
        before = cls.open(path) if (path / PLAN).exists() else None
        earlier = {} if before is None else {run.name: run for run in before.plan.runs()}
        for run in plan.runs():
            old = earlier.get(run.name)
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
        text = json.dumps(document, indent=1)
        write_whole(path / PLAN, text)
        trust.note(text)
        return study

    @classmethod
    def open(cls, path: Path, *, trusted: bool = False) -> StudyFolder:
        """The study that a folder holds.

        Args:
            path: the folder.
            trusted: whether its code may run although it was not made here; so from now on.

        Raises:
            InputError: if it holds none, or its file is damaged.
        """
        try:
            text = (path / PLAN).read_text(encoding="utf-8")
            document = json.loads(text)
            study = cls(
                path,
                Plan.of(document["plan"], str(path / PLAN)),
                tuple(document["imports"]),
                EarlyStopping(**document["stopping"]),
                trusted or trust.is_noted(text),
            )
        except FileNotFoundError:
            raise InputError(
                f"{path}: holds no study (no {PLAN}); begin one by earlycall study run PLAN -o "
                f"{path}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path / PLAN}: damaged ({error}); run the plan into this folder again, finished "
                "runs are kept"
            ) from None
        if trusted:
            trust.note(text)
        return study

    def import_folders(self) -> tuple[str, ...]:
        """Where the plan's own code is imported from, if it names any.

        Raises:
            InputError: if it does, and the study was neither made here nor trusted.
        """
        code = next((name for name in self.plan.names() if ":" in name), None)
        if code is None:
            return ()
        if not self.trusted:
            places = f" from {', '.join(self.imports)}" if self.imports else ""
            raise InputError(
                f"{self.path}: imports code ({code!r:.80}{places}) and was not made here by you; "
                "read that code, then give --trust"
            )
        return self.imports

    def files(self, run: RunPlan) -> FolderFiles:
        """The files of a run."""
        return FolderFiles(self.path / run.name)

    def states(self) -> list[State]:
        """The state of each run, in the plan's order."""
        return [self.state(run) for run in self.plan.runs()]

    def state(self, run: RunPlan) -> State:
        """The state of a run.

        Raises:
            InputError: if its result is of a run that was planned differently, or damaged.
        """
        files, curve = self.files(run), self.curve(run)
        result = finished_result(run, files)
        accuracies = [] if curve is None else curve["val_accuracy"].drop_nulls().to_list()
        accuracy = accuracies[-1] if accuracies else None
        if result is not None:
            why = result.get("stopped")
            status = status_of(result, None)
            return State(run, status, result["epochs"], accuracy, result["seconds"], result, why)
        failure = read_json(files, FAILURE)
        times = [] if curve is None else curve["seconds"].drop_nulls().to_list()
        return State(
            run,
            status_of(None, failure) if failure or times else "waiting",
            epochs=len(times),
            val_accuracy=accuracy,
            seconds=max(times, default=0.0),
            why=failure["why"] if failure else None,
        )

    def curve(self, run: RunPlan) -> pl.DataFrame | None:
        """What a run has logged (see `Record.frame`), None before the end of its first epoch.

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
        """Make a run end after the epochs that it has done."""
        self.files(run).write(VERDICT, json.dumps({"why": why}).encode())

    def fail(self, run: RunPlan, why: str) -> None:
        """Note that a run failed; the next `resume` tries it again, from its checkpoint."""
        self.files(run).write(FAILURE, json.dumps({"why": why}).encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this folder; a kill releases the lock.

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
