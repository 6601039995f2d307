"""Spaces of architectures: each asks an Optuna trial, so that any sampler can search it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.nas.features.graph import Graph
from earlycall.nas.mutations import MUTATIONS, edited

if TYPE_CHECKING:
    from optuna.trial import Trial


@dataclass(frozen=True)
class Candidate:
    """An architecture that could be trained.

    Attributes:
        name: its name.
        columns: its ``arch.*`` columns.
        model: its name for `earlycall.study.models.build`, None where it cannot be built there.
        arguments: the model's arguments.
    """

    name: str
    columns: Mapping[str, Any]
    model: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, Any]:
        """A row of a table of architectures."""
        return {"run": self.name, **self.columns}


class Space(Protocol):
    """Anything that suggests an architecture."""

    def suggest(self, trial: Trial) -> Candidate | None:
        """An architecture from a trial's suggestions, None where they make none."""


@dataclass
class ModelSpace:
    """A grid of models and their arguments: timm's, torchvision's, thin ones or your own.

    Args:
        families: for each family its ``model`` and, for arguments, the list of choices.
        in_chans: channels of the images.
        num_classes: classes.
        image_size: pixels.
        describe: from a built model, an image and a name to ``arch.*`` columns.

    Examples:
        >>> space = ModelSpace([{"model": "thin/mlp", "widths": [[16], [32, 32]]}], 1, 10, 8)
        >>> from optuna.trial import FixedTrial
        >>> candidate = space.suggest(FixedTrial({"family": 0, "0.widths": 1}))
        >>> candidate.name, candidate.columns["arch.params"]
        ('mlp_widths=32x32', 3466)
    """

    families: Sequence[Mapping[str, Any]]
    in_chans: int
    num_classes: int
    image_size: int
    describe: Callable[..., dict[str, Any]] | None = None
    _built: dict[str, Candidate | None] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.families:
            raise InputError("the space has no family of models; name at least one 'model'")
        for family in self.families:
            if not isinstance(family, Mapping) or not isinstance(family.get("model"), str):
                raise InputError(f"a family of the space needs a 'model', got {family!r:.80}")
            for key, choices in family.items():
                if key != "model" and (not isinstance(choices, list) or not choices):
                    raise InputError(
                        f"model {family['model']!r}: {key!r} must be a list of choices, "
                        f"got {choices!r:.60}"
                    )

    def suggest(self, trial: Trial) -> Candidate | None:
        """A family, then each of its arguments."""
        number = trial.suggest_int("family", 0, len(self.families) - 1)
        family = self.families[number]
        arguments = {
            key: choices[trial.suggest_int(f"{number}.{key}", 0, len(choices) - 1)]
            for key, choices in family.items()
            if key != "model"
        }
        return self.candidate(family["model"], arguments)

    def parameters(self, model: str, arguments: Mapping[str, Any]) -> dict[str, int] | None:
        """What `suggest` asks for to suggest this architecture; None where it is not in the space.

        Examples:
            >>> space = ModelSpace([{"model": "thin/mlp", "widths": [[16], [32, 32]]}], 1, 10, 8)
            >>> space.parameters("thin/mlp", {"widths": [32, 32]})
            {'family': 0, '0.widths': 1}
        """
        for number, family in enumerate(self.families):
            choices = {key: value for key, value in family.items() if key != "model"}
            if family["model"] == model and choices.keys() == arguments.keys() and all(
                arguments[key] in values for key, values in choices.items()
            ):  # fmt: skip
                chosen = {f"{number}.{key}": v.index(arguments[key]) for key, v in choices.items()}
                return {"family": number, **chosen}
        return None

    def candidate(self, model: str, arguments: Mapping[str, Any]) -> Candidate | None:
        """The architecture of a model with these arguments, None where it cannot be built."""
        key = json.dumps([model, arguments], sort_keys=True, default=str)
        if key not in self._built:
            self._built[key] = self._build(model, dict(arguments))
        return self._built[key]

    def _build(self, model: str, arguments: dict[str, Any]) -> Candidate | None:
        with needed_for("a space of models", "study"):
            import torch

        from earlycall.nas.features.module import described
        from earlycall.study.models import build

        shape = {"in_chans": self.in_chans, "image_size": self.image_size}
        name = _name(model, arguments)
        try:
            net = build(model, arguments, num_classes=self.num_classes, **shape)
            image = torch.zeros(1, self.in_chans, self.image_size, self.image_size)
            columns = (self.describe or described)(net, image, name)
        except InputError as error:
            if "cannot be built" in str(error):
                return None
            raise
        except (RuntimeError, ValueError, AssertionError):  # does not fit the images
            return None
        return Candidate(name, columns, model, arguments)


