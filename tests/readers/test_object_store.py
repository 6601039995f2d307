"""Curve sets in a real S3-compatible store, and on a web server: the same as on disk."""

import http.server
import threading
import time
from functools import partial

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from conftest import earlycall
from earlycall import CurveSet, read
from earlycall.errors import InputError
from earlycall.ranking.in_parts import ranked_parts
from earlycall.readers.object_store import RemoteSet
from earlycall.readers.scan import scanned


@pytest.fixture(autouse=True)
def no_copies(tmp_path, monkeypatch):
    """Copies of what is read from an address would lie here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def curves():
    rows = [
        {"group": group, "run": f"run {i}", "step": step, "train_loss": 1 + (i + 1) / step}
        for group in "ab" for i in range(4) for step in range(1, 41)
    ]  # fmt: skip
    finals = pl.DataFrame({"run": [f"run {i}" for i in range(4)], "hp.lr": [0.1, 0.2, 0.3, 0.4]})
    return CurveSet.from_frame(pl.DataFrame(rows), finals, name="set")


@pytest.fixture
def partitioned(curves, tmp_path):
    for group in curves.groups:
        part = tmp_path / "parts/set/curves.parquet" / f"group={group}"
        part.mkdir(parents=True)
        curves.select(group=group).frame().drop("group").write_parquet(part / "0.parquet")
    curves.runs.write_parquet(tmp_path / "parts/set/runs.parquet")
    return tmp_path / "parts/set"


@pytest.fixture
def web(tmp_path):
    """The address of a web server that serves a folder."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def same(found, curves):
    assert found.name == curves.name
    assert_frame_equal(found.frame(), curves.frame())
    assert_frame_equal(found.runs, curves.runs)


def test_a_set_in_a_bucket_is_the_one_on_disk(bucket, curves, partitioned, tmp_path):
    same(read(bucket.upload(curves.write(tmp_path / "set"), "file/set")), curves)
    address = bucket.upload(partitioned, "parts/set")
    same(read(address), curves)
    assert not list(tmp_path.rglob("earlycall/remote")), "it was copied"
    same(read(f"{address}/"), curves)
    same(read(f"{bucket.address}/file/set/curves.parquet"), curves)


def test_the_command_ranks_a_bucket_as_it_ranks_the_disk(bucket, partitioned):
    here = earlycall("rank", partitioned, "--budget", "20%", "--format", "json")
    address = bucket.upload(partitioned, "parts/set")
    there = earlycall("rank", address, "--budget", "20%", "--format", "json")
    assert there.out == here.out
    assert there.err == here.err
    parts = ranked_parts(
        scanned(address, large=0), score="outlook", metric=None, direction=None, budget=0.2,
        steps=None, epochs=None, horizon=None, axis="observation", cost="step", top=3,
        outcome=None, burn_in=None,
    )  # fmt: skip
    assert parts.whole().to_dict() == here.json


def test_a_file_on_a_web_server_is_a_curve_set(web, curves, tmp_path):
    curves.write(tmp_path / "set")
    same(read(f"{web}/set/curves.parquet"), curves)
    curves.frame().write_parquet(tmp_path / "other.parquet")
    assert_frame_equal(read(f"{web}/other.parquet").frame(), curves.frame())
    assert RemoteSet.at(web) is None  # which may be an MLflow server


def test_what_is_not_there_is_said_at_once(bucket, web, monkeypatch):
    begun = time.monotonic()
    ran = earlycall("rank", f"{bucket.address}/nothing")
    assert ran.code == 2
    assert ran.err == (
        f"earlycall: {bucket.address}/nothing: no such bucket, folder or file; check the address\n"
    )
    with pytest.raises(InputError, match=r"/set: no such bucket.*; check the address$"):
        read("s3://no-such-bucket/set")
    with pytest.raises(InputError, match=r"/a\.parquet: no such file; check the address$"):
        read(f"{web}/a.parquet?token=secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="cannot be reached") as raised:
        read(f"{bucket.address}/set")
    assert "testing" not in str(raised.value)
    assert time.monotonic() - begun < 120


def test_halves_of_two_sets_in_a_bucket_are_told(bucket, curves, tmp_path):
    address = bucket.upload(curves.write(tmp_path / "set"), "set")
    curves.write(tmp_path / "set")
    bucket.upload(tmp_path / "set/runs.parquet", "set/runs.parquet")
    with pytest.raises(InputError, match="of two different curve sets"):
        read(address)


def test_what_is_no_parquet_in_a_bucket_is_told(bucket, tmp_path):
    (tmp_path / "curves.parquet").write_bytes(b"PAR1 and no more")
    bucket.upload(tmp_path / "curves.parquet", "set/curves.parquet")
    with pytest.raises(InputError, match="not a whole Parquet"):
        read(f"{bucket.address}/set")
