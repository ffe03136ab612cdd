"""Experiments: what was asked and where each is, what was decided, what was seen, and scores of offline ones."""

import sqlalchemy as sa
from alembic import op

from vedette.store.columns import BIG, DOCUMENT, REAL, Instant

revision = "0002"
down_revision = "0001"

_MOVING = "phase = 'running' OR awaiting_rollout <> ''"


def upgrade() -> None:
    _experiments()
    _record()


def _experiments() -> None:
    op.create_table(
        "multi_variant_tests",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("domain_id", sa.Text, nullable=False),
        sa.Column("layer", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("spec", DOCUMENT, nullable=False),
        sa.Column("status", DOCUMENT, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("variants", DOCUMENT, nullable=False),
        sa.Column("traffic_splits", DOCUMENT, nullable=False),
        sa.Column("primary_metric", sa.Text, nullable=False),
        sa.Column("winner", sa.Text, nullable=False),
        sa.Column("awaiting_rollout", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("started_at", Instant, nullable=True),
        sa.Column("ended_at", Instant, nullable=True),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_multi_variant_tests_domain_id"),
        sa.PrimaryKeyConstraint("id", name="pk_multi_variant_tests"),
        sa.UniqueConstraint("name", name="uq_multi_variant_tests_name"),
    )
    op.create_index("ix_multi_variant_tests_domain_id", "multi_variant_tests", ["domain_id", "id"])
    op.create_index(
        "ix_multi_variant_tests_moving",
        "multi_variant_tests",
        ["id"],
        unique=False,
        sqlite_where=sa.text(_MOVING),
        postgresql_where=sa.text(_MOVING),
    )


def _record() -> None:
    op.create_table(
        "experiment_decisions",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("decision", DOCUMENT, nullable=False),
        _experiment("experiment_decisions"),
        sa.PrimaryKeyConstraint("id", name="pk_experiment_decisions"),
    )
    op.create_table(
        "experiment_looks",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("units", REAL, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("report", DOCUMENT, nullable=False),
        sa.Column("seen", DOCUMENT, nullable=False),
        _experiment("experiment_looks"),
        sa.PrimaryKeyConstraint("id", name="pk_experiment_looks"),
    )
    op.create_table(
        "experiment_scores",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("prompts", BIG, nullable=False),
        sa.Column("left_out", BIG, nullable=False),
        sa.Column("digests", sa.Text, nullable=False),
        sa.Column("moments", DOCUMENT, nullable=False),
        _experiment("experiment_scores"),
        sa.PrimaryKeyConstraint("id", name="pk_experiment_scores"),
    )
    for table in ("experiment_decisions", "experiment_looks", "experiment_scores"):
        op.create_index(f"ix_{table}_experiment_id", table, ["experiment_id", "id"])


def _experiment(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["experiment_id"], ["multi_variant_tests.id"], name=f"fk_{table}_experiment_id")
