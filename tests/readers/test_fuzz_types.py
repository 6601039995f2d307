"""Logs that are whole but hold what they should not, by type: each command gives 0 or a sentence.

Behind checksums (TensorBoard, W&B), in cells of SQL, columns of Parquet, values of ``runs.csv``,
of settings in YAML, which may expand, and of whatever logs in JSON.
"""

import datetime
import decimal
import itertools
import json
import random
import shutil
import sqlite3
import struct
import sys
import zlib
from pathlib import Path

import polars as pl
import pytest
import test_formats as formats

from earlycall import cli
from earlycall.readers.base.leveldb import records

# Of numbers beyond half of the largest; the commands show no such warning.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(overflow|invalid value) encountered:RuntimeWarning"
)

N = 12
LOSSES = [2 / (1 + 0.3 * i) + 0.1 for i in range(N)]
COMMANDS = (
    ["rank", "PATH"], ["rank", "PATH", "--budget", "50%", "--format", "json"],
    ["rank", "PATH", "--axis", "seconds", "--format", "csv"], ["fit", "PATH", "--axis", "step"],
    ["evaluate", "PATH"], ["elasticity", "PATH"],
    ["elasticity", "PATH", "--cost", "seconds", "--format", "json"], ["energy", "PATH"],
    ["replay", "PATH", "--rules", "gain:0.02,patience:3"], ["report", "PATH", "-o", "OUT/r.md"],
    ["convert", "PATH", "-o", "OUT/set"],
)  # fmt: skip
LATER = (
    ["report", "PATH", "-o", "OUT/r.html"], ["nas", "add", "PATH", "--store", "OUT/store"],
    ["nas", "fit", "PATH", "-o", "OUT/predictor"], ["study", "report", "PATH"],
)  # fmt: skip
TEXTS = (
    "", "x", "nan", "inf", "1e400", str(2**63), str(2**70), "-1", "=1+1", "true", "[]", "[[1]]",
    '[["a","b"]]', "[null]", "{", "[" * 3000, "9" * 5000, "1e-320", "é\ud800", "a\0b", "n" * 400,
)  # fmt: skip
NUMBERS = (
    b"\0" * 8, struct.pack("<d", float("nan")), struct.pack("<d", float("inf")), b"\xff" * 8,
    struct.pack("<d", -1e308), struct.pack("<d", 5e-324),
)  # fmt: skip


@pytest.fixture
def must_end_well(tmp_path, capsys, monkeypatch):
    """``must_end_well(NAME, PATH)``: some commands, or ``every``, end with 0 or in a sentence."""
    turn = itertools.cycle(COMMANDS)
    wrong = []

    def run(name, path, every=()):
        for command in every or (next(turn),):
            out = tmp_path / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            words = [w.replace("PATH", str(path)).replace("OUT", str(out)) for w in command]
            monkeypatch.setattr(sys, "argv", ["earlycall", *words])
            try:
                cli.main()
            except SystemExit as end:
                said = capsys.readouterr().err.splitlines()
                sentences = [line for line in said if line.startswith("earlycall: ")]
                if (end.code, len(sentences)) not in ((0, 0), (2, 1)) or any(
                    len(line) > 1500 for line in said
                ):
                    wrong.append((name, command[0], end.code, said[-3:]))
            except Exception as error:
                wrong.append((name, command[0], f"{type(error).__name__}: {error}"[:300]))

    yield run
    assert not wrong, f"{len(wrong)} ended badly, such as {wrong[:8]}"


def a_set(folder: Path, target: str = "", column: pl.Series | None = None) -> None:
    """Three runs with outcomes as a curve set, with a column put into one of its tables."""
    folder.mkdir(parents=True)
    runs = pl.DataFrame({"run": ["a", "b", "c"], "final": [0.1, 0.2, 0.3]})
    curves = pl.concat(
        pl.DataFrame({"run": [run] * N, "step": range(1, N + 1), "train_loss": LOSSES})
        .with_columns(pl.col("train_loss") * (i + 1))
        for i, run in enumerate("abc")
    )  # fmt: skip
    table, _, name = target.partition(":")
    if table == "runs" and column is not None:
        runs = runs.with_columns(column.head(3).alias(name))
    elif column is not None:
        curves = curves.with_columns(column.alias(name))
    curves.write_parquet(folder / "curves.parquet")
    runs.write_parquet(folder / "runs.parquet")


