"""Keys of callers: make them, list them, change them, revoke them; a secret is told once and never kept."""

from datetime import UTC, datetime

from vedette.catalog.key import IssuedKey, Key, KeySpec, digest_of, mark_of, secret_of
from vedette.control.change import Changes, since
from vedette.control.instruments import Instruments
from vedette.control.pepper import Pepper
from vedette.kernel.documents import dump
from vedette.kernel.errors import InvalidInput, Refused, StaleRevision
from vedette.kernel.records import evolve
from vedette.store import domains, keys
from vedette.store.pages import Page


class Keys:
    """Who may ask the gateways for domains that want keys."""

    def __init__(self, changes: Changes, instruments: Instruments, pepper: Pepper) -> None:
        self._changes, self._instruments, self._pepper = changes, instruments, pepper

    def create(self, name: str, spec: KeySpec | None = None, *, actor: str = "", request_id: str = "") -> IssuedKey:
        """Make a key; its secret is in the answer and nowhere else.

        The first key makes the pepper, in the file ``pepper`` of the data folder, unless VEDETTE_KEY_PEPPER holds one.

        Raises:
            InvalidInput: the name cannot name a key, it would have expired already, or the pepper is too short.
            NotFound: it is for a domain that is not there.
            Conflict: there is a key of that name, or somebody else made the pepper at the same moment.
            Unavailable: the pepper can be neither read nor made.
        """
        spec = spec or KeySpec()
        key_id, random = self._instruments.new_secret()
        secret = secret_of(key_id, random)
        with self._changes.begin(actor, request_id) as change:
            seasoning = self._pepper.for_change(change)
            _refuse_past(spec, change.at)
            for domain in spec.domains:
                domains.get(change.connection, domain)
            key = Key(id=key_id, name=name, spec=spec, created_at=change.at, created_by=change.actor)
            digest = digest_of(secret.encode(), seasoning)
            keys.create(change.connection, key, digest=digest, pepper=mark_of(seasoning))
            change.record("key.create", domain="", resource=f"key/{name}", key=key_id, spec=dump(spec))
        return IssuedKey(key=key, secret=secret)

    def get(self, name: str) -> Key:
        """Give a key by its name or its id.

        Raises:
            NotFound: there is none.
        """
        with self._changes.reading() as connection:
            return keys.get(connection, name)

    def page(self, *, after: str | None = None, limit: int = 50) -> Page[Key]:
        """List keys by name, revoked ones too."""
        with self._changes.reading() as connection:
            return keys.page(connection, after=after, limit=limit)

    def of_domain(self, domain: str) -> tuple[Key, ...]:
        """Give the keys that are for a domain and not revoked, by name; expired ones too."""
        with self._changes.reading() as connection:
            return keys.of_domain(connection, domain)

    def update(
        self,
        name: str,
        spec: KeySpec,
        *,
        actor: str = "",
        expected_revision: int | None = None,
        request_id: str = "",
    ) -> Key:
        """Replace what is said of a key, whose secret stays; an equal spec changes nothing.

        Gateways go by it from their next look at the plans on. What a caller has used of a limit stays used. A key that
        has expired is good again once it is given a later end.

        Raises:
            NotFound: there is no such key, or it is for a domain that is not there.
            InvalidInput: it would expire in the past; revoking says so better.
            Refused: it is revoked.
            StaleRevision: it is not at ``expected_revision``; nothing was changed.
        """
        key = self.get(name)
        if expected_revision not in {None, key.revision}:
            raise StaleRevision(
                f"key {key.name!r} is at revision {key.revision}, not {expected_revision}", hint="read it again"
            )
        if key.revoked_at is not None:
            raise Refused(f"key {key.name!r} is revoked", hint="make a new one")
        if spec == key.spec:
            return key
        after = evolve(key, spec=spec, revision=key.revision + 1)
        with self._changes.begin(actor, request_id) as change:
            if spec.expires_at != key.spec.expires_at:
                _refuse_past(spec, change.at)
            for domain in sorted({*spec.domains} - {*key.spec.domains}):
                domains.get(change.connection, domain)
            keys.replace(change.connection, after, expected_revision=key.revision)
            changed = since(dump(key.spec), dump(spec))
            change.record("key.update", domain="", resource=f"key/{key.name}", key=key.id, changed=changed)
        return after

    def revoke(self, name: str, *, actor: str = "", why: str = "", request_id: str = "") -> Key:
        """Take a key back: gateways refuse it from their next look at the plans on.

        Raises:
            NotFound: there is no such key.
            Refused: it is revoked already.
        """
        with self._changes.begin(actor, request_id) as change:
            key = keys.get(change.connection, name)
            if key.revoked_at is not None:
                raise Refused(f"key {key.name!r} is revoked already")
            revoked = keys.revoke(change.connection, key.id, at=change.at, actor=change.actor)
            change.record("key.revoke", domain="", resource=f"key/{key.name}", key=key.id, why=why)
        return revoked


def _refuse_past(spec: KeySpec, now: datetime) -> None:
    if spec.expires_at is not None and spec.expires_at <= now:
        raise InvalidInput(
            f"a key that ends {spec.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC would have expired already",
            hint="give a later time, or revoke it",
        )
