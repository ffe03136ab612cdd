"""Keys of callers over HTTP: make one, which tells its secret once; list them; revoke one."""

from typing import Annotated

from fastapi import Depends, Path
from pydantic import Field

from vedette.api.bodies import JsonBody
from vedette.api.requests import NAMED, Create, Pages, Plane, Read, Write
from vedette.api.routes import BODY, many, one, router
from vedette.api.versions import Said
from vedette.catalog.key import IssuedKey, Key, KeySpec
from vedette.kernel.records import record
from vedette.store.pages import Page

routes = router("keys")
KeyRef = Annotated[str, Path(pattern=NAMED, description="The key's name, or its id.")]


@record
class NewKey(KeySpec):
    """A key to be."""

    name: Annotated[str, Field(pattern=NAMED)]

    def spec(self) -> KeySpec:
        """Give what is said of it beside its name."""
        return KeySpec(**{name: getattr(self, name) for name in KeySpec.__dataclass_fields__})


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


@routes.post("/keys/{key}/revoke", responses=one(404, 409, *BODY))
def revoke_key(plane: Plane, key: KeyRef, write: Create, body: Said) -> Key:
    """Take a key back: gateways refuse it from their next look at the plans on."""
    return write.give(lambda: plane.keys.revoke(key, why=body.why, actor=write.actor, request_id=write.request_id))