def _name(model: str, arguments: Mapping[str, Any]) -> str:
    """A name that can be a folder's."""
    parts = [model.rpartition("/")[2].replace(":", "_")]
    for key, value in arguments.items():
        text = "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        parts.append(f"{key}={text}")
    return "_".join(parts)


@dataclass(frozen=True)
class GraphSpace:
    """Graphs within a few mutations of known ones, each of which leads further from its parent.

    A mutation changes the operation of a node, rewires one of its inputs, inserts a node into a
    connection, or removes a node that takes one input. A sampler chooses only a parent, kinds and
    places, so that every sampler of Optuna can be used.

    Args:
        parents: the graphs to start from.
        operations: the operations that nodes may become; by default those of the parents' nodes
            with one input.
        mutations: the maximum number of mutations.

    Examples:
        >>> space = GraphSpace([Graph.of('{"a": {"op": "tanh", "input": ["x"]}}')], ("relu",), 1)
        >>> from optuna.trial import FixedTrial
        >>> edit = {"0.kind": "operation", "0.where": 0.1, "0.what": 0.0}
        >>> fixed = FixedTrial({"parent": 0, "edits": 1, **edit})
        >>> space.suggest(fixed).columns["arch.graph"]
        '{"a": {"op": "relu", "input": ["x"]}}'
    """

    parents: Sequence[Graph]
    operations: Sequence[str] = ()
    mutations: int = 3

    def __post_init__(self) -> None:
        if not self.parents:
            raise InputError("a space of graphs needs at least one graph to start from")

    def suggest(self, trial: Trial) -> Candidate | None:
        """A parent, mutated; None where nothing can be changed."""
        parent = self.parents[trial.suggest_int("parent", 0, len(self.parents) - 1)]
        graph, operations = parent, self._operations()
        for i in range(trial.suggest_int("edits", 1, self.mutations)):
            kind = trial.suggest_categorical(f"{i}.kind", list(MUTATIONS))
            where = trial.suggest_float(f"{i}.where", 0, 1)
            what = trial.suggest_float(f"{i}.what", 0, 1)
            graph = edited(graph, parent, kind, where, what, operations) or graph
        if graph is parent:
            return None
        return Candidate(f"graph-{trial.number}", {"arch.graph": graph.json()})

    def _operations(self) -> Sequence[str]:
        if self.operations:
            return self.operations
        single = {g.op[n] for g in self.parents for n in g.op if len(g.takes[n]) == 1}
        return sorted(single or {op for g in self.parents for op in g.op.values()})


@dataclass(frozen=True)
class OptunaSpace:
    """Any function of a trial that returns ``arch.*`` columns (or a `Candidate`).

    Examples:
        >>> space = OptunaSpace(lambda t: {"arch.depth": t.suggest_int("depth", 1, 9)})
        >>> from optuna.trial import FixedTrial
        >>> space.suggest(FixedTrial({"depth": 3})).columns
        {'arch.depth': 3}
    """

    function: Callable[[Trial], Mapping[str, Any] | Candidate | None]

    def suggest(self, trial: Trial) -> Candidate | None:
        """The result of the function."""
        result = self.function(trial)
        if result is None or isinstance(result, Candidate):
            return result
        columns = dict(result)
        return Candidate(str(columns.pop("run", f"trial-{trial.number}")), columns)
