"""The experiment store: collected runs with their architectures, in one database.

SQLite by default (a file; many processes of one machine may write at once), PostgreSQL by URL for
teams. A run is one row: what is known of it as JSON, and its curve as Parquet, so that both are
there or neither. `Store.curves` gives all of it as a curve set, `Store.export` writes that folder.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.extras import needed_for

with needed_for("the experiment store", "nas"):
    import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

REVISION = "0002"
KEYS = ("group", "run")
PATIENCE = 120  # seconds that a writer waits for another
_MIGRATION_LOCK = 7_217_221  # any number that no other program uses in the same database

RUNS = sa.Table(
    "runs",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("identity", sa.String(64), nullable=False, unique=True),
    sa.Column("content", sa.String(64), nullable=False, unique=True),
    sa.Column("group", sa.String, nullable=False),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("known", sa.Text, nullable=False),
    sa.Column("observations", sa.Integer, nullable=False),
    sa.Column("curve", sa.LargeBinary, nullable=False),
    sa.Column("source", sa.String),
    sa.Column("changed", sa.DateTime(timezone=True)),
)


@dataclass(frozen=True)
class Added:
    """What became of runs that were added.

    Attributes:
        new: how many were not there before.
        grown: how many were there with fewer observations, or without an outcome.
        there: how many were there already.
    """

    new: int = 0
    grown: int = 0
    there: int = 0


class Store:
    """An experiment store.

    Args:
        where: a path of an SQLite file, made where there is none, or the URL of a database
            (``postgresql://user@host/name``).

    Raises:
        InputError: if it cannot be opened, is no store, or was made by a newer earlycall.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> curves = CurveSet.from_losses({"a": [2.0, 1.0], "b": [2.0, 1.5]})
        >>> with TemporaryDirectory() as folder, Store(Path(folder, "runs.db")) as store:
        ...     print(store.add(curves), store.add(curves), len(store.curves()))
        Added(new=2, grown=0, there=0) Added(new=0, grown=0, there=2) 2
    """

    def __init__(self, where: str | Path) -> None:
        self._url = _url(where)
        self._engine = _engine(self._url)
        with self._speaking():
            _migrate(self._engine)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __len__(self) -> int:
        with self._speaking(), self._engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(RUNS)) or 0)

    def add(
        self,
        curves: CurveSet,
        *,
        source: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Added:
        """Add runs; one that is there already is not added again.

        A run is the same if its group, name and ``arch.*`` and ``hp.*`` values are: it is replaced
        where it has grown or now has an outcome. A run with the very same curve and values under
        another name is there already too.

        Args:
            curves: the runs.
            source: where they came from, by default the set's name.
            progress: called with (done, total) after each run.
        """
        counts = {"new": 0, "grown": 0, "there": 0}
        rows = list(_rows(curves, source or curves.name))
        with self._speaking():
            for number, row in enumerate(rows, start=1):
                with self._engine.begin() as connection:
                    counts[_put(connection, row)] += 1
                if progress is not None:
                    progress(number, len(rows))
        return Added(**counts)

    def curves(self, group: str | None = None) -> CurveSet:
        """All runs (of a group) as a curve set.

        Raises:
            InputError: if there are none.
        """
        query = sa.select(RUNS.c.group, RUNS.c.run, RUNS.c.known, RUNS.c.curve).order_by(RUNS.c.id)
        if group is not None:
            query = query.where(RUNS.c.group == group)
        with self._speaking(), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        if not rows:
            raise InputError(f"{self}: the store holds no runs; add some with 'earlycall nas add'")
        tables, known = [], []
        names = _unique([(row.group, row.run) for row in rows])
        for row, run in zip(rows, names, strict=True):
            table = pl.read_parquet(io.BytesIO(row.curve))
            tables.append(table.with_columns(group=pl.lit(row.group), run=pl.lit(run)))
            known.append({"group": row.group, "run": run, **json.loads(row.known)})
        observations = pl.concat(tables, how="diagonal_relaxed")
        told = pl.DataFrame(known, infer_schema_length=None, strict=False)
        return CurveSet.from_frame(observations, told, name=str(self))

    def export(self, folder: str | Path) -> Path:
        """Write all runs as a curve set folder."""
        return self.curves().write(folder)

    def __str__(self) -> str:
        if self._url.get_backend_name() == "sqlite":
            return str(self._url.database)
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """What the database says is one sentence."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            said = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
            raise InputError(f"{self}: the store cannot be used: {said}") from None


def _url(where: str | Path) -> URL:
    text = str(where)
    if "://" not in text:
        return sa.engine.URL.create("sqlite", database=text)
    try:
        url = sa.engine.make_url(text)
    except sa.exc.ArgumentError:
        raise InputError(
            "the store's address is no URL; write postgresql://user@host/name"
        ) from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    return url


def _engine(url: URL) -> Engine:
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise InputError(
            f"the store cannot be a {url.get_backend_name()} database; use a file or postgresql://"
        )
    sqlite = url.get_backend_name() == "sqlite"
    with needed_for("PostgreSQL", "postgres"):
        engine = sa.create_engine(url, connect_args={"timeout": PATIENCE} if sqlite else {})
    if sqlite:
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: object) -> None:
    """SQLite: transactions are begun by us; writers wait for each other; readers need not."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    """Take the write lock at once: a reader that becomes a writer could not wait for another."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _migrate(engine: Engine) -> None:
    """Bring the schema to this version's; one process does it, the others wait."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        found = _revision(connection)
        if found == REVISION:
            return
        if found is not None and found > REVISION:
            raise InputError(
                f"{engine.url.render_as_string(hide_password=True)}: made by a newer earlycall "
                f"(schema {found}, this version knows {REVISION}); upgrade earlycall"
            )
        upgrade(connection)


def _revision(connection: Connection) -> str | None:
    tables = sa.inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to a revision, on a connection in a transaction."""
    with needed_for("the experiment store", "nas"):
        from alembic import command
        from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _rows(curves: CurveSet, source: str) -> Iterator[dict[str, Any]]:
    """A row of the table for each run."""
    parts = {key[0]: part for key, part in curves.observations.partition_by(
        "run_id", as_dict=True, maintain_order=True).items()}  # fmt: skip
    for number, known in enumerate(curves.runs.iter_rows(named=True)):
        if number not in parts:
            continue
        table = parts[number].drop("run_id")
        table = table.select(
            c for c in sorted(table.columns) if table[c].null_count() < table.height
        )
        told = {
            k: v for k, v in sorted(known.items()) if v is not None and k not in ("group", "run")
        }
        settings = {k: v for k, v in told.items() if k.startswith(("arch.", "hp."))}
        group, run = str(known["group"]), str(known["run"])
        yield {
            "identity": _hash(json.dumps([group, run, settings], default=str)),
            "content": _hash(json.dumps([group, told], default=str) + table.write_csv()),
            "group": group,
            "run": run,
            "known": json.dumps(told, default=str),
            "observations": table.height,
            "curve": _parquet(table),
            "source": source,
            "changed": datetime.datetime.now(datetime.UTC),
        }


def _put(connection: Connection, row: dict[str, Any]) -> str:
    """Add a row, replace the one that it has grown from, or leave it."""
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(RUNS).values(row).on_conflict_do_nothing().returning(RUNS.c.id)
    if connection.execute(insert).first() is not None:
        return "new"
    same = sa.and_(RUNS.c.identity == row["identity"], RUNS.c.content != row["content"])
    no_longer = RUNS.c.observations <= row["observations"]
    copy = sa.select(RUNS.c.id).where(RUNS.c.content == row["content"]).exists()
    update = sa.update(RUNS).where(same, no_longer, ~copy).values(row).returning(RUNS.c.id)
    return "there" if connection.execute(update).first() is None else "grown"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parquet(table: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    table.write_parquet(content, compression="zstd")
    return content.getvalue()


def _unique(keys: list[tuple[str, str]]) -> list[str]:
    """Names that are different within a group: the second of one name gets a number."""
    seen: dict[tuple[str, str], int] = {}
    names = []
    for group, run in keys:
        seen[group, run] = seen.get((group, run), 0) + 1
        number = seen[group, run]
        names.append(run if number == 1 else f"{run} ({number})")
    return names
