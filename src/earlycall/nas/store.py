"""The experiment store: collected runs with their architectures, in one database.

SQLite by default (a file; many processes of one machine may write at once), PostgreSQL by URL for
teams. A run is one row, its settings and outcome as JSON and its curve as Parquet, so that both are
there or neither. `Store.curves` gives all runs as a curve set.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earlycall.curves import CurveSet
from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.nas.features.family import GRAPH
from earlycall.nas.identity import canonical
from earlycall.readers.formats.experiment_store import unpacked

with needed_for("the experiment store", "nas"):
    import sqlalchemy as sa

if TYPE_CHECKING:
    import polars as pl
    from sqlalchemy.engine import URL, Connection, Engine

REVISION = "0002"
WRITE_TIMEOUT = 120  # seconds that a writer waits for another
_MIGRATION_LOCK = 7_217_221  # any number that no other program uses in the same database

RUNS = sa.table(  # as migrations/versions create it
    "runs",
    *map(sa.column, ("id", "identity", "content", "group", "run", "known", "observations")),
    sa.column("curve", sa.LargeBinary),
    sa.column("source"),
    sa.column("changed", sa.DateTime(timezone=True)),
)


@dataclass(frozen=True)
class Added:
    """Counts of runs that were added.

    Attributes:
        new: runs that were not there before.
        grown: runs that were there with fewer observations, or without an outcome.
        there: runs that were there already.
    """

    new: int = 0
    grown: int = 0
    there: int = 0


class Store:
    """An experiment store.

    Args:
        where: the path of an SQLite file, created where there is none, or the URL of a database
            (``postgresql://user@host/name``).

    Raises:
        InputError: if it cannot be opened, is not a store, or was made by a newer earlycall.

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
        with self._errors_named():
            _migrate(self._engine)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    def __len__(self) -> int:
        with self._errors_named(), self._engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(RUNS)) or 0)

    def add(self, curves: CurveSet, *, source: str | None = None) -> Added:
        """Add runs; one that is there already is not added again.

        A run is the same if its group, name and ``arch.*`` and ``hp.*`` values are, whatever the
        names and order of its graph's nodes: it is replaced where it has grown or now has an
        outcome. A run with the very same curve and values under
        another name is there already, too.

        Args:
            curves: the runs.
            source: where they came from, by default the set's name.
        """
        counts = {"new": 0, "grown": 0, "there": 0}
        with self._errors_named():
            for row in _rows(curves, source or curves.name):
                with self._engine.begin() as connection:
                    counts[_put(connection, row)] += 1
        return Added(**counts)

    def curves(self, group: str | None = None) -> CurveSet:
        """All runs (of a group) as a curve set; the second run of one name gets a number.

        Raises:
            InputError: if there are none.
        """
        query = sa.select(RUNS.c.group, RUNS.c.run, RUNS.c.known, RUNS.c.curve).order_by(RUNS.c.id)
        if group is not None:
            query = query.where(RUNS.c.group == group)
        with self._errors_named(), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        if not rows:
            raise InputError(f"{self}: the store holds no runs; add some with 'earlycall nas add'")
        log = unpacked((row.group, row.run, row.known, row.curve) for row in rows)
        return CurveSet.from_frame(log.observations, log.runs, name=str(self))

    def __str__(self) -> str:
        if self._url.get_backend_name() == "sqlite":
            return str(self._url.database)
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Errors of the database as one sentence that names the store."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
            raise InputError(f"{self}: the store cannot be used: {reason}") from None


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
        engine = sa.create_engine(url, connect_args={"timeout": WRITE_TIMEOUT} if sqlite else {})
    if sqlite:
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: object) -> None:
    """Begin transactions ourselves; readers of SQLite need not wait for writers."""
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
        revision = None
        if sa.inspect(connection).has_table("alembic_version"):
            revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        if revision is not None and revision > REVISION:
            raise InputError(
                f"{engine.url.render_as_string(hide_password=True)}: made by a newer earlycall "
                f"(schema {revision}, this version knows {REVISION}); upgrade earlycall"
            )
        if revision != REVISION:
            upgrade(connection)


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
    curve_of = curves.observations.partition_by("run_id", as_dict=True, maintain_order=True)
    for number, columns in enumerate(curves.runs.iter_rows(named=True)):
        if (number,) not in curve_of:
            continue
        curve = curve_of[number,].drop("run_id")
        curve = curve.select(
            c for c in sorted(curve.columns) if curve[c].null_count() < curve.height
        )
        group, run = str(columns.pop("group")), str(columns.pop("run"))
        known = {key: value for key, value in sorted(columns.items()) if value is not None}
        content = io.BytesIO()
        curve.write_parquet(content, compression="zstd")
        yield {
            **keys(group, run, known, curve),
            "group": group,
            "run": run,
            "known": json.dumps(known, default=str),
            "observations": curve.height,
            "curve": content.getvalue(),
            "source": source,
            "changed": datetime.datetime.now(datetime.UTC),
        }


def keys(group: str, run: str, known: Mapping[str, Any], curve: pl.DataFrame) -> dict[str, str]:
    """What no two runs share: ``identity``, equal where a run has grown, and ``content``.

    Args:
        group: the run's group.
        run: its name.
        known: what else is known of it, by column.
        curve: its observations.
    """
    if graph := known.get(GRAPH):
        known = {**known, GRAPH: canonical(graph)}
    settings = {key: v for key, v in known.items() if key.startswith(("arch.", "hp."))}
    return {
        "identity": _hash(json.dumps([group, run, settings], default=str)),
        "content": _hash(json.dumps([group, known], default=str) + curve.write_csv()),
    }


def _put(connection: Connection, row: dict[str, Any]) -> str:
    """Add a row, replace the one that it has grown from, or leave it."""
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(RUNS).values(row).on_conflict_do_nothing().returning(RUNS.c.id)
    if connection.execute(insert).first() is not None:
        return "new"
    same = sa.and_(RUNS.c.identity == row["identity"], RUNS.c.content != row["content"])
    not_longer = RUNS.c.observations <= row["observations"]
    copy = sa.select(RUNS.c.id).where(RUNS.c.content == row["content"]).exists()
    update = sa.update(RUNS).where(same, not_longer, ~copy).values(row).returning(RUNS.c.id)
    return "there" if connection.execute(update).first() is None else "grown"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
