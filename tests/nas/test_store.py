"""The experiment store: many real processes write at once, nothing twice, nothing lost."""

import json
import sqlite3
import subprocess
import sys

import polars as pl
import pytest
import sqlalchemy as sa

from conftest import earlycall
from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.nas import store as store_module
from earlycall.nas.store import Added, Store, upgrade
from nas.cells import collected, renamed_nodes

WRITER = """
import sys
import numpy as np
from earlycall.curves import CurveSet
from earlycall.nas.store import Store
where, me, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
own = {f"own-{me}-{i}": np.linspace(2, 1, 5) + me + i / 10 for i in range(runs)}
shared = {f"shared-{i}": np.linspace(3, 1, 5) + i / 10 for i in range(runs)}
with Store(where) as store:
    store.add(CurveSet.from_losses(own | shared))
"""


def write_at_once(where, writers=5, runs=6):
    """Writers in processes of their own, started together on a store that is not there yet."""
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(where), str(i), str(runs)])
        for i in range(writers)
    ]
    assert [p.wait(120) for p in started] == [0] * writers
    return writers * runs + runs


def test_what_was_added_comes_back(tmp_path):
    curves = collected(8)
    with Store(tmp_path / "runs.db") as store:
        assert store.add(curves) == Added(new=8)
        again = store.curves()
    assert again.frame().equals(curves.frame().select(again.frame().columns))
    columns = ["run", "arch.graph", "arch.params", "final", "higher_is_better"]
    assert again.runs.select(columns).equals(curves.runs.select(columns))


def test_the_same_run_is_there_once_and_grows(tmp_path):
    curves = collected(4)
    short = CurveSet.from_frame(
        curves.frame().filter(pl.col("step") <= 5), curves.runs.drop("final", "higher_is_better")
    )
    with Store(tmp_path / "runs.db") as store:
        assert store.add(short) == Added(new=4)
        assert store.add(short) == Added(there=4)
        assert store.add(curves) == Added(grown=4)
        assert store.add(short) == Added(there=4)  # shorter: the long ones stay
        renamed = CurveSet(curves.observations, curves.runs.with_columns(run=pl.col("run") + "x"))
        assert store.add(renamed) == Added(there=4)
        assert store.curves().observations.height == curves.observations.height
        assert store.curves().runs["final"].null_count() == 0


def test_many_processes_write_at_once_into_sqlite(tmp_path):
    expected = write_at_once(tmp_path / "runs.db")
    with Store(tmp_path / "runs.db") as store:
        assert len(store) == expected
        assert len(store.curves()) == expected


def test_many_processes_write_at_once_into_postgresql(postgres):
    expected = write_at_once(postgres)
    with Store(postgres) as store:
        assert len(store) == expected
        assert store.add(collected(3)) == Added(new=3)
        assert store.add(collected(3)) == Added(there=3)
        assert len(store.curves()) == expected + 3


def test_a_store_that_migrations_made_keeps_its_runs_without_a_source(tmp_path):
    path = tmp_path / "runs.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    row = next(iter(store_module._rows(collected(1), "")))
    with engine.begin() as connection:
        upgrade(connection, "0001")
        old = {k: v for k, v in row.items() if k not in ("source", "changed")}
        names = ", ".join(f'"{k}"' for k in old)
        places = ", ".join(f":{k}" for k in old)
        connection.execute(sa.text(f"INSERT INTO runs ({names}) VALUES ({places})"), old)
    engine.dispose()
    with Store(path) as store:
        assert len(store.curves()) == 1
        assert store.add(collected(1)) == Added(there=1)
        assert store.add(collected(2)).new == 1


def with_nodes_renamed(curves):
    renamed = [json.dumps(renamed_nodes(json.loads(g))) for g in curves.runs["arch.graph"]]
    return CurveSet(curves.observations, curves.runs.with_columns(pl.Series("arch.graph", renamed)))


def test_a_run_whose_nodes_have_other_names_is_there_already(tmp_path):
    with Store(tmp_path / "runs.db") as store:
        assert store.add(collected(3)) == Added(new=3)
        assert store.add(with_nodes_renamed(collected(3))) == Added(there=3)


def test_a_store_of_the_first_schema_forgets_runs_that_are_there_under_other_node_names(tmp_path):
    path = tmp_path / "runs.db"
    rows = [
        row | {"identity": f"{i} {row['run']}", "content": f"{i} {row['run']}"}
        for i, curves in enumerate((collected(3), with_nodes_renamed(collected(2))))
        for row in store_module._rows(curves, "")
    ]
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgrade(connection, "0001")
        connection.execute(sa.insert(store_module.RUNS), rows)
    engine.dispose()
    with Store(path) as store:
        assert len(store) == 3
        assert store.add(with_nodes_renamed(collected(3))) == Added(there=3)


def test_the_schema_of_the_migrations_is_the_one_that_is_used(tmp_path):
    with Store(tmp_path / "runs.db") as store:
        made = {c["name"] for c in sa.inspect(store._engine).get_columns("runs")}
    assert made == {c.name for c in store_module.RUNS.columns}


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "runs.db"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InputError, match="newer earlycall"):
        Store(path)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("mysql://u@h/d", "cannot be a mysql"),
        ("postgresql://u:secret@127.0.0.1:1/d", "cannot be used"),
        ("://", "no URL"),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_sentence(where, said):
    with pytest.raises(InputError, match=said) as caught:
        Store(where)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_store(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but longer than one page of nothing " * 100)
    ran = earlycall("nas", "store", "--store", path)
    assert (ran.code, ran.out) == (2, "")
    assert "not a database" in ran.err


def test_the_commands(tmp_path):
    collected(3).write(tmp_path / "set")
    where = tmp_path / "runs.db"
    assert "3 new" in earlycall("nas", "add", tmp_path / "set", "--store", where).out
    assert "3 already there" in earlycall("nas", "add", tmp_path / "set", "--store", where).out
    ran = earlycall("nas", "store", "--store", where, "--export", tmp_path / "out")
    assert "all: 3 runs" in ran.out
    assert (tmp_path / "out" / "curves.parquet").exists()
