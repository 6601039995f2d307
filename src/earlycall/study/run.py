"""A study's runs on Ray Tune: on this machine, or on a cluster."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.study.files import FAILURE
from earlycall.study.folder import State, StudyFolder
from earlycall.study.plan import RunPlan
from earlycall.study.ray_cluster import Resources, ray_cluster
from earlycall.study.watcher import Silent, Watcher


def check(study: StudyFolder) -> None:
    """Load the data and build each model once, so that a slip in a plan costs seconds, not hours.

    Raises:
        InputError: naming the model or data set that cannot be used.
    """
    with needed_for("a study", "study"):
        import torch

    from earlycall.study.data import splits
    from earlycall.study.models import build
    from earlycall.study.training import count_flops

    for folder in study.imports:
        if folder not in sys.path:
            sys.path.insert(0, folder)
    data = splits(**study.plan.data)
    for name, spec in study.plan.architectures.items():
        arguments = {key: value for key, value in spec.items() if key != "model"}
        try:
            model = build(
                spec["model"],
                arguments,
                in_chans=data.in_chans,
                num_classes=data.num_classes,
                image_size=data.image_size,
            )
            count_flops(spec["model"], model, data, torch.device("cpu"))
        except InputError as error:
            raise InputError(f"architecture {name!r}: {error}") from None


def run_study(
    study: StudyFolder, resources: Resources | None = None, watcher: Watcher | None = None
) -> list[State]:
    """Train what is left to train of a study.

    A run that fails is tried again from its last checkpoint, on another node if its own is gone;
    one that fails too often is noted, and the others go on. A kill at any moment loses at most the
    epoch that each run was in.

    Args:
        study: the study, made or opened.
        resources: where runs train.
        watcher: is told of the progress.

    Returns:
        How far each run has come.

    Raises:
        InputError: if another process trains in this folder, Ray is not installed, there is no
            cluster at the address, or it has not the resources of one run.
    """
    resources, watcher = resources or Resources(), watcher or Silent()
    with study.alone():
        states = study.states()
        left = [state.plan for state in states if not state.done]
        watcher.begin(states)
        if left:
            for run in left:
                study.files(run).remove(FAILURE)
            with ray_cluster(resources):
                _tune(study, left, resources, watcher)
        return study.states()


def _tune(
    study: StudyFolder, left: Sequence[RunPlan], resources: Resources, watcher: Watcher
) -> None:
    import ray
    from ray import tune
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from earlycall.study.ray_callback import Telling, named
    from earlycall.study.ray_scheduler import Judge
    from earlycall.study.ray_trial import Keeper, StudyTrial

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    keeper = (
        ray.remote(Keeper)
        .options(num_cpus=0, scheduling_strategy=here)
        .remote(str(study.path.resolve()))
    )
    space = {
        "run": tune.grid_search([asdict(run) for run in left]),
        "imports": list(study.imports),
        "threads": resources.cpus,
        "device": "cuda" if resources.gpus else "cpu",
        "energy": resources.energy,
        "keeper": keeper,
    }
    storage = study.path.resolve() / ".ray"  # Ray's own notes, which nothing here depends on
    shutil.rmtree(storage, ignore_errors=True)
    judge = Judge(study)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    tuner = tune.Tuner(
        tune.with_resources(StudyTrial, {"cpu": resources.cpus, "gpu": resources.gpus}),
        param_space=space,
        tune_config=tune.TuneConfig(
            scheduler=judge,
            reuse_actors=True,
            max_concurrent_trials=resources.at_once,
            trial_dirname_creator=named,
            trial_name_creator=named,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(storage),
            failure_config=tune.FailureConfig(max_failures=resources.retries),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[Telling(study, watcher)],
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        with suppress(OSError):
            shutil.rmtree(storage, ignore_errors=True)
