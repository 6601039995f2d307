"""Logs in object storage: read from a copy, of which only what changed is fetched again."""

import socket
import time
import warnings

import pytest
from writers import tensorboard

from conftest import earlycall
from earlycall import Follower, InputError, read
from earlycall.readers import mirror
from earlycall.readers.address import Address
from earlycall.readers.mirror import Mirror


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "earlycall" / "remote"


@pytest.fixture
def runs(tmp_path):
    """Logs of several kinds with settings, outcomes and a model beside them."""
    runs = tmp_path / "runs"
    for i in range(4):
        here = runs / "deep" / f"run{i}"
        here.mkdir(parents=True)
        lines = (f"{step},{3 / (step + i + 1)}\n" for step in range(1, 30))
        (here / "log.csv").write_text("step,train_loss\n" + "".join(lines))
        (here / "config.yaml").write_text(f"lr: {0.1 * (i + 1)}\n")
    lines = (f'{{"step": {step}, "train_loss": {2 / (step + 3)}}}\n' for step in range(1, 30))
    (runs / "a.jsonl").write_text("".join(lines))
    (runs / "model.pt").write_bytes(b"\0" * 1000)
    (runs / ".hidden.csv").write_text("step,train_loss\n1,2\n")
    (runs / "runs.csv").write_text("run,hp.depth\na.jsonl,4\n")
    return runs


@pytest.fixture
def fetched(monkeypatch):
    """The names of the files that are fetched."""
    names = []
    fetch = Mirror._fetch_one

    def noted(self, name, there):
        names.append(name)
        return fetch(self, name, there)

    monkeypatch.setattr(Mirror, "_fetch_one", noted)
    return names


def test_the_same_ranking_as_on_disk(bucket, runs):
    tensorboard(runs / "events")
    address = bucket.upload(runs, "some/runs")
    bucket.upload(runs / "a.jsonl", "some/runs-of-others/b.jsonl")
    here, there = (earlycall("rank", where, "--format", "json") for where in (runs, f"{address}/"))
    assert there.code == 0, there.err
    assert there.json == here.json and len(here.json["runs"]) == 6
    table = earlycall("rank", address)
    assert f"earlycall rank {address}" in table.out or "6 runs" in table.out


def test_a_curve_set_and_a_file_of_their_own(bucket, runs):
    curves = read(runs)
    curves.write(runs.parent / "set")
    theirs = read(bucket.upload(runs.parent / "set", "set"))
    assert theirs.observations.equals(curves.observations) and theirs.name == "set"
    one = read(bucket.upload(runs / "a.jsonl", "logs/a.jsonl"))
    assert one.runs["run"].to_list() == ["a.jsonl"]


def test_a_whole_bucket(bucket, runs):
    bucket.upload(runs, "x")
    assert len(read(bucket.address)) == 5


def test_only_what_changed_is_fetched(bucket, runs, fetched):
    address = bucket.upload(runs, "runs")
    read(address)
    assert len(fetched) == 10 and not {"model.pt", ".hidden.csv"} & {*fetched}
    fetched.clear()
    read(address)
    assert fetched == []
    (runs / "a.jsonl").write_text('{"step": 1, "train_loss": 9}\n{"step": 2, "train_loss": 8}\n')
    bucket.upload(runs / "a.jsonl", "runs/a.jsonl")
    bucket.client.delete_object(Bucket=bucket.name, Key="runs/deep/run1/log.csv")
    curves = read(address)
    assert fetched == ["a.jsonl"]
    assert curves.curve("a.jsonl").loss.tolist() == [9, 8]
    assert "deep/run1/log.csv" not in curves.runs["run"].to_list() and len(curves) == 4


def test_followed(bucket, runs, fetched):
    address = bucket.upload(runs, "runs")
    follower = Follower(address)
    assert len(follower.update()) == 5
    fetched.clear()
    assert follower.update() is follower.update() and fetched == []
    bucket.upload(runs / "a.jsonl", "runs/b.jsonl")
    with (runs / "a.jsonl").open("a") as file:
        file.write('{"step": 30, "train_loss": 0.5}\n')
    bucket.upload(runs / "a.jsonl", "runs/a.jsonl")
    curves = follower.update()
    assert follower.changed == {"a.jsonl", "b.jsonl"} and sorted(fetched) == ["a.jsonl", "b.jsonl"]
    assert curves.curve("a.jsonl").loss[-1] == 0.5
    broken = runs.parent / "broken.csv"
    broken.write_text("step,train_loss\n1,2\n2,x\n3,1\n")
    bucket.upload(broken, "runs/broken.csv")
    assert len(follower.update()) == 6
    [sentence] = follower.broken.values()
    assert sentence.startswith(f"{address}/broken.csv, line 3")


