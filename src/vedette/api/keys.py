"""Keys of callers over HTTP: make one, which tells its secret once; list them; change or revoke one."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Path
from pydantic import Field

from vedette.api.bodies import JsonBody
from vedette.api.requests import NAMED, Create, Pages, Plane, Read, Write
from vedette.api.routes import BODY, CHANGE, many, one, router
from vedette.api.versions import Said
from vedette.catalog.key import IssuedKey, Key, KeySpec, expiry_of
from vedette.kernel.fields import INSTANT_OR_DAY
from vedette.kernel.fields import Read as Reads
from vedette.kernel.records import record
from vedette.store.pages import Page

routes = router("keys")
KeyRef = Annotated[str, Path(pattern=NAMED, description="The key's name, or its id.")]


_ENDS: list[dict[str, Any]] = [*INSTANT_OR_DAY, {"type": "string", "pattern": r"^(\d{1,5}(\.\d+)?(s|m|h|d|w))+$"}]


def _expiry(said: object) -> object:
    return expiry_of(said, datetime.now(UTC))


@record
class KeyChange(KeySpec):
    """What a user says of a key, where ``expiresAt`` may also be how long from now: ``90d``."""

    expires_at: Annotated[datetime, Reads(_expiry, {"anyOf": _ENDS})] | None = None

    def spec(self) -> KeySpec:
        """Give it as it is kept."""
        return KeySpec(**{name: getattr(self, name) for name in KeySpec.__dataclass_fields__})


@record
class NewKey(KeyChange):
    """A key to be."""

    name: Annotated[str, Field(pattern=NAMED)]


@routes.get("/keys", responses=many())
def list_keys(plane: Plane, pages: Pages) -> Page[Key]:
    """List keys by name, revoked ones too; no secret is ever shown."""
    return pages.give(plane.keys.page(after=pages.after, limit=pages.limit))


# `Write`, not `Create`: an answer kept for an idempotency key would keep the secret. Names are unique, so a request
# that is sent twice makes one key, and the second answer says so.
@routes.post("/keys", status_code=201, responses=one(404, 409, *BODY, ok=201))
def create_key(plane: Plane, body: Annotated[NewKey, Depends(JsonBody(NewKey))], write: Write) -> IssuedKey:
    """Make a key and tell its secret, once. Idempotency keys are not kept here: the answer would be."""
    return write.give(
        lambda: plane.keys.create(body.name, body.spec(), actor=write.actor, request_id=write.request_id),
        status=201,
        location=lambda issued: f"/api/v1/keys/{issued.key.name}",
    )


@routes.get("/keys/{key}", responses=one(404))
def get_key(plane: Plane, key: KeyRef, read: Read) -> Key:
    """Give one key, without its secret."""
    return read.give(plane.keys.get(key))


@routes.put("/keys/{key}", responses=one(*CHANGE, *BODY))
def update_key(
    plane: Plane, key: KeyRef, body: Annotated[KeyChange, Depends(JsonBody(KeyChange))], write: Write
) -> Key:
    """Replace what is said of a key, whose secret stays; in force at gateways from their next look at the plans on."""
    return write.give(
        lambda: plane.keys.update(
            key, body.spec(), actor=write.actor, expected_revision=write.expected, request_id=write.request_id
        )
    )


@routes.post("/keys/{key}/revoke", responses=one(404, 409, *BODY))
def revoke_key(plane: Plane, key: KeyRef, write: Create, body: Said) -> Key:
    """Take a key back: gateways refuse it from their next look at the plans on."""
    return write.give(lambda: plane.keys.revoke(key, why=body.why, actor=write.actor, request_id=write.request_id))
