"""Addresses of runs: of servers, of web pages and of object storage."""

from __future__ import annotations

import re
from dataclasses import dataclass

from earlycall.curves.parquet import CURVES

STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf")
_SCHEMES = ("wandb", "http", "https", "postgresql", "mysql", *STORES)
# Paths lose a slash of the two where the command line makes a path of the address.
_FORM = re.compile(rf"({'|'.join(_SCHEMES)})(\+\w+)?:/{{1,2}}(.+)", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """What is given as a path and is none.

    Attributes:
        scheme: such as ``s3``.
        driver: of a database, such as ``+psycopg``.
        rest: the server or bucket, what is asked for there and, on the web, how.
    """

    scheme: str
    driver: str
    rest: str

    @classmethod
    def of(cls, path: object) -> Address | None:
        """The address that is given as a path, None of a path.

        Examples:
            >>> Address.of("s3:/bucket/runs").full, Address.of("runs")
            ('s3://bucket/runs', None)
        """
        match = _FORM.fullmatch(str(path))
        return None if match is None else cls(*match.groups(default=""))

    @property
    def full(self) -> str:
        """The address with both slashes."""
        return f"{self.scheme}{self.driver}://{self.rest}"

    @property
    def shown(self) -> str:
        """As a sentence may say it, without a password or signature.

        Examples:
            >>> Address.of("https://me:secret@host/a.parquet?token=secret").shown
            'https://…@host/a.parquet'
        """
        return f"{self.scheme}{self.driver}://{_plain(re.sub('^[^@/]*@', '…@', self.rest), self)}"

    @property
    def where(self) -> str:
        """The server or bucket, and the path there."""
        return _plain(self.rest, self).rstrip("/")

    @property
    def query(self) -> str:
        """How it is asked for, from ``?`` or ``#`` on."""
        return self.rest[len(_plain(self.rest, self)) :]

    @property
    def name(self) -> str:
        """What is there is called by the last part of it.

        Examples:
            >>> Address.of("s3://bucket/sets/digits/curves.parquet").name
            'digits'
        """
        return self.where.removesuffix(f"/{CURVES}").rpartition("/")[2]

    @property
    def is_web(self) -> bool:
        """Whether a web server is asked."""
        return self.scheme.startswith("http")

    @property
    def is_store(self) -> bool:
        """Whether it is in object storage."""
        return self.scheme in STORES


def _plain(rest: str, address: Address) -> str:
    """Without the query; names in a bucket may have its signs in them."""
    return rest if address.is_store else re.split("[?#]", rest)[0]


def is_address(path: object) -> bool:
    """Whether what is given as a path is an address.

    Examples:
        >>> is_address("wandb://team/project"), is_address("http:/127.0.0.1:5000")
        (True, True)
        >>> is_address("runs")
        False
    """
    return Address.of(path) is not None
