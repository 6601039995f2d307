"""Keys that do not depend on the names and order of the nodes of graphs."""

import io
import json

import polars as pl
import sqlalchemy as sa
from alembic import op

from earlycall.nas.store import RUNS, keys

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Compute the keys again; of runs that turn out to be the same, keep the longest."""
    connection = op.get_bind()
    seen: set[str] = set()
    order = sa.select(RUNS.c.id).order_by(RUNS.c.observations.desc(), RUNS.c.id)
    for number in connection.scalars(order).all():
        row = connection.execute(
            sa.select(RUNS.c.group, RUNS.c.run, RUNS.c.known, RUNS.c.curve).where(
                RUNS.c.id == number
            )
        ).one()
        curve = pl.read_parquet(io.BytesIO(row.curve))
        new = keys(row.group, row.run, json.loads(row.known), curve)
        if seen & set(new.values()):
            connection.execute(sa.delete(RUNS).where(RUNS.c.id == number))
        else:
            connection.execute(sa.update(RUNS).where(RUNS.c.id == number).values(new))
        seen |= set(new.values())
