"""Train only the most promising, learn from their first epochs, and look again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.atomic import write_whole
from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.nas.labels import label
from earlycall.nas.predictor import of_labels
from earlycall.nas.search import identity, search

if TYPE_CHECKING:
    from earlycall.nas.predictor import Predictor
    from earlycall.nas.spaces import ModelSpace
    from earlycall.nas.store import Store
    from earlycall.study.data import Splits

STATE = "search.json"
FEWEST = 4
_KEYS = ("name", "data", "epochs", "early", "setting", "space")


@dataclass(frozen=True)
class SearchPlan:
    """What a search trains on, and where it looks.

    Attributes:
        name: the group under which runs are stored.
        data: ``name`` and arguments of the data set (see `earlycall.study.data.splits`).
        epochs: how long a whole training would be; its learning-rate schedule is followed.
        early: how many epochs of it are trained.
        setting: optimiser, learning rate and so on, as in a study.
        space: families of models with the choices of their arguments (see `ModelSpace`).
    """

    name: str
    data: dict[str, Any]
    epochs: int
    early: int
    setting: dict[str, Any]
    space: list[dict[str, Any]]

    @classmethod
    def of(cls, declared: Mapping[str, Any], source: str = "the search") -> SearchPlan:
        """A plan from a mapping, checked.

        Raises:
            InputError: naming the key that is missing, unknown or of the wrong kind.

        Examples:
            >>> declared = {"data": "digits", "epochs": 10, "space": [{"model": "thin/mlp"}]}
            >>> SearchPlan.of(declared).early
            2
        """
        unknown = sorted(set(declared) - set(_KEYS))
        if unknown:
            raise InputError(f"{source}: unknown key {unknown[0]!r}; there are: {', '.join(_KEYS)}")
        for key in ("data", "epochs", "space"):
            if not declared.get(key):
                raise InputError(f"{source}: the key {key!r} is missing or empty")
        data, epochs = declared["data"], declared["epochs"]
        data = {"name": data} if isinstance(data, str) else dict(data)
        if not isinstance(epochs, int) or epochs < 1:
            raise InputError(f"{source}: 'epochs' must be a whole number, got {epochs!r}")
        early = declared.get("early", max(1, round(epochs / 5)))
        if not isinstance(early, int) or not 1 <= early <= epochs:
            raise InputError(f"{source}: 'early' must be a whole number from 1 to {epochs}")
        if not isinstance(declared["space"], list):
            raise InputError(f"{source}: 'space' must be a list of families, each with a 'model'")
        return cls(
            str(declared.get("name", "search")), data, epochs, early,
            dict(declared.get("setting") or {}), declared["space"],
        )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path) -> SearchPlan:
        """A plan from a YAML file.

        Raises:
            InputError: if the file cannot be read, is no YAML, or is no plan.
        """
        import yaml

        try:
            declared = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            raise InputError(f"{path}{line}: not YAML; write keys and values") from None
        if not isinstance(declared, dict):
            raise InputError(f"{path}: a search is a mapping with {', '.join(_KEYS)}")
        return cls.of(declared, str(path))


@dataclass(frozen=True)
class Budget:
    """When to end; what is None does not count.

    Attributes:
        runs: trainings of this search, over all sessions.
        seconds: seconds of training.
        joules: energy of training; needs what `earlycall.energy` needs.
    """

    runs: int | None = None
    seconds: float | None = None
    joules: float | None = None


@dataclass
class Progress:
    """How far a search has come; kept in its folder, so that it can go on after a kill.

    Attributes:
        trained: the runs that this search has trained.
        waiting: what was chosen but is not trained yet: names, models and arguments.
        seconds: spent on training.
        joules: spent on training, where measured.
        rounds: for each choice, how it was made and what is expected of what was chosen.
    """

    trained: list[str] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    joules: float = 0.0
    rounds: list[dict[str, Any]] = field(default_factory=list)

    def within(self, budget: Budget) -> bool:
        """Whether another training may begin."""
        return (
            (budget.runs is None or len(self.trained) < budget.runs)
            and (budget.seconds is None or self.seconds < budget.seconds)
            and (budget.joules is None or self.joules < budget.joules)
        )


class Loop:
    """A search that trains.

    Args:
        plan: what to train on and where to look.
        store: where collected runs are, and where new ones go.
        folder: where the search is kept; one that is there goes on.
        sampler: see `earlycall.nas.search.search`.
        trials: candidates that are looked at in each round.
        train: how many of them are trained in each round.
        seed: of all that is random.
        device: where to train.
        tell: called with a sentence after each step.
    """

    def __init__(
        self,
        plan: SearchPlan,
        store: Store,
        folder: Path,
        *,
        sampler: str = "evolution",
        trials: int = 200,
        train: int = 2,
        seed: int = 0,
        device: str = "cpu",
        tell: Callable[[str], None] | None = None,
    ) -> None:
        from earlycall.study.data import splits

        self.plan, self.store, self.folder = plan, store, folder
        self.sampler, self.trials, self.train = sampler, trials, train
        self.seed, self.device = seed, device
        self.tell = tell or (lambda sentence: None)
        self.data: Splits = splits(**plan.data)
        self.space = self._space()
        self.progress = self._restored()

    def run(self, budget: Budget) -> Progress:
        """Choose, train, add, learn, until the budget is used.

        Raises:
            InputError: if the space or data cannot be used, or energy cannot be measured but is
                what the budget counts.
        """
        meter = _meter() if budget.joules is not None else None
        while self.progress.within(budget):
            if not self.progress.waiting:
                self._choose()
            while self.progress.waiting and self.progress.within(budget):
                self._train(meter)
        return self.progress

    def _choose(self) -> None:
        """What to train next: the most promising by a predictor, or while there is none, random."""
        curves = self._collected()
        number = len(self.progress.rounds)
        known = [] if curves is None else [identity(row) for row in _described(curves)]
        predictor = None if curves is None else self._predictor(curves)
        how = "random" if predictor is None else self.sampler
        found = search(
            self.space, predictor or _Indifferent(), trials=self.trials, sampler=how, known=known,
            seed=self.seed + number,
        )  # fmt: skip
        chosen = found.candidates[: self.train]
        expected = found.table["score"].to_list()[: self.train]
        self.progress.rounds.append({
            "by": how, "candidates": found.table.height, "runs_known": len(known),
            "spearman": None if predictor is None else predictor.quality_.spearman,
            "chosen": [c.name for c in chosen],
            "expected": expected if predictor is not None else None,
        })  # fmt: skip
        self.progress.waiting = [
            {"name": c.name, "model": c.model, "arguments": dict(c.arguments)} for c in chosen
        ]
        self._save()
        quality = "no predictor yet" if predictor is None else str(predictor.quality_)
        self.tell(f"round {number + 1}: {quality}; chosen: {', '.join(c.name for c in chosen)}")

    def _predictor(self, curves: CurveSet) -> Predictor | None:
        """Learnt from early scores; None where there is too little, or it is of no use."""
        try:
            labels = label(curves, target="auto", epochs=self.plan.early)
            predictor = of_labels(labels, random_state=self.seed)
        except InputError:
            return None
        quality = predictor.quality_
        # With a handful of runs nobody can tell how good it is; it is still better than nothing.
        few = quality.spearman is None and quality.architectures >= FEWEST
        return predictor if quality.useful or few else None

    def _train(self, meter: Any) -> None:
        from earlycall.study.files import FolderFiles
        from earlycall.study.plan import Plan
        from earlycall.study.training import Training

        waiting = self.progress.waiting[0]
        spec = {"model": waiting["model"], **waiting["arguments"]}
        plan = Plan.of({
            "name": self.plan.name, "data": self.plan.data, "epochs": self.plan.epochs,
            "architectures": {waiting["name"]: spec}, "settings": {"search": self.plan.setting},
            "seeds": [self.seed],
        }).runs()[0]  # fmt: skip
        candidate = self.space.candidate(waiting["model"], waiting["arguments"])
        files = FolderFiles(self.folder / plan.name)
        training = Training(plan, self.data, files, device=self.device, meter=meter)
        while not training.done and training.record.epochs < self.plan.early:
            training.epoch()
        record = training.record
        if meter is not None and not record.joules:
            raise InputError("energy cannot be measured here; give the budget in time or runs")
        table = record.frame(training.steps)
        known = {} if candidate is None else dict(candidate.known)
        whole = record.epochs >= self.plan.epochs
        row = {
            "group": self.plan.name, "run": plan.name, "step_hint": plan.epochs * training.steps,
            **known, **{f"hp.{key}": value for key, value in plan.hyper.items()},
            **({"final": record.val_loss[-1], "final_metric": "val_loss"} if whole else {}),
        }  # fmt: skip
        named = table.with_columns(group=pl.lit(self.plan.name), run=pl.lit(plan.name))
        curves = CurveSet.from_frame(named, pl.DataFrame([row]), name=self.plan.name)
        self.store.add(curves, source=str(self.folder))
        self.progress.trained.append(plan.name)
        self.progress.waiting.pop(0)
        self.progress.seconds += record.seconds[-1]
        self.progress.joules += record.joules[-1] if record.joules else 0.0
        self._save()
        self.tell(
            f"trained {plan.name} for {record.epochs} epochs: validation loss "
            f"{record.val_loss[-1]:.4g}, accuracy {record.val_accuracy[-1]:.1%}"
        )

    def _collected(self) -> CurveSet | None:
        return self.store.curves(self.plan.name) if len(self.store) else None

    def _space(self) -> ModelSpace:
        from earlycall.nas.spaces import ModelSpace

        data = self.data
        return ModelSpace(self.plan.space, data.in_chans, data.num_classes, data.image_size)

    def _restored(self) -> Progress:
        path = self.folder / STATE
        if not path.exists():
            return Progress()
        try:
            return Progress(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: not the state of a search ({error}); remove it") from None

    def _save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / STATE, json.dumps(vars(self.progress), indent=1))


class _Indifferent:
    """Promises the same of all: what is searched for without a predictor."""

    def predict(self, X: Sequence[Any], return_std: bool = False) -> Any:
        flat = np.full(len(X), 0.5)
        return (flat, np.full(len(X), 0.29)) if return_std else flat


def _described(curves: CurveSet) -> list[dict[str, Any]]:
    columns = [c for c in curves.runs.columns if c.startswith("arch.")]
    return curves.runs.select(columns).to_dicts()


def _meter() -> Any:
    from earlycall.energy import Meter

    return Meter("process")