def test_sentences_name_the_address(bucket, runs):
    (runs / "empty.csv").write_text("step,train_loss\n")
    address = bucket.upload(runs, "runs")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(address)
    assert any(str(w.message).startswith(f"{address}/empty.csv: ") for w in caught)
    (runs / "deep" / "run1" / "log.csv").write_text("step,train_loss\n1,2\n2,x\n3,1\n")
    bucket.upload(runs, "runs")
    ran = earlycall("rank", address)
    assert ran.code == 2 and f"earlycall: {address}/deep/run1/log.csv, line 3" in ran.err


def test_names_that_lead_out_of_the_copy(bucket, runs, cache):
    address = bucket.upload(runs, "runs")
    for key in ("runs/../../out.csv", "runs/deep", "runs/x//y.csv", "runs/" + "n" * 300 + ".csv"):
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"step,train_loss\n1,2\n2,1\n")
    with pytest.warns(match="names that no file can have here"):
        assert len(read(address)) == 5
    assert not [*cache.parent.rglob("out.csv")]


def test_errors_are_a_sentence(bucket, runs, monkeypatch):
    def error(address):
        ran = earlycall("rank", address)
        assert ran.code == 2 and not ran.out
        said = [line for line in ran.err.splitlines() if not line.startswith("note: ")]
        assert len(said) == 1 and "testing" not in ran.err
        return said[0]

    bucket.upload(runs, "runs")
    missing = "no such bucket, folder or file"
    assert f"s3://no-such-{bucket.name}/runs: {missing}" in error(
        f"s3://no-such-{bucket.name}/runs"
    )
    assert missing in error(f"s3://no-such-{bucket.name}") and missing in error(
        f"{bucket.address}/rubs"
    )
    bucket.client.put_object(Bucket=bucket.name, Key="models/a.pt", Body=b"x")
    assert "nothing that may be a log" in error(f"{bucket.address}/models")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert "cannot be reached" in error(f"{bucket.address}/runs")


def test_a_server_that_never_answers(bucket, monkeypatch):
    monkeypatch.setattr(mirror, "MAX_WAIT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(InputError, match="cannot be reached"):
            read(f"{bucket.address}/runs")


def test_without_credentials(bucket, runs, monkeypatch, tmp_path):
    address = bucket.upload(runs, "runs")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(InputError, match="no credentials were found, and it is not public"):
        read(address)
    for there in bucket.client.list_objects_v2(Bucket=bucket.name)["Contents"]:
        bucket.client.put_object_acl(Bucket=bucket.name, Key=there["Key"], ACL="public-read")
    assert len(read(address)) == 5


@pytest.mark.parametrize(
    ("address", "package", "extra"),
    [("s3://b/runs", "s3fs", "'earlycall[remote]'"), ("gs://b/runs", "gcsfs", "[remote]' gcsfs"),
     ("az://b/runs", "adlfs", "[remote]' adlfs")],
)  # fmt: skip
def test_without_the_extra(monkeypatch, address, package, extra):
    monkeypatch.setattr(mirror.RemoteSet, "at", lambda address: None)
    monkeypatch.setattr(mirror, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(ImportError, match=f"{address} needs {package}: pip install") as raised:
        read(address)
    assert str(raised.value).endswith(extra)


def test_too_much_is_not_fetched(bucket, runs, monkeypatch, fetched):
    address = bucket.upload(runs, "runs")
    monkeypatch.setattr(mirror, "MAX_FILE_BYTES", 500)
    with pytest.warns(match="files of over .* are left out"):
        assert len(read(address)) == 4
    monkeypatch.setattr(mirror, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="name a folder in it"):
        read(address)


def test_old_copies_make_room(bucket, runs, monkeypatch, cache):
    import os

    first = bucket.upload(runs, "first")
    read(first)
    [copy] = cache.iterdir()
    assert copy.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(mirror, "MAX_CACHE_BYTES", 0)
    read(bucket.upload(runs, "second"))
    assert copy.exists()  # perhaps it is being read
    old = time.time() - 2 * mirror._IN_USE
    os.utime(copy / "index.json", (old, old))
    read(bucket.upload(runs, "third"))
    assert not copy.exists() and len([*cache.iterdir()]) == 2


def test_nothing_of_a_signature_is_said():
    assert Mirror(Address.of("https://a:word@example.org/x/log.csv?sig=abc")).address == (
        "https://…@example.org/x/log.csv"
    )


def test_a_file_on_a_web_server(tmp_path, runs):
    import subprocess
    import sys

    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", runs],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:  # fmt: skip
        try:
            port = server.stdout.readline().split("port ")[1].split()[0]
            curves = read(f"http://127.0.0.1:{port}/a.jsonl")
            assert curves.observations.equals(read(runs / "a.jsonl").observations)
            with pytest.raises(InputError, match="no such"):
                read(f"http://127.0.0.1:{port}/b.jsonl")
        finally:
            server.kill()
