"""Column types that mean the same in SQLite and in PostgreSQL."""

from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Double, Integer, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

from vedette.governance.audit import plain
from vedette.kernel.decision import Decision
from vedette.kernel.documents import dump
from vedette.kernel.records import evolve


class Instant(TypeDecorator[datetime]):
    """A moment in UTC to the microsecond; what comes out knows its zone, what goes in must."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Turn a moment of any zone into UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Say that a stored moment is in UTC."""
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


class Words(TypeDecorator[str]):
    """Text that both databases can hold: Unicode without NUL."""

    impl = Text
    cache_ok = True

    @property
    def python_type(self) -> type[str]:
        """What comes out is text."""
        return str

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Refuse text one of the databases could not hold."""
        return cast("str | None", plain(value))


DOCUMENT = JSON().with_variant(JSONB(), "postgresql")
"""Plain JSON data."""

EXACT_DOCUMENT = JSON()
"""Plain JSON data kept letter by letter, for what is hashed."""

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit integer, in SQLite one that can be the row's number."""

REAL: Double[float] = Double()
"""A 64-bit float."""


def decided(decision: Decision) -> Any:  # noqa: ANN401 - JSON is whatever JSON is
    """Give a decision as its column keeps it: with all its evidence, whose figures that are not finite become text."""
    reasons = tuple(evolve(reason, evidence=plain(reason.evidence)) for reason in decision.reasons)
    return dump(evolve(decision, reasons=reasons))
