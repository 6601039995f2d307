"""The Ray cluster, or this machine alone, on which a study trains."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from earlycall.errors import InputError
from earlycall.extras import needed_for


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


@contextmanager
def ray_cluster(resources: Resources) -> Iterator[None]:
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
