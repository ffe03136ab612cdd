"""Keys that can be changed, each with its revision; when one expires stands in its spec."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("caller_keys", sa.Column("revision", sa.Integer, nullable=False, server_default="1"))
