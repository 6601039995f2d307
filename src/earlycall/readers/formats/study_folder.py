"""A study's folder, as `earlycall study run` fills it: its plan, and a folder for each run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl

from earlycall.errors import EmptyLogError, InputError
from earlycall.readers.base.growing import State
from earlycall.readers.base.inside import head_of
from earlycall.readers.base.log import Log, json_document
from earlycall.readers.formats import curve_set

NAME = "earlycall studies"
WHOLE_TREE = True
PLAN, RESULT, CURVE, FAILURE = "study.json", "result.json", "curve.parquet", "failure.json"
_FLOATS = ("train_loss", "lr", "val_loss", "val_accuracy")


def recognises_folder(folder: Path, files: frozenset[str]) -> bool:
    """Whether the folder holds a study's plan."""
    if PLAN not in files:
        return False
    head = head_of(folder / PLAN)
    return b'"plan"' in head and b'"architectures"' in head


def owns(folder: Path, below: list[str]) -> list[str]:
    """All folders below: those of the runs, and what was exported from them."""
    return below


def parts(folder: Path, state: State) -> Iterator[Log]:
    """The runs that have done an epoch.

    Raises:
        InputError: if a file is damaged, or no run has done an epoch yet.
    """
    document = json_document(folder / PLAN, "run the plan into this folder again")
    try:
        yield Log(*load(folder, document["plan"]))
    except (LookupError, TypeError, AttributeError):
        raise InputError(
            f"{folder / PLAN}: not as earlycall writes it; run the plan into this folder again, "
            "finished runs are kept"
        ) from None


def load(folder: Path, plan: Mapping[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The curves and settings that a study has so far.

    All runs are one group, since they share their images and their loss. ``final`` is the test
    accuracy of a run that ended by itself; it is missing where a run was stopped early or still
    trains. ``hp.*`` are its setting's values, ``arch.*`` its architecture's name, family, model,
    parameters and floating-point operations (of one image).

    Args:
        folder: the study's.
        plan: as ``study.json`` declares it.

    Raises:
        EmptyLogError: if no run has done an epoch yet.
    """
    grid = itertools.product(plan["seeds"], plan["settings"].items(), plan["architectures"].items())
    tables, rows = [], []
    for seed, (setting, hyper), (architecture, spec) in grid:
        run = run_name(architecture, setting, seed)
        curve = folder / run / CURVE
        if not curve.is_file():
            continue
        key = {"group": plan["name"], "run": run}
        table = curve_set.load(curve)
        tables.append(table.with_columns(
            *(pl.lit(value).alias(name) for name, value in key.items()),
            pl.col("step", "epoch").cast(pl.Int32), pl.col(_FLOATS).cast(pl.Float32),
        ))  # fmt: skip
        planned = plan["epochs"] * int((table["epoch"] == 0).sum())
        facts = {
            "seed": seed,
            "hp.setting": setting,
            **{f"hp.{name}": value for name, value in hyper.items()},
            "arch.name": architecture,
            "arch.model": spec["model"],
        }
        rows.append(key | _outcome(folder / run, planned) | facts)
    if not tables:
        raise EmptyLogError(
            f"{folder}: no run has done an epoch yet; train it by earlycall study resume {folder}"
        )
    runs = pl.DataFrame(rows, infer_schema_length=None)
    filled = [c.name for c in runs.iter_columns() if c.null_count() < len(c)]
    return pl.concat(tables, how="diagonal"), runs.select(filled)


def run_name(architecture: str, setting: str, seed: int) -> str:
    """What a run is called, also its folder."""
    return f"{architecture}-{setting}-s{seed}"


def status_of(
    result: Mapping[str, Any] | None, failure: Mapping[str, Any] | None
) -> Literal["started", "finished", "stopped", "diverged", "failed"]:
    """Where a run that has done an epoch stands."""
    if result is None:
        return "failed" if failure else "started"
    return "diverged" if result["diverged"] else "stopped" if result.get("stopped") else "finished"


def _outcome(run: Path, planned_steps: int) -> dict[str, Any]:
    """What a run ended with, as far as it has."""
    result, failure = _document(run / RESULT), _document(run / FAILURE)
    status = status_of(result, failure)
    known = result or {}
    why = known.get("stopped") if result else (failure or {}).get("why")
    ended = status in ("finished", "diverged")
    return {
        "final": known.get("test_accuracy") if ended else None,
        "final_metric": "test_accuracy",
        "higher_is_better": True,
        "step_hint": known.get("planned_steps", planned_steps),
        "end_reason": status if why is None else f"{status}: {why}",
        "diverged": status == "diverged",
        "arch.family": known.get("family"),
        "arch.params": known.get("params"),
        "arch.flops": known.get("flops"),
    }


def _document(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return dict(json_document(path, ""))
    except (EmptyLogError, ValueError, TypeError):
        raise InputError(f"{path}: damaged; remove the file and resume the study") from None