def columns():
    """A column of each type of Parquet, 36 rows."""
    n, day = 3 * N, datetime.date(2026, 1, 1)
    yield "list", pl.Series([[1.0]] * n)
    yield "struct", pl.Series([{"a": 1}] * n)
    yield "array", pl.Series([[1.0, 2.0]] * n, dtype=pl.Array(pl.Float64, 2))
    yield "bytes", pl.Series([b"\xff\x00a"] * n)
    yield "text as bytes", pl.Series([b"a"] * n)
    yield "date", pl.Series([day] * n)
    yield "time", pl.Series([datetime.datetime(2026, 1, 1)] * n)
    yield "duration", pl.Series([datetime.timedelta(seconds=i) for i in range(n)])
    yield "decimal", pl.Series([decimal.Decimal(i) / 3 for i in range(n)], dtype=pl.Decimal(20, 4))
    yield "truth", pl.Series([True, False] * (n // 2))
    yield "nothing", pl.Series([None] * n, dtype=pl.Null)
    yield "category", pl.Series(list("abc") * N, dtype=pl.Categorical)
    yield "text", pl.Series(["x"] * n)
    yield "numbers as text", pl.Series([str(i) for i in range(n)])
    yield "large", pl.Series([2**64 - 1 - i for i in range(n)], dtype=pl.UInt64)
    yield "128 bits", pl.Series([2**100 + i for i in range(n)], dtype=pl.Int128)
    yield "8 bits", pl.Series(range(n), dtype=pl.Int8)
    yield "NaN", pl.Series([float("nan")] * n)
    yield "infinite", pl.Series([float("inf")] * n)
    yield "huge", pl.Series([1e308 * (-1) ** i for i in range(n)])


TARGETS = (
    "curves:run", "curves:group", "curves:step", "curves:epoch", "curves:train_loss",
    "curves:seconds", "curves:other", "curves:run_id", "runs:run", "runs:group", "runs:final",
    "runs:step_hint", "runs:restarted", "runs:started", "runs:ended", "runs:higher_is_better",
    "runs:final_metric", "runs:hp.lr", "runs:arch.params", "runs:arch.graph", "runs:run_id",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_parquet_columns_of_a_quarter_of_the_types(target, must_end_well, tmp_path):
    for name, column in itertools.islice(columns(), TARGETS.index(target) % 4, None, 4):
        a_set(tmp_path / name, target, column)
        must_end_well(f"{target} as {name}", tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_every_command_on_parquet_columns_of_each_type(target, must_end_well, tmp_path):
    for name, column in list(columns())[len(target) % 3 :: 3]:
        a_set(tmp_path / name, target, column)
        must_end_well(f"{target} as {name}", tmp_path / name, COMMANDS + LATER)


@pytest.mark.parametrize("part", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in (1, 2))])
@pytest.mark.parametrize(
    "column",
    ["run", "group", "final", "step_hint", "restarted", "started", "ended", "higher_is_better",
     "final_metric", "hp.lr", "arch.graph", "arch.params"],
)  # fmt: skip
def test_values_of_runs_csv(column, part, must_end_well, tmp_path):
    rows = [
        f"{r},{i},{i * 2},{v * (j + 1)}" for j, r in enumerate("abc") for i, v in enumerate(LOSSES)
    ]
    (tmp_path / "log.csv").write_text("run,step,seconds,train_loss\n" + "\n".join(rows) + "\n")
    for text in TEXTS[(part + len(column)) % 3 :: 3]:
        cell = '"' + text.replace('"', '""') + '"'
        lines = [f"run,started,{column}", *(f"{run},5,{cell}" for run in "abc")]
        if column in ("run", "started"):
            lines = [column, cell]
        content = "\n".join(lines) + "\n"
        (tmp_path / "runs.csv").write_bytes(content.encode("utf-8", "surrogatepass"))
        must_end_well(f"{column} as {text[:20]!a}", tmp_path)


@pytest.mark.parametrize("tool", ["optuna_sqlite", "trackio", "mlflow_sqlite"])
def test_sql_cells_of_each_type(tool, written, must_end_well, tmp_path):
    (source,) = written(tool).glob("*.db")
    with sqlite3.connect(source) as known:
        tables = [t for (t,) in known.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        cells = [
            (table, row[1])
            for table in tables
            if known.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for row in known.execute(f"PRAGMA table_info({table})").fetchall()
        ]
    values = (None, "h\0y", b"\xff\x00", 2**63 - 1, -(2**63), 1e308, "[" * 9000, r'{"a":"\ud800"}')
    draw = random.Random(20261126)
    for table, column in cells:
        value = draw.choice(values)
        copy = tmp_path / source.name
        shutil.copy(source, copy)
        with sqlite3.connect(copy) as database:
            for pragma in ("writable_schema=1", "ignore_check_constraints=1"):
                database.execute(f"PRAGMA {pragma}")
            database.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '')")
        with sqlite3.connect(copy) as database:
            last = f"WHERE rowid = (SELECT max(rowid) FROM {table})"
            where = draw.choice(("", last))
            try:
                database.execute(f'UPDATE OR REPLACE {table} SET "{column}" = ? {where}', [value])
            except sqlite3.Error:
                continue
        must_end_well(f"{table}.{column} as {value!a:.20}", copy)


def test_sql_that_never_ends_or_makes_huge_cells(written, must_end_well, tmp_path):
    (source,) = written("mlflow_sqlite").glob("*.db")
    made = (
        "CREATE VIEW params AS WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) "
        "SELECT 'k' AS key, 'v' AS value, 'r' AS run_uuid FROM t WHERE n < 0",
        "CREATE TABLE params(key, run_uuid, value GENERATED ALWAYS AS (hex(zeroblob(200000000))))",
    )
    for what in made:
        copy = tmp_path / source.name
        shutil.copy(source, copy)
        with sqlite3.connect(copy) as database:
            database.execute("DROP TABLE params")
            database.execute(what)
            if "TABLE" in what:
                database.execute(
                    "INSERT INTO params(key, run_uuid) SELECT 'lr', run_uuid FROM runs"
                )
        must_end_well(what[:30], copy)


def test_tensorboard_records_behind_their_checksums(written, must_end_well, tmp_path):
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    (source,) = written("tensorboard").glob("*.tfevents.*")
    content, at, found = source.read_bytes(), 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        found.append(content[at + 12 : at + 12 + length])
        at += length + 16
    for name, changed in mutations(found):
        framed = b"".join(
            (head := struct.pack("<Q", len(record)))
            + struct.pack("<I", masked_crc32c(head)) + record
            + struct.pack("<I", masked_crc32c(record))
            for record in changed
        )  # fmt: skip
        (tmp_path / source.name).write_bytes(framed)
        must_end_well(name, tmp_path)


def test_wandb_records_behind_their_checksums(written, must_end_well, tmp_path):
    (source,) = written("wandb").rglob("*.wandb")
    with source.open("rb") as file:
        found = [record for record, _ in records(source, file)]
    for name, changed in mutations(found):
        framed = bytearray(source.read_bytes()[:7])
        for record in changed:
            left = 32768 - len(framed) % 32768
            if left < 7 + len(record):
                break
            kind = b"\x01"
            checksum = zlib.crc32(record, zlib.crc32(kind))
            framed += struct.pack("<IHB", checksum, len(record), 1) + record
        (tmp_path / source.name).write_bytes(framed)
        must_end_well(name, tmp_path)


PLAIN = "step,train_loss\n" + "".join(f"{i},{loss}\n" for i, loss in enumerate(LOSSES, 1))
YAML = {
    "sequences": "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i + 1}: &a{i + 1} [{','.join([f'*a{i}'] * 9)}]\n" for i in range(9)
    ),
    "merges": "a0: &a0 {x: 1}\n" + "".join(
        f"a{i + 1}: &a{i + 1} {{<<: [*a{i}, *a{i}], y{i}: 1, z: *a{i}}}\n" for i in range(40)
    ),
    "mappings": "a0: &a0 {x: 1, y: 2}\n" + "".join(
        f"a{i + 1}: &a{i + 1} {{l: *a{i}, r: *a{i}}}\n" for i in range(40)
    ),
    "itself": "a: &a\n  b: *a\n  <<: *a\n",
    "deep": "a: " + "[" * 50_000,
    "deep mappings": "".join(" " * i + "a:\n" for i in range(500)),
    "code": "a: !!python/object/apply:os.abort []\n",
    "base 60": "a: " + ":".join(["59"] * 20_000),
    "keys": "? [1, 2]\n: 3\n? {a: 1}\n: 4\n~: 5\n.nan: 6\n2026-01-01: 7\n",
    "times": "a: 2026-01-01\nb: 2026-01-01T00:00:00Z\n",
    "a day that is none": "a: 2026-13-45\n",
    "sets": "a: !!set {x, y}\nb: !!omap [x: 1]\nc: !!binary aGk=\nd: !!timestamp x\n",
    "half a surrogate": 'a: "\\ud800"\n',
    "many": "".join(f"k{i}: {i}\n" for i in range(20_000)),
    "long": f"a: [{'1,' * 100_000}]\n",
}  # fmt: skip
SETTINGS = ("config.yaml", "args.yaml", "hparams.yaml", ".hydra/config.yaml", "test_results.yaml")


@pytest.mark.parametrize(
    "name", [SETTINGS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in SETTINGS[1:])]
)
def test_settings_in_yaml_that_expand_or_are_of_other_types(name, must_end_well, tmp_path):
    known = ("max_steps", "epochs", "num_train_epochs", "seed", "lr", "batch_size", "value", "loss")
    values = ("x", "-5", "1e400", ".inf", ".nan", "9" * 500, "[1]", "{value: [1]}", "true", "~",
              "2026-01-01", "''", "0x7fffffffffffffffff", "${a.b}")  # fmt: skip
    texts = YAML | {v[:9]: "".join(f"{key}: {v}\n" for key in known) for v in values}
    for i, run in enumerate("ab"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "metrics.csv").write_text(PLAIN.replace("1,", "1,1", i))
    beside = tmp_path / "b" / name
    beside.parent.mkdir(exist_ok=True)
    for what, text in texts.items():
        beside.write_text(text)
        must_end_well(f"{name}: {what}", tmp_path)


