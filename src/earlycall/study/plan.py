"""What a study trains: architectures × settings × seeds on one data set, declared in a file."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from earlycall.errors import InputError

SETTING: dict[str, Any] = {
    "optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005, "schedule": "cosine",
    "batch_size": 64, "augment": False, "warmup_epochs": 0, "label_smoothing": 0.0,
}  # fmt: skip
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
SCHEDULES = ("constant", "cosine", "step", "onecycle", "linear")
_NUMBERS: dict[str, tuple[type, float]] = {  # of a setting: of what kind, and at least
    "lr": (float, 0), "momentum": (float, 0), "weight_decay": (float, 0), "batch_size": (int, 1),
    "warmup_epochs": (float, 0), "label_smoothing": (float, 0),
}  # fmt: skip
_KEYS = ("name", "data", "epochs", "architectures", "settings", "seeds")


@dataclass(frozen=True)
class RunPlan:
    """One training.

    Attributes:
        architecture: what the architecture is called.
        setting: what the setting is called.
        seed: the seed of weights, order and augmentation.
        model: the model's name (see `earlycall.study.models.build`).
        arguments: its keyword arguments.
        hyper: the setting's values.
        data: the data set's name and arguments.
        epochs: how long to train.
    """

    architecture: str
    setting: str
    seed: int
    model: str
    arguments: dict[str, Any]
    hyper: dict[str, Any]
    data: dict[str, Any]
    epochs: int

    @property
    def name(self) -> str:
        """The run's name, also that of its folder."""
        return f"{self.architecture}-{self.setting}-s{self.seed}"

    @property
    def fingerprint(self) -> str:
        """Tells runs apart that have one name but were planned differently."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """A declared study.

    Attributes:
        name: the study's name.
        data: ``name`` and arguments of the data set (see `earlycall.study.data.splits`).
        epochs: how long each run trains.
        architectures: by name: ``model`` and its arguments.
        settings: by name: optimiser, lr, schedule … (what is missing is taken from ``SETTING``).
        seeds: the seeds; each repeats the whole grid.

    Examples:
        >>> plan = Plan.of({"name": "tiny", "data": "digits", "epochs": 2,
        ...                 "architectures": {"mlp": "thin/mlp"}, "settings": {"sgd": {"lr": 0.1}}})
        >>> [run.name for run in plan.runs()]
        ['mlp-sgd-s0']
    """

    name: str
    data: dict[str, Any]
    epochs: int
    architectures: dict[str, dict[str, Any]]
    settings: dict[str, dict[str, Any]]
    seeds: tuple[int, ...] = field(default=(0,))

    @classmethod
    def of(cls, declared: Mapping[str, Any], source: str = "the plan") -> Plan:
        """A plan from a mapping, checked.

        Raises:
            InputError: naming the key that is missing, unknown or of the wrong kind.
        """
        unknown = set(declared) - set(_KEYS)
        if unknown:
            raise InputError(
                f"{source}: unknown key {sorted(unknown)[0]!r}; there are: {', '.join(_KEYS)}"
            )
        for key in ("data", "epochs", "architectures", "settings"):
            if not declared.get(key):
                raise InputError(f"{source}: the key {key!r} is missing or empty")
        data = declared["data"]
        data = {"name": data} if isinstance(data, str) else dict(data)
        if "name" not in data:
            raise InputError(f"{source}: 'data' needs the 'name' of a data set")
        epochs = declared["epochs"]
        if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
            raise InputError(f"{source}: 'epochs' must be a whole number, got {epochs!r}")
        return cls(
            name=str(declared.get("name", "study")),
            data=data,
            epochs=epochs,
            architectures={
                _named(name, source): _architecture(name, spec, source)
                for name, spec in _mapping(declared, "architectures", source).items()
            },
            settings={
                _named(name, source): _setting(name, spec, source)
                for name, spec in _mapping(declared, "settings", source).items()
            },
            seeds=_seeds(declared.get("seeds", [0]), source),
        )

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """A plan from a YAML file.

        Raises:
            InputError: if the file cannot be read, is no YAML, or is no plan.
        """
        import yaml

        path = Path(path)
        try:
            declared = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            why = getattr(error, "problem", None) or "not text in UTF-8"
            raise InputError(f"{path}{line}: not YAML: {why}") from None
        if not isinstance(declared, dict):
            raise InputError(f"{path}: a plan is a mapping with {', '.join(_KEYS)}")
        return cls.of(declared, str(path))

    def declared(self) -> dict[str, Any]:
        """The plan as `of` takes it."""
        return asdict(self) | {"seeds": list(self.seeds)}

    def runs(self) -> list[RunPlan]:
        """All trainings: a whole setting before the next, so that results can be compared early."""
        every = itertools.product(self.seeds, self.settings.items(), self.architectures.items())
        return [
            RunPlan(
                architecture=architecture,
                setting=setting,
                seed=seed,
                model=spec["model"],
                arguments={key: value for key, value in spec.items() if key != "model"},
                hyper=hyper,
                data=self.data,
                epochs=self.epochs,
            )
            for seed, (setting, hyper), (architecture, spec) in every
        ]


def _mapping(declared: Mapping[str, Any], key: str, source: str) -> dict[str, Any]:
    if not isinstance(declared[key], Mapping):
        raise InputError(f"{source}: {key!r} must be a mapping from names to values")
    return dict(declared[key])


def _named(name: Any, source: str) -> str:
    """A name that can be a folder's on every system."""
    text = str(name)
    if not text or any(c in text for c in '/\\:*?"<>|') or not text.isprintable() or text[0] == ".":
        raise InputError(f"{source}: {name!r} cannot be the name of a folder; choose another")
    return text


