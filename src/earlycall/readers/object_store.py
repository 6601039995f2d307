"""Curve sets in object storage and on web servers, which polars reads where they lie."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.curves.parquet import CURVES, RUNS, WRITE
from earlycall.errors import InputError
from earlycall.readers.address import Address
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import Log
from earlycall.readers.formats import curve_set

# Some tries, so that a store that is busy for a moment is no error, and an end to them.
_PATIENCE: dict[str, Any] = {"max_retries": 3, "retry_timeout_ms": 10_000}
_ANSWER: dict[str, Any] = {"max_retries": 1, "retry_timeout_ms": 10_000, "timeout": "4s"}
_TIMEOUT = 60  # seconds without an answer, of a web server
_UNREACHABLE = re.compile(r"error sending request|timed? ?out|dns error|connect", re.IGNORECASE)
_DENIED = re.compile(
    r"\b40[13]\b|AccessDenied|Forbidden|Unauthorized|InvalidAccessKeyId|SignatureDoesNotMatch"
    r"|credential|EC2MetaData|169\.254\.169\.254",
    re.IGNORECASE,
)
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "gc": "GOOGLE_APPLICATION_CREDENTIALS", "az": "AZURE_STORAGE_ACCOUNT_KEY",
    "ab": "AZURE_STORAGE_ACCOUNT_KEY", "hf": "HF_TOKEN",
}  # fmt: skip


@dataclass(frozen=True)
class RemoteSet:
    """A curve set at an address; the reader of it.

    Attributes:
        curves: the address of the curves, a file, or a folder partitioned by ``group=``.
        runs: the address of the table of runs, None where there is none.
    """

    curves: Address
    runs: Address | None
    NAME = curve_set.NAME

    @classmethod
    def at(cls, address: object) -> RemoteSet | None:
        """The curve set at an address, None where there is none, or what is given is no address.

        Args:
            address: of a folder with ``curves.parquet``, or of a Parquet file.

        Raises:
            InputError: if what lies there cannot be reached, or may not be read.
        """
        found = Address.of(address)
        if found is None or not (found.is_store or found.is_web):
            return None
        where = found.where
        folder, _, last = where.rpartition("/")
        is_file = last.endswith(".parquet")
        if found.is_web and not is_file:
            return None
        curves = replace(found, rest=f"{where}{found.query}" if is_file else f"{where}/{CURVES}")
        folder = folder if is_file else where
        beside = replace(found, rest=f"{folder}/{RUNS}{found.query}")
        with _explained(found):
            if not _exists(curves):
                if found.is_web:
                    raise InputError(f"{found.shown}: no such file; check the address")
                curves = replace(curves, rest=f"{curves.where}/")
                if not _exists(curves):
                    return None
            has_runs = curves.where.endswith(f"/{CURVES}") and _exists(beside)
        return cls(curves, beside if has_runs else None)

    @property
    def name(self) -> str:
        """What the set is called in tables."""
        return self.curves.name

    def scan(self) -> pl.LazyFrame:
        """The curves, not read yet."""
        return _scan(self.curves)

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Say what could not be read, and what to do.

        Raises:
            InputError: if anything here cannot be read.
        """
        with _explained(self.curves):
            yield

    def run_table(self) -> pl.DataFrame | None:
        """The table of runs.

        Raises:
            InputError: if it is of another curve set, or cannot be read.
        """
        if self.runs is None:
            return None
        with _explained(self.runs):
            curve_set.check_pair(self.curves.shown, _write_of(self.curves), _write_of(self.runs))
            return curve_set.collected(_scan(self.runs))

    def parts(self, path: Path, state: State) -> Iterator[Log]:
        """The curves, with their runs."""
        runs = self.run_table()
        with self.readable():
            yield Log(curve_set.collected(self.scan()), runs)


def _scan(address: Address, how: dict[str, Any] = _PATIENCE) -> pl.LazyFrame:
    table = pl.scan_parquet(address.full, glob=False, storage_options=how)
    if not address.is_web:
        return table
    try:
        table.collect_schema()
        table.head(1).collect()
    except OSError as error:
        if "Range request not supported" not in str(error):
            raise
        with urllib.request.urlopen(address.full, timeout=_TIMEOUT) as answer:  # noqa: S310
            return pl.scan_parquet(BytesIO(answer.read()))
    return table


def _exists(address: Address) -> bool:
    """Whether there is a table, or a folder of tables."""
    try:
        _scan(address, _ANSWER).collect_schema()
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise
        return False
    except pl.exceptions.ComputeError as error:
        if "expanded paths were empty" not in str(error):
            raise
        return False
    return True


def _write_of(address: Address) -> str | None:
    """Which writing a file comes from, None of any other file and of folders."""
    if address.full.endswith("/") or address.is_web:
        return None
    return pl.read_parquet_metadata(address.full, storage_options=_PATIENCE).get(WRITE)


@contextmanager
def _explained(address: Address) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.PolarsError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{address.shown}: {_reason(address, error)}") from None


def _reason(address: Address, error: Exception) -> str:
    """Why something at an address cannot be read; nothing of what the store says, keys included."""
    said = str(error)
    if isinstance(error, FileNotFoundError):
        bucket = "NoSuchBucket" in said
        return "no such bucket; check the address" if bucket else "it is gone; check the address"
    if isinstance(error, PermissionError) or _DENIED.search(said):
        keys = _KEYS.get(address.scheme[:2])
        how = f"set {keys}, or those of another account" if keys else "check the address"
        return f"access was denied; {how}"
    if isinstance(error, ConnectionError) or _UNREACHABLE.search(said):
        return "the server cannot be reached; check the address, the endpoint and the network"
    if isinstance(error, pl.exceptions.PolarsError) and "object-store" not in said:
        return f"not whole Parquet ({said.splitlines()[0][:200]}); copy or write it again"
    return "it cannot be read from there; copy it to this machine, and name the copy"
