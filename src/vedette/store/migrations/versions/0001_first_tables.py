"""The first tables: catalogue, rollouts, traffic plans, the audit record, leases, outbox and idempotency keys."""

import sqlalchemy as sa
from alembic import op

from vedette.store.columns import BIG, DOCUMENT, EXACT_DOCUMENT, REAL, Instant

revision = "0001"
down_revision = None


def upgrade() -> None:
    _catalogue()
    _rollouts()
    _plans()
    _record()
    _work()


def _catalogue() -> None:
    op.create_table(
        "domains",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("labels", DOCUMENT, nullable=False),
        sa.Column("config", DOCUMENT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_domains"),
    )
    op.create_table(
        "domain_revisions",
        sa.Column("domain_id", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("domain", DOCUMENT, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_domain_revisions_domain_id"),
        sa.PrimaryKeyConstraint("domain_id", "revision", name="pk_domain_revisions"),
    )
    op.create_table(
        "model_versions",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("domain_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("spec", DOCUMENT, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_model_versions_domain_id"),
        sa.PrimaryKeyConstraint("id", name="pk_model_versions"),
        sa.UniqueConstraint("domain_id", "name", name="uq_model_versions_domain_id_name"),
    )
    op.create_table(
        "version_aliases",
        sa.Column("domain_id", sa.Text, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id", "version"],
            ["model_versions.domain_id", "model_versions.name"],
            name="fk_version_aliases_domain_id_version",
        ),
        sa.PrimaryKeyConstraint("domain_id", "alias", name="pk_version_aliases"),
    )
    op.create_table(
        "version_tenures",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("domain_id", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("since", Instant, nullable=False),
        sa.Column("until", Instant, nullable=True),
        sa.Column("cause", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id", "version"],
            ["model_versions.domain_id", "model_versions.name"],
            name="fk_version_tenures_domain_id_version",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_version_tenures"),
    )
    op.create_index("ix_version_tenures_domain_id_since", "version_tenures", ["domain_id", "since"])
    op.create_index(
        "uq_version_tenures_open",
        "version_tenures",
        ["domain_id"],
        unique=True,
        sqlite_where=sa.text("until IS NULL"),
        postgresql_where=sa.text("until IS NULL"),
    )


def _rollouts() -> None:
    op.create_table(
        "canary_deployments",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("domain_id", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("spec", DOCUMENT, nullable=False),
        sa.Column("spec_revision", sa.Integer, nullable=False),
        sa.Column("status", DOCUMENT, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("traffic_percentage", REAL, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("started_at", Instant, nullable=True),
        sa.Column("ended_at", Instant, nullable=True),
        sa.ForeignKeyConstraint(
            ["domain_id", "model_version"],
            ["model_versions.domain_id", "model_versions.name"],
            name="fk_canary_deployments_domain_id_model_version",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_canary_deployments"),
    )
    op.create_index("ix_canary_deployments_domain_id", "canary_deployments", ["domain_id", "id"])
    op.create_index("ix_canary_deployments_group_name", "canary_deployments", ["group_name"])
    op.create_index("ix_canary_deployments_name", "canary_deployments", ["name"])
    op.create_index("ix_canary_deployments_phase", "canary_deployments", ["phase"])
    op.create_index(
        "uq_canary_deployments_active",
        "canary_deployments",
        ["domain_id"],
        unique=True,
        sqlite_where=sa.text("phase IN ('pending', 'progressing', 'paused')"),
        postgresql_where=sa.text("phase IN ('pending', 'progressing', 'paused')"),
    )
    op.create_table(
        "rollout_spec_revisions",
        sa.Column("rollout_id", sa.Text, nullable=False),
        sa.Column("spec_revision", sa.Integer, nullable=False),
        sa.Column("spec", DOCUMENT, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["canary_deployments.id"], name="fk_rollout_spec_revisions_rollout_id"),
        sa.PrimaryKeyConstraint("rollout_id", "spec_revision", name="pk_rollout_spec_revisions"),
    )
    op.create_table(
        "rollout_decisions",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("rollout_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("watched", REAL, nullable=False),
        sa.Column("weight", REAL, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("decision", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["canary_deployments.id"], name="fk_rollout_decisions_rollout_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rollout_decisions"),
    )
    op.create_index("ix_rollout_decisions_rollout_id", "rollout_decisions", ["rollout_id", "id"])
    op.create_table(
        "rollout_looks",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("rollout_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("watched", REAL, nullable=False),
        sa.Column("weight", REAL, nullable=False),
        sa.Column("observations", DOCUMENT, nullable=False),
        sa.Column("verdicts", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["canary_deployments.id"], name="fk_rollout_looks_rollout_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rollout_looks"),
    )
    op.create_index("ix_rollout_looks_rollout_id", "rollout_looks", ["rollout_id", "id"])


def _plans() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.create_table(
        "traffic_plans",
        sa.Column("domain_id", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("plan", DOCUMENT, nullable=False),
        sa.Column("rollout_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_traffic_plans_domain_id"),
        sa.PrimaryKeyConstraint("domain_id", "revision", name="pk_traffic_plans"),
        sa.UniqueConstraint("sequence", name="uq_traffic_plans_sequence"),
    )
    op.create_index("ix_traffic_plans_rollout_id", "traffic_plans", ["rollout_id"])
    op.create_table(
        "routers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("last_seen", Instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_routers"),
    )
    op.create_table(
        "plan_confirmations",
        sa.Column("router_id", sa.Text, nullable=False),
        sa.Column("domain_id", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name="fk_plan_confirmations_domain_id"),
        sa.ForeignKeyConstraint(
            ["router_id"], ["routers.id"], name="fk_plan_confirmations_router_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("router_id", "domain_id", name="pk_plan_confirmations"),
    )


def _record() -> None:
    op.create_table(
        "domain_audit_logs",
        sa.Column("sequence", BIG, autoincrement=False, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("domain_id", sa.Text, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("details", EXACT_DOCUMENT, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text, nullable=False),
        sa.Column("entry_hash", sa.Text, nullable=False),
        sa.CheckConstraint("actor <> '' AND action <> ''", name="ck_domain_audit_logs_named"),
        sa.PrimaryKeyConstraint("sequence", name="pk_domain_audit_logs"),
    )
    op.create_index("ix_domain_audit_logs_actor", "domain_audit_logs", ["actor", "sequence"])
    op.create_index("ix_domain_audit_logs_domain_id", "domain_audit_logs", ["domain_id", "sequence"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("entry_hash", sa.Text, nullable=False),
        sa.CheckConstraint("id = 1", name="ck_audit_head_single"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    op.execute(
        sa.text("INSERT INTO audit_head (id, sequence, entry_hash) VALUES (1, 0, :genesis)").bindparams(
            genesis="0" * 64
        )
    )
    for statement in _GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)


def _work() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("expires", REAL, nullable=False),
        sa.Column("ttl", REAL, nullable=False),
        sa.Column("held", REAL, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("effect_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("payload", DOCUMENT, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("touched_at", Instant, nullable=False),
        sa.Column("due_at", Instant, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("done_at", Instant, nullable=True),
        sa.Column("error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("effect_id", name="uq_outbox_effect_id"),
    )
    op.create_index(
        "ix_outbox_open",
        "outbox",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("response", DOCUMENT, nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])


_GUARDS = {
    "sqlite": (
        """CREATE TRIGGER domain_audit_logs_update BEFORE UPDATE ON domain_audit_logs
            BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
        """CREATE TRIGGER domain_audit_logs_delete BEFORE DELETE ON domain_audit_logs
            BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
        """CREATE TRIGGER domain_audit_logs_replace BEFORE INSERT ON domain_audit_logs
            WHEN EXISTS (SELECT 1 FROM domain_audit_logs WHERE sequence = NEW.sequence)
            BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    ),
    "postgresql": (
        """CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation'; END $$""",
        """CREATE TRIGGER domain_audit_logs_change BEFORE UPDATE OR DELETE ON domain_audit_logs
            FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()""",
        """CREATE TRIGGER domain_audit_logs_truncate BEFORE TRUNCATE ON domain_audit_logs
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()""",
    ),
}
