"""Real logs and a runner of the real command."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

# Else Ray replaces print for good in a process that it tells of a lost node.
os.environ["RAY_TQDM_PATCH_PRINT"] = "0"
# A busy machine is no failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update",
            "--disable-sync")  # fmt: skip
PATIENCE = 900  # seconds, for what a slow machine does in the end: only what hangs takes so long
DIGITS = Path(__file__).parent.parent / "examples" / "digits"


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def earlycall(*arguments: object) -> Ran:
    """Run the command as a person would."""
    done = subprocess.run(
        [sys.executable, "-m", "earlycall", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=os.environ | {"COLUMNS": ""},  # as wide as it needs to be
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def wait_until(happened: Callable[[], object]) -> None:
    """Wait for what another process or thread does; fail if it does not."""
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def finish_wandb(run: Any, folder: Path) -> Path:
    """End a W&B run, and wait for its log."""
    run.finish()
    [log] = folder.rglob(f"run-{run.id}.wandb")
    wait_for_wandb(log)
    return log


def wait_for_wandb(log: Path) -> None:
    """Wait until the log of a W&B run is whole: ``finish()`` is back before it is on the disk."""
    from wandb.proto.wandb_internal_pb2 import Record

    from earlycall.readers.base.leveldb import records

    def is_whole() -> bool:
        with log.open("rb") as file:
            return any(Record.FromString(data).HasField("exit") for data, _ in records(log, file))

    wait_until(is_whole)


@pytest.fixture
def digits() -> Path:
    """The folder with the bundled logs of real training."""
    return DIGITS


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Where an installed Chromium or Chrome is; skips where there is none."""
    named = os.environ.get("BROWSER_PATH")
    found = named or next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if not found:
        pytest.skip("no Chromium or Chrome is installed (apt-get install chromium)")
    return found


@pytest.fixture(scope="session")
def browser(browser_path: str) -> Iterator[Any]:
    """A real browser, by Playwright: ``browser.new_context()`` for a test's own pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser_path, args=[*CHROMIUM])
        yield started
        started.close()


collect_ignore_glob = ["*/programs/*"]  # programs, run by the tests


class Written:
    """The log of each tool, written when a test asks for it first."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, tool: str) -> Path:
        """The folder that a tool wrote; not to be changed."""
        sys.path.append(str(Path(__file__).parent / "readers"))
        import writers

        folder = self.root / tool
        with FileLock(self.root / f".{tool}.lock"):
            if not folder.exists():
                (self.root / f".{tool}.began").write_text(repr(time.time()))
                writers.write(tool, self.root / ".parts" / tool).rename(folder)
        return folder

    def began(self, tool: str) -> float:
        """When the tool was started, in seconds since 1970."""
        self(tool)
        return float((self.root / f".{tool}.began").read_text())

    def copy(self, tool: str, to: Path) -> Path:
        """A copy of the folder that a tool wrote, to be changed."""
        return Path(shutil.copytree(self(tool), to / tool, symlinks=True))


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Written:
    """Real logs, written once in a session, also where tests run in parallel."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent  # shared by the workers
    root = base / "written"
    root.mkdir(exist_ok=True)
    return Written(root)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL server; a test that wants an empty database makes its own."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server here (Debian's package postgresql brings one)")
    if os.geteuid() == 0 and not shutil.which("runuser"):
        pytest.skip("PostgreSQL does not run as root, and there is no runuser")
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="earlycall-postgres-"))
    if as_user:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(tool, *arguments):
        subprocess.run([*as_user, found[-1].parent / tool, "-D", folder / "data", *arguments],
                       check=True, stdout=subprocess.DEVNULL, cwd="/")  # fmt: skip

    options = f"-p {port} -h 127.0.0.1 -k '' -c fsync=off"
    run("initdb", "-A", "trust", "-U", "earlycall")
    run("pg_ctl", "-w", "-t", str(PATIENCE), "-l", folder / "log", "-o", options, "start")
    yield f"postgresql://earlycall@127.0.0.1:{port}/postgres"
    run("pg_ctl", "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)


class Bucket(NamedTuple):
    """An empty bucket of the test's own on an S3-compatible server."""

    name: str
    client: Any  # boto3's

    @property
    def address(self) -> str:
        return f"s3://{self.name}"

    def upload(self, path: Path, key: str) -> str:
        """Put a file, or all files of a folder, there; its address."""
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file():
                below = "" if file == path else f"/{file.relative_to(path).as_posix()}"
                self.client.upload_file(str(file), self.name, key + below)
        return f"{self.address}/{key}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a real S3-compatible server on this machine."""
    program = (
        "import sys, threading\n"
        "from moto.server import ThreadedMotoServer\n"
        "server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)\n"
        "server.start()\n"
        "print(server.get_host_and_port()[1], flush=True)\n"
        "sys.stdin.read()\n"  # until the tests end
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdin and server.stdout
    yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    server.stdin.close()
    server.wait(PATIENCE)


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket; the environment says where it is, to this process and those it starts."""
    import boto3

    environment = {
        "AWS_ENDPOINT_URL": s3_server, "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    name = f"bucket-{secrets.token_hex(8)}"
    client.create_bucket(Bucket=name)
    return Bucket(name, client)
