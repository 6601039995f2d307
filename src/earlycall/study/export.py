"""A study as a curve set: every step's loss, every epoch's validation, settings, architectures."""

from __future__ import annotations

import json

import polars as pl

from earlycall.curves import CurveSet
from earlycall.readers.formats import study_folder
from earlycall.study.folder import StudyFolder
from earlycall.study.models import family


def curve_set(study: StudyFolder, *, graphs: bool = True) -> CurveSet:
    """The curves that a study has so far.

    They are what `earlycall.read` finds in the study's folder
    (`earlycall.readers.formats.study_folder.load`), with the family of each model and, as JSON,
    its graph of operations.

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
        earlycall.errors.EmptyLogError: none: no run has done an epoch yet; ...
    """
    study.states()  # refuses what is damaged, or of another plan
    observations, runs = study_folder.load(study.path, study.plan.declared())
    runs = runs.with_columns(_families(runs))
    if graphs:
        graph_of = _graphs(study)
        names = pl.col("arch.name").replace_strict(graph_of, default=None)
        runs = runs.with_columns(names.alias("arch.graph"))
    return CurveSet.from_frame(observations, runs, name=study.plan.name)


def _families(runs: pl.DataFrame) -> pl.Series:
    """The family of each run's model, also of one whose training did not note it (yet)."""
    models = runs["arch.model"]
    by_model = {model: family(model) for model in models.unique()}
    return models.replace_strict(by_model, return_dtype=pl.String).alias("arch.family")


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
