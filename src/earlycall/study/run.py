"""A study's runs on Ray Tune: on this machine, or on a cluster."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.readers.formats.study_folder import FAILURE
from earlycall.study.files import FolderFiles
from earlycall.study.folder import State, StudyFolder
from earlycall.study.plan import RunPlan
from earlycall.study.ray_cluster import Resources, ray_cluster
from earlycall.study.watcher import Watcher


def check(study: StudyFolder) -> None:
    """Load the data and build each model once, to find mistakes in a plan before training.

    Raises:
        InputError: naming the model or data set that cannot be used.
    """
    with needed_for("a study", "study"):
        import torch

    from earlycall.study.data import splits
    from earlycall.study.models import add_import_folders, build
    from earlycall.study.training import count_flops

    add_import_folders(study.import_folders())
    data = splits(**study.plan.data)
    for run in {run.architecture: run for run in study.plan.runs()}.values():
        try:
            model = build(run.model, run.arguments, **data.model_shape)
            count_flops(run.model, model, data, torch.device("cpu"))
        except InputError as error:
            raise InputError(f"architecture {run.architecture!r}: {error}") from None


def run_study(
    study: StudyFolder, resources: Resources | None = None, watcher: Watcher | None = None
) -> list[State]:
    """Train the runs of a study that are not done yet.

    A run that fails is tried again from its last checkpoint, on another node if its own is gone;
    one that fails too often is noted, and the others continue. A kill at any moment loses at most
    the current epoch of each run.

    Args:
        study: the study, made or opened.
        resources: where runs train.
        watcher: receives progress events.

    Returns:
        The state of each run.

    Raises:
        InputError: if another process trains in this folder, its code is not trusted, Ray is not
            installed, there is no cluster at the address, or no node has the resources of one run.
    """
    study.import_folders()  # before anything starts
    resources, watcher = resources or Resources(), watcher or Watcher()
    with study.locked():
        states = study.states()
        waiting = [state.plan for state in states if not state.done]
        watcher.begin(states)
        if waiting:
            for run in waiting:
                study.files(run).remove(FAILURE)
            with ray_cluster(resources):
                _tune(study, waiting, resources, watcher)
        return study.states()


def _tune(
    study: StudyFolder, runs: Sequence[RunPlan], resources: Resources, watcher: Watcher
) -> None:
    import ray
    from ray import tune
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from earlycall.study.ray_callback import ProgressCallback, run_of
    from earlycall.study.ray_scheduler import EarlyStopScheduler
    from earlycall.study.ray_trial import StudyTrial

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    file_server = ray.remote(FolderFiles).options(num_cpus=0, scheduling_strategy=here)
    space = {
        "run": tune.grid_search([asdict(run) for run in runs]),
        "imports": list(study.import_folders()),
        "threads": resources.cpus,
        "device": "cuda" if resources.gpus else "cpu",
        "energy": resources.energy,
        "file_server": file_server.remote(study.path.resolve()),
    }
    storage = study.path.resolve() / ".ray"  # Ray's own notes, which nothing here depends on
    shutil.rmtree(storage, ignore_errors=True)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    tuner = tune.Tuner(
        tune.with_resources(StudyTrial, {"cpu": resources.cpus, "gpu": resources.gpus}),
        param_space=space,
        tune_config=tune.TuneConfig(
            scheduler=EarlyStopScheduler(study),
            reuse_actors=True,
            max_concurrent_trials=resources.at_once,
            trial_dirname_creator=lambda trial: run_of(trial).name,
            trial_name_creator=lambda trial: run_of(trial).name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(storage),
            failure_config=tune.FailureConfig(max_failures=resources.retries),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[ProgressCallback(study, watcher)],
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)
