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

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_TQDM_PATCH_PRINT": "0",
}  # fmt: skip
_CLIENT_ATTEMPTS = 3
_SERVER_FAILED = "Initialization failure from server"


@dataclass(frozen=True)
class Resources:
    """Where runs train, and on how much of it.

    Attributes:
        address: a Ray cluster's (``auto`` or host:port), None for this machine alone.
        cpus: cores for each run; also its threads.
        gpus: GPUs for each run; 0.25 lets four runs share one. 0 trains on the CPU.
        at_once: maximum number of concurrent runs, None for as many as fit.
        retries: how often a failed run is tried again, from its last checkpoint.
        energy: whether to count the joules of each run (see `earlycall.energy.Meter`).
    """

    address: str | None = None
    cpus: float = 1
    gpus: float = 0
    at_once: int | None = None
    retries: int = 3
    energy: bool = False

    def __post_init__(self) -> None:
        minima = {"cpus": 0.01, "gpus": 0, "at_once": 1, "retries": 0}
        for name, minimum in minima.items():
            value = getattr(self, name)
            if value is not None and not value >= minimum:
                raise InputError(f"{name}={value} must be at least {minimum}")


@contextmanager
def ray_cluster(resources: Resources, *, client: bool = False) -> Iterator[None]:
    """Ray, started and shut down here unless it was running before.

    Args:
        resources: where runs train.
        client: whether Ray's client (``ray://…``) will do.

    Raises:
        InputError: if there is no cluster, or no node has the resources of a run.
    """
    with _environment():
        with needed_for("a study", "study"):
            import ray
        own = not ray.is_initialized()
        if own:
            _check_reachable(resources.address, client=client)
            options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
            if resources.address is None:
                options["include_dashboard"] = False
            _connect(resources.address, options)
        try:
            _check_resources(resources, ray.nodes())  # type: ignore[no-untyped-call]
            yield
        finally:
            if own:
                ray.shutdown()


def _connect(address: str | None, options: dict[str, Any]) -> None:
    import ray

    # For each client Ray forks a server, which now and then fails to start.
    for left in range(_CLIENT_ATTEMPTS if (address or "").startswith("ray://") else 1)[::-1]:
        try:
            ray.init(address=address or "local", **options)
            return
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            if not (left and reason.startswith(_SERVER_FAILED)):
                raise InputError(
                    f"no Ray cluster at {address!r}: {reason}; one that asks for a token, as "
                    "'ray start' makes them, needs RAY_AUTH_MODE=token"
                ) from None


@contextmanager
def _environment() -> Iterator[None]:
    """Ray's settings while it is used here: a person's own experiments then have theirs again."""
    added = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _check_reachable(address: str | None, *, client: bool) -> None:
    if address is None or address == "auto":
        return
    if address.startswith("ray://") and not client:
        raise InputError(
            f"{address}: Ray's client cannot keep a study; start it on a machine of the cluster "
            "with --address auto"
        )
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:  # Ray itself would try for minutes
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "it is not auto or host:port"
        raise InputError(f"no Ray cluster at {address!r}: {reason}") from None


def _check_resources(resources: Resources, nodes: list[dict[str, Any]]) -> None:
    for name, wanted in (("CPU", resources.cpus), ("GPU", resources.gpus)):
        largest = max((node["Resources"].get(name, 0) for node in nodes), default=0)
        if wanted > largest:
            raise InputError(
                f"a run asks for {wanted:g} {name}, but no node has more than {largest:g}; ask "
                f"for less by --{name.lower()}s"
            )
