"""The table of runs: settings, outcome, curve and origin of each."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "runs",
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
    op.create_index("runs_of_group", "runs", ["group"])
