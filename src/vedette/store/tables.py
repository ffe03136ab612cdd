"""The tables of the control store.

``canary_deployments``, ``multi_variant_tests`` and ``domain_audit_logs`` carry the names users know. Columns that
repeat what stands in a JSON document (phase, weight, group) are there to be searched and constrained; the functions
that write the document write them with it.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from vedette.store.columns import BIG, DOCUMENT, EXACT_DOCUMENT, REAL, Instant, Words

SCHEMA = "0005"
"""The migration at which a database has exactly these tables."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _number() -> Column[int]:
    """Make the column that numbers rows in the order they were written."""
    return Column("id", BIG, Identity(), primary_key=True)


def _instant(name: str) -> Column[object]:
    return Column(name, Instant, nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Words, nullable=False)


domains = Table(
    "domains",
    metadata,
    Column("id", Words, primary_key=True),
    _text("title"),
    _text("description"),
    Column("labels", DOCUMENT, nullable=False),
    Column("config", DOCUMENT, nullable=False),
    _text("state"),
    Column("revision", Integer, nullable=False),
    _instant("created_at"),
    _instant("updated_at"),
)

domain_revisions = Table(
    "domain_revisions",
    metadata,
    Column("domain_id", Words, ForeignKey("domains.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("domain", DOCUMENT, nullable=False),
    _instant("at"),
    _text("actor"),
)

model_versions = Table(
    "model_versions",
    metadata,
    _number(),
    Column("domain_id", Words, ForeignKey("domains.id"), nullable=False),
    _text("name"),
    Column("spec", DOCUMENT, nullable=False),
    _instant("created_at"),
    _text("created_by"),
    UniqueConstraint("domain_id", "name"),
)

version_aliases = Table(
    "version_aliases",
    metadata,
    Column("domain_id", Words, primary_key=True),
    Column("alias", Words, primary_key=True),
    _text("version"),
    ForeignKeyConstraint(["domain_id", "version"], ["model_versions.domain_id", "model_versions.name"]),
)

version_tenures = Table(
    "version_tenures",
    metadata,
    _number(),
    _text("domain_id"),
    _text("version"),
    _instant("since"),
    Column("until", Instant),
    _text("cause"),
    ForeignKeyConstraint(["domain_id", "version"], ["model_versions.domain_id", "model_versions.name"]),
    Index("ix_version_tenures_domain_id_since", "domain_id", "since"),
)

Index(
    "uq_version_tenures_open",
    version_tenures.c.domain_id,
    unique=True,
    sqlite_where=text("until IS NULL"),
    postgresql_where=text("until IS NULL"),
)

canary_deployments = Table(
    "canary_deployments",
    metadata,
    Column("id", Words, primary_key=True),
    _text("name"),
    _text("domain_id"),
    _text("model_version"),
    _text("group_name"),
    Column("spec", DOCUMENT, nullable=False),
    Column("spec_revision", Integer, nullable=False),
    Column("status", DOCUMENT, nullable=False),
    _text("phase"),
    Column("traffic_percentage", REAL, nullable=False),
    Column("revision", Integer, nullable=False),
    _instant("created_at"),
    _text("created_by"),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    ForeignKeyConstraint(["domain_id", "model_version"], ["model_versions.domain_id", "model_versions.name"]),
    Index("ix_canary_deployments_domain_id", "domain_id", "id"),
    Index("ix_canary_deployments_group_name", "group_name"),
    Index("ix_canary_deployments_name", "name"),
    Index("ix_canary_deployments_phase", "phase"),
)

ACTIVE = text("phase IN ('pending', 'progressing', 'paused')")
"""The phases in which a rollout holds its domain (`rollouts.machine.ACTIVE`), as the partial index says them."""

Index(
    "uq_canary_deployments_active",
    canary_deployments.c.domain_id,
    unique=True,
    sqlite_where=ACTIVE,
    postgresql_where=ACTIVE,
)

rollout_spec_revisions = Table(
    "rollout_spec_revisions",
    metadata,
    Column("rollout_id", Words, ForeignKey("canary_deployments.id"), primary_key=True),
    Column("spec_revision", Integer, primary_key=True),
    Column("spec", DOCUMENT, nullable=False),
    _instant("at"),
    _text("actor"),
)

rollout_decisions = Table(
    "rollout_decisions",
    metadata,
    _number(),
    Column("rollout_id", Words, ForeignKey("canary_deployments.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    _instant("at"),
    Column("watched", REAL, nullable=False),
    Column("weight", REAL, nullable=False),
    _text("phase"),
    _text("actor"),
    Column("decision", DOCUMENT, nullable=False),
    Index("ix_rollout_decisions_rollout_id", "rollout_id", "id"),
)

rollout_looks = Table(
    "rollout_looks",
    metadata,
    _number(),
    Column("rollout_id", Words, ForeignKey("canary_deployments.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    _instant("at"),
    Column("watched", REAL, nullable=False),
    Column("weight", REAL, nullable=False),
    Column("observations", DOCUMENT, nullable=False),
    Column("verdicts", DOCUMENT, nullable=False),
    Index("ix_rollout_looks_rollout_id", "rollout_id", "id"),
)

multi_variant_tests = Table(
    "multi_variant_tests",
    metadata,
    Column("id", Words, primary_key=True),
    _text("name"),
    Column("domain_id", Words, ForeignKey("domains.id"), nullable=False),
    _text("layer"),
    _text("phase"),
    Column("spec", DOCUMENT, nullable=False),
    Column("status", DOCUMENT, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("variants", DOCUMENT, nullable=False),
    Column("traffic_splits", DOCUMENT, nullable=False),
    _text("primary_metric"),
    _text("winner"),
    _text("awaiting_rollout"),
    _instant("created_at"),
    _text("created_by"),
    _instant("updated_at"),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    UniqueConstraint("name"),
    Index("ix_multi_variant_tests_domain_id", "domain_id", "id"),
)

MOVING = text("phase = 'running' OR awaiting_rollout <> ''")
"""Experiments the reconciler looks after: those that run, and those whose winner waits for its rollout."""

Index("ix_multi_variant_tests_moving", multi_variant_tests.c.id, sqlite_where=MOVING, postgresql_where=MOVING)

experiment_decisions = Table(
    "experiment_decisions",
    metadata,
    _number(),
    Column("experiment_id", Words, ForeignKey("multi_variant_tests.id"), nullable=False),
    _instant("at"),
    Column("epoch", Integer, nullable=False),
    _text("phase"),
    _text("actor"),
    Column("decision", DOCUMENT, nullable=False),
    Index("ix_experiment_decisions_experiment_id", "experiment_id", "id"),
)

experiment_looks = Table(
    "experiment_looks",
    metadata,
    _number(),
    Column("experiment_id", Words, ForeignKey("multi_variant_tests.id"), nullable=False),
    _instant("at"),
    Column("epoch", Integer, nullable=False),
    Column("units", REAL, nullable=False),
    _text("verdict"),
    Column("report", DOCUMENT, nullable=False),
    Column("seen", DOCUMENT, nullable=False),
    Index("ix_experiment_looks_experiment_id", "experiment_id", "id"),
)

experiment_scores = Table(
    "experiment_scores",
    metadata,
    _number(),
    Column("experiment_id", Words, ForeignKey("multi_variant_tests.id"), nullable=False),
    _instant("at"),
    _text("actor"),
    Column("prompts", BIG, nullable=False),
    Column("left_out", BIG, nullable=False),
    _text("digests"),
    Column("moments", DOCUMENT, nullable=False),
    Index("ix_experiment_scores_experiment_id", "experiment_id", "id"),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Words, primary_key=True),
    Column("value", BIG, nullable=False),
)

traffic_plans = Table(
    "traffic_plans",
    metadata,
    Column("domain_id", Words, ForeignKey("domains.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("sequence", BIG, nullable=False, unique=True),
    Column("plan", DOCUMENT, nullable=False),
    _text("rollout_id"),
    Column("attempt", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    _instant("created_at"),
    Index("ix_traffic_plans_rollout_id", "rollout_id"),
)

routers = Table(
    "routers",
    metadata,
    Column("id", Words, primary_key=True),
    _text("kind"),
    _instant("last_seen"),
)

plan_confirmations = Table(
    "plan_confirmations",
    metadata,
    Column("router_id", Words, ForeignKey("routers.id", ondelete="CASCADE"), primary_key=True),
    Column("domain_id", Words, ForeignKey("domains.id"), primary_key=True),
    Column("revision", Integer, nullable=False),
    _instant("at"),
)

domain_audit_logs = Table(
    "domain_audit_logs",
    metadata,
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    _instant("at"),
    _text("actor"),
    _text("action"),
    _text("domain_id"),
    _text("resource"),
    Column("details", EXACT_DOCUMENT, nullable=False),
    _text("request_id"),
    _text("previous_hash"),
    _text("entry_hash"),
    CheckConstraint("actor <> '' AND action <> ''", name="named"),
    Index("ix_domain_audit_logs_domain_id", "domain_id", "sequence"),
    Index("ix_domain_audit_logs_actor", "actor", "sequence"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BIG, nullable=False),
    _text("entry_hash"),
    CheckConstraint("id = 1", name="single"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Words, primary_key=True),
    _text("holder"),
    Column("epoch", BIG, nullable=False),
    Column("expires", REAL, nullable=False),
    Column("ttl", REAL, nullable=False),
    Column("held", REAL, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    _number(),
    Column("effect_id", Words, nullable=False, unique=True),
    _text("kind"),
    Column("payload", DOCUMENT, nullable=False),
    _instant("created_at"),
    _instant("touched_at"),
    _instant("due_at"),
    Column("attempts", Integer, nullable=False),
    Column("done_at", Instant),
    _text("error"),
)

Index(
    "ix_outbox_open",
    outbox.c.due_at,
    sqlite_where=text("done_at IS NULL"),
    postgresql_where=text("done_at IS NULL"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", Words, primary_key=True),
    _text("fingerprint"),
    Column("response", DOCUMENT),
    _instant("created_at"),
    Column("expires_at", Instant, nullable=False, index=True),
)

caller_keys = Table(
    "caller_keys",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False, unique=True),
    Column("spec", DOCUMENT, nullable=False),
    _text("digest"),
    _text("pepper"),
    _instant("created_at"),
    _text("created_by"),
    Column("revoked_at", Instant),
    _text("revoked_by"),
    Column("revision", Integer, nullable=False, server_default="1"),
)
