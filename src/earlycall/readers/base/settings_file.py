"""Settings that a tracker keeps beside its log, as YAML or JSON."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from earlycall.errors import CurveWarning
from earlycall.readers.base.growing import State
from earlycall.readers.base.inside import is_inside
from earlycall.readers.base.log import MAX_SETTINGS, settings, table_of

MAX_BYTES = 1 << 20  # settings are small


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain values only; what is tagged as a Python object becomes None and is never made."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge ``<<`` mappings, up to a size: merges of merges can make a small file huge."""
        super().flatten_mapping(node)
        if len(node.value) > MAX_SETTINGS:
            raise yaml.YAMLError(f"more than {MAX_SETTINGS:,} settings by merging")


_Loader.add_multi_constructor("", lambda loader, suffix, node: None)


def settings_beside(path: Path) -> dict[str, Any]:
    """The settings in a file, if there is one; warns of one that is broken."""
    if not is_inside(path, path.parent):
        return {}
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)  # noqa: S506
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        warnings.warn(f"{path}: settings not read: {why}", CurveWarning, stacklevel=2)
        return {}
    return {str(k): v for k, v in found.items()} if isinstance(found, dict) else {}


def settings_table(
    files: Sequence[Path], state: State, others: Mapping[str, Any] | None = None
) -> pl.DataFrame | None:
    """A row with the settings of a run.

    Args:
        files: where the settings are; read again only when they have changed.
        state: what the run's reader keeps.
        others: columns that files may lack.
    """
    now = [(stat.st_ino, stat.st_size, stat.st_mtime_ns)
           for stat in (file.stat() for file in files if file.is_file())]  # fmt: skip
    if state.get("settings files") != now:
        found: dict[str, Any] = {}
        for file in files:
            found |= settings(settings_beside(file))
        state["settings files"], state["settings"] = now, found
    row = {**(others or {}), **state["settings"]}
    return table_of([row]) if row else None
