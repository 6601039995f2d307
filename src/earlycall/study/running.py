"""A study's runs on Ray Tune: on this machine, or on a cluster."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.study.files import FAILURE
from earlycall.study.folder import State, StudyFolder
from earlycall.study.plan import RunPlan


@dataclass(frozen=True)
class Resources:
    """Where runs train, and on how much of it.

    Attributes:
        address: a Ray cluster's (``auto`` or host:port), None for this machine alone.
        cpus: cores for each run; also its threads.
        gpus: GPUs for each run; 0.25 lets four runs share one. 0 trains on the CPU.
        at_once: how many runs train at a time at most; None for as many as fit.
        retries: how often a run that fails is tried again, from its last checkpoint.
        energy: whether to count the joules of each run (see `earlycall.energy.Meter`).
    """

    address: str | None = None
    cpus: float = 1
    gpus: float = 0
    at_once: int | None = None
    retries: int = 3
    energy: bool = False

    def __post_init__(self) -> None:
        least = {"cpus": 0.01, "gpus": 0, "at_once": 1, "retries": 0}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and not value >= lowest:
                raise InputError(f"{name}={value} must be at least {lowest}")


class Watcher(Protocol):
    """Is told of each run's progress."""

    def begin(self, states: Sequence[State]) -> None:
        """How far each run of the study has come."""

    def epoch(self, run: str, told: dict[str, Any]) -> None:
        """A run has done an epoch: ``epoch``, ``val_accuracy``, ``seconds``."""

    def done(self, run: str, result: dict[str, Any]) -> None:
        """A run is done, with its result."""

    def failed(self, run: str, why: str, *, again: bool) -> None:
        """A run has failed; ``again`` where it will be tried again."""


class Silent:
    """A watcher that says nothing."""

    def begin(self, states: Sequence[State]) -> None:
        """Nothing."""

    def epoch(self, run: str, told: dict[str, Any]) -> None:
        """Nothing."""

    def done(self, run: str, result: dict[str, Any]) -> None:
        """Nothing."""

    def failed(self, run: str, why: str, *, again: bool) -> None:
        """Nothing."""


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
            with _ray(resources):
                _tune(study, left, resources, watcher)
        return study.states()


@contextmanager
def _ray(resources: Resources) -> Iterator[None]:
    """Ray, begun and ended here unless it was there before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with needed_for("a study", "study"):
        import ray
    mine = not ray.is_initialized()
    if mine:
        _reachable(resources.address)
        how: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if resources.address is None:
            how |= {"include_dashboard": False}
        try:
            ray.init(address=resources.address or "local", **how)
        except (ConnectionError, ValueError, RuntimeError) as error:
            said = str(error).splitlines()[0]
            raise InputError(f"no Ray cluster at {resources.address!r}: {said}") from None
    try:
        nodes = [node["Resources"] for node in ray.nodes()]  # type: ignore[no-untyped-call]
        for name, wanted in (("CPU", resources.cpus), ("GPU", resources.gpus)):
            most = max((node.get(name, 0) for node in nodes), default=0)
            if wanted > most:
                raise InputError(
                    f"a run asks for {wanted:g} {name}, but no node has more than {most:g}; ask "
                    f"for less by --{name.lower()}s"
                )
        yield
    finally:
        if mine:
            ray.shutdown()


def _reachable(address: str | None) -> None:
    """Nothing, if something listens at host:port: Ray itself would try for minutes.

    Raises:
        InputError: if nothing does, or it is an address of Ray's client.
    """
    if address is None or address == "auto":
        return
    if address.startswith("ray://"):
        raise InputError(
            f"{address}: Ray's client cannot keep a study; start it on a machine of the cluster "
            "with --address auto"
        )
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "it is not auto or host:port"
        raise InputError(f"no Ray cluster at {address!r}: {why}") from None


def _tune(
    study: StudyFolder, left: Sequence[RunPlan], resources: Resources, watcher: Watcher
) -> None:
    import ray
    from ray import tune
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from earlycall.study.judge import Judge
    from earlycall.study.telling import Telling, named
    from earlycall.study.trial import Keeper, StudyTrial

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
