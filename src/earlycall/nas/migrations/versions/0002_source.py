"""Where a run came from, and when it was added or last grew."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; unknown for the runs that are there."""
    op.add_column("runs", sa.Column("source", sa.String))
    op.add_column("runs", sa.Column("changed", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("runs", "changed")
    op.drop_column("runs", "source")
