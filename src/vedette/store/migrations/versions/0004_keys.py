"""Keys of callers."""

import sqlalchemy as sa
from alembic import op

from vedette.store.columns import DOCUMENT, Instant

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "caller_keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("spec", DOCUMENT, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("pepper", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("revoked_at", Instant, nullable=True),
        sa.Column("revoked_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_caller_keys"),
        sa.UniqueConstraint("name", name="uq_caller_keys_name"),
    )
