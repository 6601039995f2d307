"""Waiting for what threads do."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


def awaited(future: Future[T]) -> T:
    """The result of a future, for which Ctrl-C need not wait.

    Once Polars has its own handler of SIGINT, the signal does not end a wait for a lock.
    """
    while not wait([future], timeout=0.2).done:
        pass
    return future.result()
