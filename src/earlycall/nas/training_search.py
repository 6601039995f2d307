"""Train the most promising architectures, learn from their first epochs, and search again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from earlycall.atomic import write_whole
from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.nas.identity import identity
from earlycall.nas.labels import label
from earlycall.nas.predictor import fit_labels, why_not
from earlycall.nas.search import NothingNewError, search
from earlycall.study.files import FolderFiles
from earlycall.study.plan import Plan, data_and_epochs, load_yaml

if TYPE_CHECKING:
    from earlycall.nas.labels import Labels
    from earlycall.nas.predictor import Predictor
    from earlycall.nas.search import SearchResult, SupportsPredict
    from earlycall.nas.store import Store

STATE = "search.json"
CHILDREN = 10  # of trained architectures, for each that is trained next
MIN_UNASSESSED = 4  # architectures to learn from, while too few to assess the predictor
_KEYS = ("name", "data", "epochs", "early", "setting", "space")


@dataclass(frozen=True)
class SearchPlan:
    """The data, schedule and space of a search.

    Attributes:
        name: the group of its runs in the store.
        data: ``name`` and arguments of the data set (see `earlycall.study.data.splits`).
        epochs: the number of epochs of a full training, whose learning-rate schedule is followed.
        early: the number of epochs to train.
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
        data, epochs = data_and_epochs(declared, _KEYS, ("data", "epochs", "space"), source)
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
            InputError: if the file cannot be read, is not YAML, or is not a plan.
        """
        return cls.of(load_yaml(path, f"a search is a mapping with {', '.join(_KEYS)}"), str(path))


@dataclass(frozen=True)
class Budget:
    """The limits of a search, over all sessions; None for no limit.

    Attributes:
        runs: the number of runs to train.
        seconds: seconds of training.
        joules: energy of training (see `earlycall.energy.Meter`).
    """

    runs: int | None = None
    seconds: float | None = None
    joules: float | None = None


@dataclass
class Progress:
    """The progress of a search, saved in its folder so that it can be resumed after a kill.

    Attributes:
        trained: the runs that this search has trained.
        made: the model and arguments of each of them.
        waiting: names, models and arguments of candidates that are chosen but not trained yet.
        seconds: spent on training.
        joules: spent on training, where measured.
        rounds: for each round, the sampler and why it was asked, the chosen candidates and their
            predicted scores.
    """

    trained: list[str] = field(default_factory=list)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    joules: float = 0.0
    rounds: list[dict[str, Any]] = field(default_factory=list)

    def within(self, budget: Budget) -> bool:
        """Whether another training may begin."""
        spent = {"runs": len(self.trained), "seconds": self.seconds, "joules": self.joules}
        limits = vars(budget).items()
        return all(limit is None or spent[unit] < limit for unit, limit in limits)


@dataclass
class Loop:
    """A search that trains.

    Args:
        plan: the data, schedule and space.
        store: the collected runs to learn from and add to.
        folder: the folder of the search; a search that is there is resumed.
        sampler: see `earlycall.nas.search.search`.
        trials: the number of suggestions in each round; of evolution at most 10 for each that is
            trained.
        train: the number of candidates to train in each round.
        seed: the seed.
        device: where to train.
        log: called with a sentence after each step.
    """

    plan: SearchPlan
    store: Store
    folder: Path
    _: KW_ONLY
    sampler: str = "evolution"
    trials: int = 200
    train: int = 2
    seed: int = 0
    device: str = "cpu"
    log: Callable[[str], None] = lambda sentence: None

    def __post_init__(self) -> None:
        from earlycall.nas.spaces import ModelSpace
        from earlycall.study.data import splits

        self.data = data = splits(**self.plan.data)
        self.space = ModelSpace(self.plan.space, data.in_chans, data.num_classes, data.image_size)
        self.progress = self._restored()

    def run(self, budget: Budget) -> Progress:
        """Choose, train and learn until the budget is used.

        Raises:
            InputError: if the space or data cannot be used, or energy is limited but cannot be
                measured.
        """
        from earlycall.energy import Meter

        meter = Meter("process") if budget.joules is not None else None
        while self.progress.within(budget):
            if not self.progress.waiting and not self._choose():
                break
            while self.progress.waiting and self.progress.within(budget):
                self._train(meter)
        return self.progress

    def _choose(self) -> bool:
        """Choose what to train next, by a predictor where there is one; False if nothing is left.

        Where the predictor's search finds nothing new, the choice is at random as well.
        """
        curves = self.store.curves(self.plan.name) if len(self.store) else None
        known = [] if curves is None else [identity(row) for row in curves.runs.to_dicts()]
        number = len(self.progress.rounds) + 1
        seed = self.seed + number - 1
        labels, predictor, why = self._learnt(curves)
        found = None
        if labels is not None and predictor is not None:
            try:
                found = self._search(predictor, self.sampler, known, seed, self._parents(labels))
            except NothingNewError as error:
                why = str(error)
        by, how = self.sampler, "chosen by the predictor"
        if found is None:
            by, how = "random", "chosen at random"
            try:
                found = self._search(_ConstantPredictor(), by, known, seed)
            except NothingNewError as error:
                self.log(f"round {number}: {error}; the search ends")
                return False
        chosen = found.candidates[: self.train]
        names = [candidate.name for candidate in chosen]
        scores = found.table["score"].to_list()[: self.train]
        self.progress.rounds.append({
            "by": by, "why": why, "candidates": found.table.height,
            "runs_known": len(known),
            "spearman": None if predictor is None else predictor.quality_.spearman,
            "chosen": names, "expected": None if by == "random" else scores,
        })  # fmt: skip
        self.progress.waiting = [
            {"name": c.name, "model": c.model, "arguments": dict(c.arguments)} for c in chosen
        ]
        self._save()
        self.log(f"round {number}: {why}; {how}: {', '.join(names)}")
        return True

    def _search(
        self,
        predictor: SupportsPredict,
        sampler: str,
        known: Sequence[str],
        seed: int,
        parents: Sequence[tuple[dict[str, int], float]] = (),
    ) -> SearchResult:
        trials = min(self.trials, CHILDREN * self.train) if parents else self.trials
        return search(
            self.space, predictor, trials=trials, sampler=sampler, known=known, parents=parents,
            seed=seed,
        )  # fmt: skip

    def _parents(self, labels: Labels) -> list[tuple[dict[str, int], float]]:
        """For evolution, what this search has trained, the oldest first, and its standings."""
        standing = dict(zip(labels.runs["run"], labels.standing.tolist(), strict=True))
        made = self.progress.made.items() if self.sampler == "evolution" else ()
        return [
            (parameters, standing[run])
            for run, spec in made
            if run in standing and (parameters := self.space.parameters(**spec)) is not None
        ]

    def _learnt(self, curves: CurveSet | None) -> tuple[Labels | None, Predictor | None, str]:
        """The labels, a predictor of them where it is useful, and how good it is or why not."""
        if curves is None:
            return None, None, "there are no runs yet to learn from"
        try:
            labels = label(curves, target="auto", epochs=self.plan.early)
            predictor = fit_labels(labels, random_state=self.seed)
        except InputError as error:
            return None, None, f"there is no predictor yet ({error})"
        quality = predictor.quality_
        # With a handful of runs it cannot be assessed, but is still better than nothing.
        if quality.useful or (quality.spearman is None and quality.architectures >= MIN_UNASSESSED):
            return labels, predictor, str(quality)
        return None, None, why_not(quality)

    def _train(self, meter: Any) -> None:
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
        keys = {"group": self.plan.name, "run": plan.name}
        row = {
            **keys, "step_hint": plan.epochs * training.steps,
            **({} if candidate is None else candidate.columns),
            **{f"hp.{key}": value for key, value in plan.hyper.items()},
        }  # fmt: skip
        if record.epochs >= self.plan.epochs:
            row |= {"final": record.val_loss[-1], "final_metric": "val_loss"}
        table = record.frame(training.steps)
        table = table.with_columns(**{name: pl.lit(value) for name, value in keys.items()})
        curves = CurveSet.from_frame(table, pl.DataFrame([row]), name=self.plan.name)
        self.store.add(curves, source=str(self.folder))
        self.progress.trained.append(plan.name)
        self.progress.made[plan.name] = {
            "model": waiting["model"], "arguments": waiting["arguments"]
        }  # fmt: skip
        self.progress.waiting.pop(0)
        self.progress.seconds += record.seconds[-1]
        self.progress.joules += record.joules[-1] if record.joules else 0.0
        self._save()
        self.log(
            f"trained {plan.name} for {record.epochs} epochs: validation loss "
            f"{record.val_loss[-1]:.4g}, accuracy {record.val_accuracy[-1]:.1%}"
        )

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


class _ConstantPredictor:
    """Predicts the same of all architectures, while there is no predictor."""

    def predict(self, X: Sequence[Any], return_std: bool = False) -> Any:
        constant = np.full(len(X), 0.5)
        return (constant, np.full(len(X), 0.29)) if return_std else constant
