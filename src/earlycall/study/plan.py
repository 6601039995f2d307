"""What a study trains: architectures × settings × seeds on one data set, declared in a file."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from earlycall.errors import InputError
from earlycall.readers.base.settings_file import yaml_of
from earlycall.readers.formats.study_folder import run_name

SETTING: dict[str, Any] = {
    "optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005, "schedule": "cosine",
    "batch_size": 64, "augment": False, "warmup_epochs": 0, "label_smoothing": 0.0,
}  # fmt: skip
_CHOICES = {
    "optimizer": ("sgd", "adam", "adamw", "rmsprop"),
    "schedule": ("constant", "cosine", "step", "onecycle", "linear"),
}
_KEYS = ("name", "data", "epochs", "architectures", "settings", "seeds")


@dataclass(frozen=True)
class RunPlan:
    """One training.

    Attributes:
        architecture: the architecture's name.
        setting: the setting's name.
        seed: the seed of weights, order and augmentation.
        model: the model's name (see `earlycall.study.models.build`).
        arguments: its keyword arguments.
        hyper: the setting's values.
        data: the data set's name and arguments.
        epochs: the number of epochs.
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
        return run_name(self.architecture, self.setting, self.seed)

    @property
    def fingerprint(self) -> str:
        """Differs between runs of one name that were planned differently."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """A declared study.

    Attributes:
        name: the study's name.
        data: ``name`` and arguments of the data set (see `earlycall.study.data.splits`).
        epochs: the number of epochs of each run.
        architectures: by name: ``model`` and its arguments.
        settings: by name: optimiser, lr, schedule … (defaults: ``SETTING``).
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
        required = ("data", "epochs", "architectures", "settings")
        data, epochs = data_and_epochs(declared, _KEYS, required, source)
        return cls(
            name=str(declared.get("name", "study")),
            data=data,
            epochs=epochs,
            architectures=_by_name(declared, "architectures", _architecture, source),
            settings=_by_name(declared, "settings", _setting, source),
            seeds=_seeds(declared.get("seeds", [0]), source),
        )

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """A plan from a YAML file.

        Raises:
            InputError: if the file cannot be read, is not YAML, or is not a plan.
        """
        return cls.of(load_yaml(path, f"a plan is a mapping with {', '.join(_KEYS)}"), str(path))

    def declared(self) -> dict[str, Any]:
        """The plan as `of` takes it."""
        return asdict(self) | {"seeds": list(self.seeds)}

    def names(self) -> list[str]:
        """What it names of models and data: those with a colon are code that is imported."""
        return [str(self.data["name"]), *(spec["model"] for spec in self.architectures.values())]

    def runs(self) -> list[RunPlan]:
        """All trainings, one setting after the other, so that results can be compared early."""
        grid = itertools.product(self.seeds, self.settings.items(), self.architectures.items())
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
            for seed, (setting, hyper), (architecture, spec) in grid
        ]


def imports_beside(path: str | Path) -> tuple[str, ...]:
    """The folders from which a plan's ``MODULE:FUNCTION`` is imported: the one that it lies in."""
    return (str(Path(path).resolve().parent),)


def load_yaml(path: str | Path, expected: str) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        InputError: if the file cannot be read or is not YAML, or, with what was ``expected``, if
            it holds no mapping.
    """
    import yaml

    try:
        content = yaml_of(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        is_text = not isinstance(error, UnicodeDecodeError)
        other = "nested too deeply, or a value that is none" if is_text else "not text in UTF-8"
        if isinstance(error, yaml.YAMLError):
            other = str(error)
        reason = getattr(error, "problem", None) or other
        raise InputError(f"{path}{line}: not YAML: {reason}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: {expected}")
    return content


def data_and_epochs(
    declared: Mapping[str, Any], keys: Sequence[str], required: Sequence[str], source: str
) -> tuple[dict[str, Any], int]:
    """The data set and the number of epochs of a declaration whose keys are checked.

    Raises:
        InputError: naming the key that is missing, unknown or of the wrong kind.
    """
    unknown = sorted(set(declared) - set(keys), key=str)
    if unknown:
        raise InputError(f"{source}: unknown key {unknown[0]!r}; there are: {', '.join(keys)}")
    for key in required:
        if not declared.get(key):
            raise InputError(f"{source}: the key {key!r} is missing or empty")
    data, epochs = declared["data"], declared["epochs"]
    data = {"name": data} if isinstance(data, str) else data
    if not isinstance(data, Mapping) or "name" not in data:
        raise InputError(f"{source}: 'data' needs the 'name' of a data set")
    if not _is_whole(epochs) or epochs < 1:
        raise InputError(f"{source}: 'epochs' must be a whole number, got {epochs!r}")
    return dict(data), epochs


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _by_name(
    declared: Mapping[str, Any], key: str, check: Callable[[str, Any], dict[str, Any]], source: str
) -> dict[str, dict[str, Any]]:
    if not isinstance(declared[key], Mapping):
        raise InputError(f"{source}: {key!r} must be a mapping from names to values")
    specs = {}
    for given, spec in declared[key].items():
        name = str(given)  # that of a folder, on every system
        if not name or set(name) & set('/\\:*?"<>|') or not name.isprintable() or name[0] == ".":
            raise InputError(f"{source}: {given!r} cannot be the name of a folder; choose another")
        specs[name] = check(f"{source}: {key[:-1]} {given!r}", spec)
    return specs


def _architecture(where: str, spec: Any) -> dict[str, Any]:
    spec = {"model": spec} if isinstance(spec, str) else spec
    if not isinstance(spec, Mapping) or not isinstance(spec.get("model"), str):
        raise InputError(f"{where} needs a 'model', such as timm/resnet18")
    return dict(spec)


def _setting(where: str, spec: Any) -> dict[str, Any]:
    if not isinstance(spec, Mapping):
        raise InputError(f"{where} must be a mapping, such as {{lr: 0.1}}")
    unknown = sorted(set(spec) - set(SETTING), key=str)
    if unknown:
        raise InputError(
            f"{where} has an unknown key {unknown[0]!r}; there are: {', '.join(SETTING)}"
        )
    setting = SETTING | dict(spec)
    for key, value in setting.items():
        if problem := _problem(key, value):
            raise InputError(f"{where} has {key} {value!r}{problem}")
    return setting


def _problem(key: str, value: Any) -> str:
    """Why a setting cannot have this value; empty if it can."""
    if key in _CHOICES:
        choices = _CHOICES[key]
        return "" if value in choices else f"; there are: {', '.join(choices)}"
    if key == "augment":
        return "" if isinstance(value, bool) else "; write true or false"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ", not a number"
    if key == "batch_size" and not float(value).is_integer():
        return "; it must be a whole number"
    minimum = 1 if key == "batch_size" else 0
    if value >= minimum and not (key == "lr" and value == 0):
        return ""
    return f"; it must be {'above 0' if key == 'lr' else f'at least {minimum}'}"


def _seeds(seeds: Any, source: str) -> tuple[int, ...]:
    seeds = list(range(seeds)) if _is_whole(seeds) else seeds
    if not isinstance(seeds, list | tuple) or not seeds or not all(map(_is_whole, seeds)):
        raise InputError(f"{source}: 'seeds' must be whole numbers, or how many")
    return tuple(dict.fromkeys(seeds))
