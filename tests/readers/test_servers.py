"""Runs on servers, started here on loopback: MLflow's own, a PostgreSQL with an Optuna study."""

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest
import sqlalchemy
import writers

from conftest import PATIENCE, earlycall, wait_until
from earlycall import InputError, read
from earlycall.readers.remote import _pages


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def mlflow_server(written) -> Iterator[str]:
    store, address = written("mlflow_sqlite") / "mlflow.db", f"127.0.0.1:{free_port()}"
    host, port = address.split(":")
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", port,
               "--backend-store-uri", f"sqlite:///{store}", "--workers", "1"]  # fmt: skip
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:

        def answers() -> bool:
            assert server.poll() is None, "the server ended"
            try:
                with urllib.request.urlopen(f"http://{address}/health", timeout=PATIENCE):
                    return True
            except OSError:
                return False

        wait_until(answers)
        yield f"http://{address}"
    finally:
        os.killpg(server.pid, 15)
        server.wait(PATIENCE)


def test_runs_of_an_mlflow_server(mlflow_server, written):
    curves, file = read(mlflow_server), read(written("mlflow_sqlite"))
    assert curves.runs.drop("group").equals(file.runs.drop("group").select(curves.runs.columns[1:]))
    assert curves.observations.equals(file.observations.select(curves.observations.columns))
    assert curves.curve("brisk-fox").loss.tolist() == writers.LOSSES


def test_all_pages_of_a_search_are_read(written):
    """By the client that speaks to the server, one at a page."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{written('mlflow_sqlite')}/mlflow.db")
    found = _pages(
        lambda page_token: client.search_experiments(max_results=1, page_token=page_token)
    )
    assert sorted(experiment.name for experiment in found) == ["Default", "digits"]


def test_no_mlflow_server():
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=f"{address}: not an MLflow server"):
        read(address)


@pytest.fixture
def database(postgres) -> str:
    """An empty database, by an address with a password."""
    server = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE studies"))
    server.dispose()
    url = sqlalchemy.make_url(postgres).set(database="studies", password="secret")
    return url.render_as_string(hide_password=False)


def test_a_study_on_postgresql(database):
    with pytest.raises(InputError, match=r"//…@127.0.0.1.*no Optuna storage") as error:
        read(database)
    assert "secret" not in str(error.value)
    engine = sqlalchemy.create_engine(database, poolclass=sqlalchemy.NullPool)
    assert sqlalchemy.inspect(engine).get_table_names() == []  # nothing was made there
    writers._optuna(database)
    curves = read(database)
    assert curves.curve("trial-0").loss.tolist() == writers.LOSSES
    assert curves.runs.select("hp.lr", "hp.optimizer", "final").row(0) == (0.1, "sgd", 0.75)


def test_wandb_needs_a_key(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    ran = earlycall("rank", "wandb://team/project")
    assert ran.code == 2
    sentence = "wandb://team/project: set WANDB_API_KEY, or read the local wandb/ folder instead"
    assert ran.err == f"earlycall: {sentence}\n"


def test_a_reader_of_a_third_party_is_found_by_its_entry_point(tmp_path):
    """Installed as pip installs it: a module and its metadata on the path."""
    (tmp_path / "mylog.py").write_text("""
import polars as pl
NAME = "my logs"
def recognises(path, head):
    return head.startswith(b"MYLOG")
def parts(path, state):
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    yield pl.DataFrame(rows, schema=["step", "loss"], orient="row")
""")
    metadata = tmp_path / "mylog-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mylog\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[earlycall.readers]\nmylog = mylog\n")
    (tmp_path / "a.my").write_text("MYLOG\n1 2.5\n2 1.5\n")
    code = "import sys, earlycall as ec; print(ec.read(sys.argv[1]).curve('a.my').loss.tolist())"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.my"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        check=False,
    )
    assert done.stdout == "[2.5, 1.5]\n", done.stderr
