"""Logs in object storage or on a web server, read from a copy of them on this machine.

The copy has the files that may be logs, or say something of one, under the names that they have
there. It is brought up to date each time: all are listed, and those fetched whose size, tag or time
is another than that of the copy. Copies lie in the user's cache, as a rule
``~/.cache/earlycall/remote``; those that were used the longest time ago make room for others.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from threading import Thread
from typing import Any

from earlycall.atomic import write_whole
from earlycall.errors import CurveWarning, InputError, first_few
from earlycall.extras import MissingExtraError
from earlycall.readers.address import Address
from earlycall.readers.base.threads import awaited
from earlycall.readers.object_store import RemoteSet

PACKAGES = {  # by scheme, of those that fsspec reads through another package
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
    "abfss": "adlfs",
    "hf": "huggingface_hub", "http": "aiohttp", "https": "aiohttp",
}  # fmt: skip
MAX_BYTES = 10 << 30  # of one address
MAX_FILE_BYTES = 2 << 30
MAX_CACHE_BYTES = 20 << 30
MAX_WAIT = 15.0  # seconds for the first answer
_THREADS = 16
_IN_USE = 3600.0  # seconds after its last use in which a copy is not removed
_INDEX = "index.json"
_Entry = list[str | int]  # of a file that was fetched: its tag there, and which file it is here
_TAGS = ("ETag", "etag", "md5Hash", "blob_id", "LastModified", "last_modified", "mtime", "updated")
_TIMES = ("LastModified", "last_modified", "mtime", "updated")
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|SIGNATURE|CONNECTION_STRING|SAS")
_LOGS = frozenset({  # at a web address, which else is that of an MLflow server
    ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".log", ".txt", ".parquet", ".wandb", ".zip",
    ".db", ".sqlite", ".swanlab",
})  # fmt: skip
_NO_LOGS = frozenset({  # what lies beside logs and is large
    ".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".onnx", ".h5", ".hdf5", ".keras", ".npz",
    ".npy", ".pkl", ".pickle", ".joblib", ".gguf", ".msgpack", ".pb", ".tflite", ".mat", ".arrow",
    ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".whl", ".png", ".jpg", ".jpeg", ".gif", ".webp",
    ".svg", ".mp4", ".avi", ".mov", ".wav", ".mp3", ".pdf", ".html", ".py", ".pyc", ".ipynb", ".so",
    ".distcp", ".model",
})  # fmt: skip


def mirror_of(path: object) -> Mirror | None:
    """The copy of the logs at an address in object storage, or of one on a web server.

    None of a path, of an address of runs on a server, and of that of a curve set, which is read
    where it lies.

    Raises:
        InputError: if what lies there cannot be reached, or the package that reads it is missing.
    """
    address = Address.of(path)
    if address is None or not (address.is_store or _is_web_log(address)):
        return None
    try:
        if RemoteSet.at(path) is not None:
            return None
    except InputError:  # the copy may be made in another way, such as without credentials
        if address.is_web or _missing_package(address.scheme):
            raise
    return Mirror(address)


def _is_web_log(address: Address) -> bool:
    """Whether an address on the web is that of a log; else it is that of an MLflow server.

    Examples:
        >>> _is_web_log(Address.of("https://example.org/log.csv"))
        True
        >>> _is_web_log(Address.of("http://127.0.0.1:5000"))
        False
    """
    path = PurePosixPath(address.where)
    is_log = path.suffix.lower() in _LOGS or ".tfevents." in path.name
    return address.is_web and is_log and len(path.parts) > 1


class Mirror:
    """The copy of what lies at an address.

    Args:
        address: of a folder or a file.

    Attributes:
        address: as sentences say it, without a password or signature.
        path: the copy, a folder or a file; there is none before `update`.

    Raises:
        MissingExtraError: if the package that reads such addresses is not installed.
    """

    def __init__(self, address: Address) -> None:
        self._is_web = address.is_web
        self._scheme, self._full = address.scheme, address.full.rstrip("/")
        self.address = address.shown.rstrip("/")
        if package := _missing_package(self._scheme):
            which = "" if package in ("fsspec", "s3fs", "aiohttp") else f" {package}"
            raise MissingExtraError(
                f"{self.address} needs {package}: pip install 'earlycall[remote]'{which}"
            )
        self._home = _cache() / sha256(self._full.encode()).hexdigest()[:20]
        self.path = self._home / "files" / PurePosixPath(self.address).name
        self._fs: Any = None
        self._is_anonymous = False
        self._root = ""

    def update(self, progress: Callable[[int, int], None] | None = None) -> Path:
        """Fetch what is new, and remove what is gone; the copy.

        Args:
            progress: called with (done, total) after each file that is fetched.

        Raises:
            InputError: if there is nothing, it may not be read, or it is too much.
        """
        import fsspec  # type: ignore[import-untyped]

        with self._explained(self.address):
            if self._fs is None:
                self._fs, self._root = self._opened(fsspec)
            self._fs.invalidate_cache()
            listed = self._listed()
        if not listed:
            raise InputError(
                f"{self.address}: nothing that may be a log is there; check the address"
            )
        total = sum(there.size for there in listed.values())
        if total > MAX_BYTES:
            raise InputError(
                f"{self.address}: {len(listed):,} files of {total >> 30} GB are more than "
                f"{MAX_BYTES >> 30} GB, which are fetched at most; name a folder in it"
            )
        try:
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            known = self._known(listed)
            new = {name: there for name, there in listed.items() if name not in known}
            self._fetch(new, known, progress)
            if new:
                _make_room(self._home)
        except OSError as error:
            raise InputError(
                f"{self._home}: the copy of {self.address} cannot be written: "
                f"{error.strerror or error}"
            ) from None
        return self.path

    def said(self, sentence: str) -> str:
        """A sentence about the copy as one about the address."""
        return sentence.replace(str(self.path), self.address)

    def _opened(self, fsspec: Any) -> tuple[Any, str]:
        """The file system and the path in it, once something there has answered."""
        options: dict[str, Any] = {"skip_instance_cache": True}
        if self._scheme == "s3":
            limits = {"connect_timeout": 4, "read_timeout": 30, "retries": {"max_attempts": 1}}
            options["config_kwargs"] = limits
        try:
            return self._answering(fsspec, options)
        except Exception as error:
            if self._scheme != "s3" or type(error).__name__ != "NoCredentialsError":
                raise
        self._is_anonymous = True  # the bucket may be public
        return self._answering(fsspec, options | {"anon": True})

    def _answering(self, fsspec: Any, options: dict[str, Any]) -> tuple[Any, str]:
        def first() -> tuple[Any, str]:
            fs, root = fsspec.url_to_fs(self._full, **options)
            if self._scheme == "s3" and "/" not in root.strip("/"):
                fs.ls(root, refresh=True)  # the info of a bucket asks for more rights
            else:
                fs.info(root)
            return fs, root

        found: tuple[Any, str] = _within(MAX_WAIT, first)
        return found

    def _listed(self) -> dict[str, _There]:
        """What may be a log, by its name below the address."""
        root = self._root.rstrip("/")
        if self._is_web:
            found = {self._root: self._fs.info(self._root)}
        else:
            found = self._fs.find(self._root, detail=True)
        named = {
            "" if full.rstrip("/") == root else full.removeprefix(f"{root}/"): (full, facts)
            for full, facts in found.items()
            if facts.get("type") == "file" and full.startswith(root) and not full.endswith("/")
        }
        folders = {str(above) for name in named for above in PurePosixPath(name).parents}
        listed, large, unusable = {}, [], []
        for name in filter(_may_be_log, sorted(named)):
            there = _There.of(*named[name])
            if name and (name in folders or not _can_be_a_file(name)):
                unusable.append(name)
            elif there.size > MAX_FILE_BYTES:
                large.append(name)
            else:
                listed[name] = there
        self._warn(f"files of over {MAX_FILE_BYTES >> 30} GB are left out", large)
        self._warn("names that no file can have here are left out", unusable)
        return listed

    def _warn(self, what: str, names: list[str]) -> None:
        if names:
            sentence = f"{self.address}: {what}: {first_few(names)}"
            warnings.warn(CurveWarning(sentence, names), stacklevel=2)

    def _known(self, listed: dict[str, _There]) -> dict[str, _Entry]:
        """The files that need not be fetched; what is not listed is removed from the copy."""
        try:
            index = dict(json.loads((self._home / _INDEX).read_bytes()))
        except (OSError, ValueError, TypeError):
            index = {}
        known = {
            name: index[name]
            for name, there in listed.items()
            if there.tag and index.get(name) == [there.tag, *_identity(self.path / name)]
        }
        if "" in listed:  # a file
            if self.path.is_dir():
                shutil.rmtree(self.path)
            return known
        if self.path.is_file():
            self.path.unlink()
        for where, folders, files in os.walk(self.path, topdown=False):
            for file in (Path(where, name) for name in files):
                if file.relative_to(self.path).as_posix() not in listed:
                    with suppress(FileNotFoundError):
                        is_new = time.time() - file.stat().st_ctime < _IN_USE
                        if file.suffix != ".part" or not is_new:  # another process may write it
                            file.unlink()
            for name in folders:
                with suppress(OSError):  # which is not empty
                    Path(where, name).rmdir()
        return known

    def _fetch(
        self,
        new: dict[str, _There],
        known: dict[str, _Entry],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        threads = ThreadPoolExecutor(_THREADS)
        self.path.parent.mkdir(exist_ok=True)
        if "" not in new and "" not in known:
            self.path.mkdir(exist_ok=True)
        try:
            futures: list[tuple[str, Future[list[int]]]] = [
                (name, threads.submit(self._fetch_one, name, there)) for name, there in new.items()
            ]
            for done, (name, future) in enumerate(futures, start=1):
                with self._explained(f"{self.address}/{name}" if name else self.address):
                    known[name] = [new[name].tag, *awaited(future)]
                if progress is not None:
                    progress(done, len(futures))
        finally:
            threads.shutdown(cancel_futures=True)
            write_whole(self._home / _INDEX, json.dumps(known))

    def _fetch_one(self, name: str, there: _There) -> list[int]:
        """Which file has been written."""
        target = self.path / name
        part = target.with_name(f".{sha256(name.encode()).hexdigest()[:20]}.{os.getpid()}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            try:
                self._fs.get_file(there.full, str(part))
            except FileNotFoundError:  # removed since it was listed
                target.unlink(missing_ok=True)
                return []
            if there.time is not None:
                os.utime(part, (there.time, there.time))
            identity = _identity(part)
            part.replace(target)
            return identity
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Say in one sentence what a file system raises, in which many kinds of errors meet."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            no_key = self._is_anonymous and isinstance(error, PermissionError)
            raise InputError(f"{what}: {_NO_CREDENTIALS if no_key else _why(error)}") from None


_NO_CREDENTIALS = (
    "no credentials were found, and it is not public; set those of the service (for s3 "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)"
)


def _why(error: Exception) -> str:
    kind = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "no such bucket, folder or file; check the address"
    if isinstance(error, PermissionError) or kind in ("ClientAuthenticationError", "Unauthorized"):
        return "access is denied; check the credentials that are set for it, and their rights"
    if "Credential" in kind or "DefaultCredentials" in kind:
        return _NO_CREDENTIALS
    if isinstance(error, TimeoutError | ConnectionError) or "Connect" in kind or "Timeout" in kind:
        return "cannot be reached; check the address, the network and the endpoint that is set"
    said = next(iter(str(error).splitlines()), "")[:200]
    for name, value in os.environ.items():
        if len(value) >= 6 and _SECRET.search(name.upper()):
            said = said.replace(value, "…")
    return f"cannot be read ({kind}{': ' * bool(said)}{re.sub('[?&][^ ]*', '…', said)})"


@dataclass(frozen=True)
class _There:
    """A file as it was listed.

    Attributes:
        full: its path in the file system.
        size: in bytes.
        tag: another one when the file is another one; empty where that is not told.
        time: when it was written, in seconds since 1970.
    """

    full: str
    size: int
    tag: str
    time: float | None

    @classmethod
    def of(cls, full: str, facts: dict[str, Any]) -> _There:
        size = int(facts.get("size") or 0)
        tags = [str(facts[name]) for name in _TAGS if facts.get(name) is not None]
        written = next((facts[name] for name in _TIMES if facts.get(name) is not None), None)
        seconds = written.timestamp() if isinstance(written, datetime) else None
        return cls(full, size, " ".join([str(size), *tags]) if tags else "", seconds)


def _missing_package(scheme: str) -> str | None:
    """The package without which such addresses cannot be read, None if there is none."""
    needed = ("fsspec", PACKAGES[scheme])
    return next((package for package in needed if find_spec(package) is None), None)


def _may_be_log(name: str) -> bool:
    """Whether a file is fetched: it is not hidden, and no model or picture."""
    hidden = (p.startswith(".") and p not in (".hydra", ".", "..") for p in name.split("/"))
    return PurePosixPath(name).suffix.lower() not in _NO_LOGS and not any(hidden)


def _identity(path: Path) -> list[int]:
    """What tells a file from one that another process has put in its place."""
    try:
        stat = path.stat()
    except OSError:
        return []
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns]


def _can_be_a_file(name: str) -> bool:
    """Whether a file below a folder of this machine can have a name."""
    return all(
        part not in ("", ".", "..") and not set("\0\\") & set(part) and len(part.encode()) < 255
        for part in name.split("/")
    )


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What a call gives, if it does so in time; it is left to itself if not.

    Raises:
        TimeoutError: if it does not; or what the call raises.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    until = time.monotonic() + seconds
    while not future.done():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.01)
    return future.result()


def _cache() -> Path:
    """Where copies are kept."""
    home = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".cache"
    return base / "earlycall" / "remote"


def _make_room(used: Path) -> None:
    """Remove the copies that were used the longest time ago, where all are too large together."""
    os.utime(used / _INDEX)
    copies = []
    for home in used.parent.iterdir():
        with suppress(OSError):
            size = sum(p.stat().st_size for p in home.rglob("*") if p.is_file())
            index = home / _INDEX
            copies.append(((index if index.exists() else home).stat().st_mtime, size, home))
    total = sum(size for _, size, _ in copies)
    for last, size, home in sorted(copies):
        if total <= MAX_CACHE_BYTES or home == used or time.time() - last < _IN_USE:
            return
        shutil.rmtree(home, ignore_errors=True)
        total -= size


@contextmanager
def by_address(mirrors: Sequence[Mirror]) -> Iterator[None]:
    """Errors and warnings name the addresses, not the copies of what lies there."""

    def said(sentence: str) -> str:
        for mirror in mirrors:
            sentence = mirror.said(sentence)
        return sentence

    if not mirrors:
        yield
        return
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except InputError as error:
        error.args = tuple(said(a) if isinstance(a, str) else a for a in error.args)
        raise
    finally:
        for warning in caught:
            message = warning.message
            if isinstance(message, CurveWarning):
                message = CurveWarning(said(str(message)), map(said, message.details))
            warnings.warn(message, warning.category, stacklevel=4)