def _architecture(name: str, spec: Any, source: str) -> dict[str, Any]:
    spec = {"model": spec} if isinstance(spec, str) else spec
    if not isinstance(spec, Mapping) or not isinstance(spec.get("model"), str):
        raise InputError(f"{source}: architecture {name!r} needs a 'model', such as timm/resnet18")
    return dict(spec)


def _setting(name: str, spec: Any, source: str) -> dict[str, Any]:
    if not isinstance(spec, Mapping):
        raise InputError(f"{source}: setting {name!r} must be a mapping, such as {{lr: 0.1}}")
    unknown = set(spec) - set(SETTING)
    if unknown:
        raise InputError(
            f"{source}: setting {name!r} has an unknown key {sorted(unknown)[0]!r}; "
            f"there are: {', '.join(SETTING)}"
        )
    whole = SETTING | dict(spec)
    for key, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        if whole[key] not in known:
            raise InputError(
                f"{source}: setting {name!r} has {key} {whole[key]!r}; "
                f"there are: {', '.join(known)}"
            )
    for key, (kind, least) in _NUMBERS.items():
        value = whole[key]
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InputError(f"{source}: setting {name!r} has {key} {value!r}, not a number")
        if kind is int and value != int(value):
            raise InputError(
                f"{source}: setting {name!r} has {key} {value!r}; it must be a whole number"
            )
        if not value >= least or (key == "lr" and value == 0):
            limit = "above 0" if key == "lr" else f"at least {least}"
            raise InputError(f"{source}: setting {name!r} has {key} {value!r}; it must be {limit}")
    if not isinstance(whole["augment"], bool):
        raise InputError(
            f"{source}: setting {name!r} has augment {whole['augment']!r}; write true or false"
        )
    return whole


def _seeds(seeds: Any, source: str) -> tuple[int, ...]:
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        seeds = list(range(seeds))
    if (
        not isinstance(seeds, list | tuple)
        or not seeds
        or not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds)
    ):
        raise InputError(f"{source}: 'seeds' must be whole numbers, or how many")
    return tuple(dict.fromkeys(seeds))