JSON = (
    None, True, -1, 2**70, 1e308, float("nan"), float("inf"), "", "x", "nan", "9" * 500, "\ud800",
    "2026-01-01T00:00:00", "9999-99-99", [], [[1.0]], ["a", 1, None], {}, {"a": [1]}, [{}] * 3,
)  # fmt: skip


def trainer_state(folder: Path) -> None:
    history = [{"loss": loss, "step": i, "epoch": i / 4} for i, loss in enumerate(LOSSES, 1)]
    state = {"log_history": history, "global_step": N, "max_steps": 40, "num_train_epochs": 10}
    (folder / "trainer_state.json").write_text(json.dumps(state))


def catboost(folder: Path) -> None:
    formats.catboost(folder, N)


def ray_tune(folder: Path) -> None:
    results = [
        {"training_iteration": i, "loss": loss, "time_total_s": i * 2.5, "trial_id": "1",
         "config": {"lr": 0.1}} for i, loss in enumerate(LOSSES, 1)
    ]  # fmt: skip
    (folder / "result.json").write_text("".join(json.dumps(row) + "\n" for row in results))
    (folder / "params.json").write_text('{"lr": 0.1}')


def json_lines(folder: Path) -> None:
    rows = ({"step": i, "time": i * 2.5, "a": {"loss": v}} for i, v in enumerate(LOSSES))
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def keras_history(folder: Path) -> None:
    history = {"loss": LOSSES, "val_loss": LOSSES[::-1], "lr": [0.1] * N}
    (folder / "history.json").write_text(json.dumps(history))


