"""A study as a curve set: every step's loss, every epoch's validation, settings, architectures."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.study.folder import State, StudyFolder


def curve_set(study: StudyFolder, *, graphs: bool = True) -> CurveSet:
    """The curves that a study has so far.

    All runs are one group, since they share their images and their loss. ``final`` is the test
    accuracy of a run that ended by itself; it is missing where a run was stopped early or still
    trains. ``hp.*`` are its setting's values, ``arch.*`` its architecture's name, family, model,
    parameters, floating-point operations (of one image) and, as JSON, its graph of operations.

    Args:
        study: the study.
        graphs: whether to build each architecture for its graph (needs torch).

    Raises:
        InputError: if no run has done an epoch yet.

    Examples:
        >>> from pathlib import Path
        >>> from earlycall.study.plan import Plan
        >>> curve_set(StudyFolder(Path("none"), Plan.load("examples/study/fashion.yaml")))
        Traceback (most recent call last):
            ...
        earlycall.errors.InputError: none: no run has done an epoch yet; ...
    """
    begun = [
        (state, curve) for state in study.states() if (curve := study.curve(state.plan)) is not None
    ]
    if not begun:
        raise InputError(
            f"{study.path}: no run has done an epoch yet; train it by earlycall study resume "
            f"{study.path}"
        )
    graph_of = _graphs(study) if graphs else {}
    observations = [
        curve.with_columns(
            pl.lit(study.plan.name).alias("group"),
            pl.lit(state.plan.name).alias("run"),
            pl.col("step", "epoch").cast(pl.Int32),
            pl.col("train_loss", "lr", "val_loss", "val_accuracy").cast(pl.Float32),
        )
        for state, curve in begun
    ]
    rows = [
        _run_row(study, state) | {"arch.graph": graph_of.get(state.plan.architecture)}
        for state, _ in begun
    ]
    runs = pl.DataFrame(rows, infer_schema_length=None)
    filled = [c.name for c in runs.iter_columns() if c.null_count() < len(c)]
    table = pl.concat(observations, how="diagonal")
    return CurveSet.from_frame(table, runs.select(filled), name=study.plan.name)


def _run_row(study: StudyFolder, state: State) -> dict[str, Any]:
    plan, result = state.plan, state.result or {}
    return {
        "group": study.plan.name,
        "run": plan.name,
        "final": result.get("test_accuracy") if state.status in ("finished", "diverged") else None,
        "final_metric": "test_accuracy",
        "higher_is_better": True,
        "step_hint": result.get("planned_steps"),
        "end_reason": state.status if state.why is None else f"{state.status}: {state.why}",
        "diverged": state.status == "diverged",
        "seed": plan.seed,
        "hp.setting": plan.setting,
        **{f"hp.{key}": value for key, value in plan.hyper.items()},
        "arch.name": plan.architecture,
        "arch.family": family(plan.model),
        "arch.model": plan.model,
        "arch.params": result.get("params"),
        "arch.flops": result.get("flops"),
    }


def family(model: str) -> str:
    """The family of a model: the module that it comes from in timm or torchvision, else its name.

    Examples:
        >>> family("timm/resnet10t"), family("thin/vgg"), family("mine:network")
        ('resnet', 'vgg', 'network')
    """
    source, _, name = model.partition("/")
    try:
        if source == "timm":
            import timm

            return str(timm.model_entrypoint(name).__module__).rpartition(".")[2]
        if source == "torchvision":
            import torchvision

            return str(torchvision.models.get_model_builder(name).__module__).rpartition(".")[2]
    except (ImportError, RuntimeError, ValueError):
        return name
    return name or model.rpartition(":")[2]


def _graphs(study: StudyFolder) -> dict[str, str]:
    """The graph of each architecture, as JSON."""
    from earlycall.study.data import splits
    from earlycall.study.graph import graph_of
    from earlycall.study.models import add_import_folders, build

    add_import_folders(study.import_folders())
    shape = splits(**study.plan.data).model_shape
    return {
        run.architecture: json.dumps(
            graph_of(build(run.model, run.arguments, **shape)), separators=(",", ":")
        )
        for run in {run.architecture: run for run in study.plan.runs()}.values()
    }
