"""Settings that a tracker keeps beside its log, as YAML or JSON."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import yaml

from earlycall.errors import CurveWarning
from earlycall.readers.base.inside import is_inside

LARGEST = 1 << 20  # bytes; settings are small


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain values only; what is tagged as a Python object becomes None and is never made."""


_Loader.add_multi_constructor("", lambda loader, suffix, node: None)


def settings_beside(path: Path) -> dict[str, Any]:
    """The settings in a file, none where there is no such file; one that is broken is named.

    Settings are a courtesy: a log is read whatever they hold.
    """
    if not is_inside(path, path.parent):
        return {}
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST).decode("utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)  # noqa: S506
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        warnings.warn(f"{path}: settings not read: {said}", CurveWarning, stacklevel=2)
        return {}
    return {str(k): v for k, v in found.items()} if isinstance(found, dict) else {}