@pytest.mark.parametrize(
    "log",
    [formats.sacred, formats.skorch, formats.boosting, formats.mmengine, formats.detectron2,
     formats.llama_factory, formats.mmdetection_2, formats.clearml, formats.syne_tune, catboost,
     trainer_state, json_lines, keras_history, ray_tune],
    ids=lambda log: log.__name__,
)  # fmt: skip
def test_values_of_json_of_each_type(log, must_end_well, tmp_path):
    for run in "ab":
        (tmp_path / run).mkdir()
        log(tmp_path / run)
    draw = random.Random(3)
    paths = sorted((tmp_path / "b").rglob("*.json*"))
    assert paths
    for path in paths:
        text = path.read_text()
        for name, changed in json_mutations(text, draw):
            path.write_text(changed)
            must_end_well(f"{path.name}: {name}", tmp_path)
        path.write_text(text)


def json_mutations(text: str, draw: random.Random, n: int = 10):
    """A document, or lines of them, with a value of any depth exchanged for one of another type."""
    try:
        whole, end = [json.loads(text)], ""
    except ValueError:
        whole, end = [json.loads(line) for line in text.splitlines()], "\n"
    at = list(places(whole))[1:]
    for place in draw.sample(at, min(n, len(at))):
        changed = json.loads(json.dumps(whole))
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value = draw.choice(JSON)
        yield f"{place} is {value!a:.30}", "".join(json.dumps(one) + end for one in changed)


def places(value, so_far=()):
    """The keys that lead to each value."""
    yield so_far
    inner = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else inner:
        yield from places(item, (*so_far, key))


def mutations(found: list[bytes], n: int = 30):
    """Records with bits flipped, pieces moved, numbers and lengths exchanged."""
    draw = random.Random(7)
    for i in range(n):
        changed = [bytearray(record) for record in found]
        for record in draw.sample(changed, min(len(changed), draw.choice((1, 3, 20)))):
            if not record:
                continue
            where = draw.randrange(len(record))
            match i % 5:
                case 0:
                    record[where] ^= 1 << draw.randrange(8)
                case 1:
                    record[where : where + 8] = draw.choice(NUMBERS)
                case 2:
                    del record[where : where + draw.randrange(1, 9)]
                case 3:
                    record[where:where] = draw.randbytes(draw.randrange(1, 30))
                case 4:
                    record[where] = draw.choice((0, 0x7F, 0x80, 0xFF))
        yield f"mutation {i}", [bytes(record) for record in changed]
