"""Files that hold the settings of a run: their names, and what is in them (JSON or YAML)."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from earlycall.errors import CurveWarning
from earlycall.readers.base.inside import is_inside
from earlycall.readers.base.log import MAX_SETTINGS, settings

MAX_BYTES = 1 << 20  # settings are small
_MAX_DIGITS = 400
_MAX_YAML_BYTES, _MAX_YAML_DEPTH = 1 << 18, 100  # a second's work
HYDRA = (".hydra/config.yaml", ".hydra/overrides.yaml")
_KINDS = (  # of two in one folder, the later one counts
    "config|configs|cfg|configuration",
    "settings|options",
    "params|parameters|hparams|hyperparams|hyperparameters|hyp",
    "args|arguments|opt|opts|flags",
)
_QUALIFIERS = "train|training|trainer|run|exp|experiment|job|model|adapter|hyper|full|resolved"
_KIND = "|".join(f"(?P<k{place}>{names})" for place, names in enumerate(_KINDS))
_NAME = re.compile(rf"(?:(?:{_QUALIFIERS})[_.-]?)*(?:{_KIND})\.(?:json|ya?ml)", re.IGNORECASE)
_WRAPPER = frozenset({"value", "desc", "sort"})  # of a value, by Weights & Biases and SwanLab
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_OVERRIDE = re.compile(r"\+{0,2}([\w./@-]+)=(.*)", re.DOTALL)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain values only; what is tagged as a Python object becomes None and is never made."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge ``<<`` mappings, up to a size: merges of merges can make a small file huge."""
        super().flatten_mapping(node)
        if len(node.value) > MAX_SETTINGS:
            raise yaml.YAMLError(f"more than {MAX_SETTINGS:,} values in a mapping")

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int | str:
        """A whole number; the text of a long one, which to base 60 would take minutes."""
        if len(node.value) > _MAX_DIGITS:
            return str(node.value)
        return int(super().construct_yaml_int(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_multi_constructor("", lambda loader, suffix, node: None)


def settings_kind(name: str) -> int | None:
    """Which kind of settings a file holds by its name, None where it holds none.

    Of two kinds in a folder the larger one counts: the arguments of a run say more of it than a
    configuration that they may change.

    Examples:
        >>> [settings_kind(name) for name in ("config.yaml", "training_args.json", "results.json")]
        [0, 3, None]
    """
    if name in HYDRA:
        return HYDRA.index(name)
    match = _NAME.fullmatch(name)
    return None if match is None else int(str(match.lastgroup)[1:])


def settings_beside(path: Path) -> dict[str, Any]:
    """The settings in a file, if there is one, as they are nested; warns of one that is broken."""
    if not is_inside(path, path.parent):
        return {}
    try:
        found = document(path)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        warnings.warn(f"{path}: settings not read: {why}", CurveWarning, stacklevel=2)
        return {}
    if path.name == "overrides.yaml" and isinstance(found, list):
        found = _overrides(found)
    return _unwrapped(found) if isinstance(found, dict) else {}


def settings_in(path: Path) -> dict[str, Any]:
    """The settings in a file as columns (``hp.*``), nested names joined by a dot.

    What refers to another one as OmegaConf does (``${trainer.max_epochs}``) has its value.
    """
    found = settings(settings_beside(path))
    for name, value in found.items():
        reference = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if reference:
            found[name] = found.get(f"hp.{reference[1]}", value)
    return found


def document(path: Path) -> Any:
    """What a small JSON or YAML file holds.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is too large, or not what its name says; also `yaml.YAMLError` and
            RecursionError.
    """
    is_yaml = path.suffix.lower() in (".yaml", ".yml")
    limit = _MAX_YAML_BYTES if is_yaml else MAX_BYTES
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"larger than {limit >> 10} kB")
    text = content.decode("utf-8-sig")
    return yaml_of(text) if is_yaml else json.loads(text)


def yaml_of(text: str) -> Any:
    """What a YAML text says; libyaml's loader, in C, would overflow the stack where it is deep.

    Raises:
        yaml.YAMLError: if it is none, or nested too deeply; also ValueError.
    """
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_YAML_DEPTH:
            raise yaml.YAMLError(f"nested more than {_MAX_YAML_DEPTH} levels deep")
    try:
        return yaml.load(text, _Loader)  # noqa: S506
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        # PyYAML's own constructors fail so on values that are not what their tags say.
        raise yaml.YAMLError(f"a value that is not of its type ({error})") from None


def _unwrapped(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Values without the wrappers in which a tracker keeps each with its description."""
    return {str(k): v["value"] if _is_wrapped(v) else v for k, v in values.items()}


def _is_wrapped(value: Any) -> bool:
    return isinstance(value, Mapping) and "value" in value and value.keys() <= _WRAPPER


def _overrides(texts: list[Any]) -> dict[str, Any]:
    """Hydra's overrides: ``name=value``, also with a plus; none of Hydra itself, none removed."""
    found = {}
    for text in texts:
        match = _OVERRIDE.fullmatch(str(text))
        if match and not match[1].startswith("hydra"):
            name = match[1].replace("/", ".")
            try:
                found[name] = yaml_of(match[2])
            except (yaml.YAMLError, ValueError, RecursionError):
                found[name] = match[2]
    return found
