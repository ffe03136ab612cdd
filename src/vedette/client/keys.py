"""Keys of a server: the same methods as `vedette.control.keys.Keys`."""

from vedette.catalog.key import IssuedKey, Key, KeySpec
from vedette.client.wire import Wire, named
from vedette.kernel.documents import dump
from vedette.kernel.ids import check_name
from vedette.store.pages import Page


class Keys:
    """Who may ask the gateways of a server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def create(self, name: str, spec: KeySpec | None = None, *, actor: str = "", request_id: str = "") -> IssuedKey:
        """Make a key; its secret is in the answer and nowhere else."""
        body = {**dump(spec or KeySpec()), "name": check_name(name, "key")}
        return self._wire.send(IssuedKey, "POST", "/keys", body, actor=actor, request_id=request_id)

    def get(self, name: str) -> Key:
        """Give a key by its name or its id."""
        return self._wire.get(Key, f"/keys/{named(name)}")

    def page(self, *, after: str | None = None, limit: int = 50) -> Page[Key]:
        """List keys by name, revoked ones too."""
        return self._wire.page(Key, "/keys", after=after, limit=limit)

    def update(
        self,
        name: str,
        spec: KeySpec,
        *,
        actor: str = "",
        expected_revision: int | None = None,
        request_id: str = "",
    ) -> Key:
        """Replace what is said of a key, whose secret stays."""
        return self._wire.send(
            Key,
            "PUT",
            f"/keys/{named(name)}",
            dump(spec),
            actor=actor,
            expected=expected_revision,
            request_id=request_id,
        )

    def revoke(self, name: str, *, actor: str = "", why: str = "", request_id: str = "") -> Key:
        """Take a key back: gateways refuse it from their next look at the plans on."""
        path = f"/keys/{named(name)}/revoke"
        return self._wire.send(Key, "POST", path, {"why": why}, actor=actor, request_id=request_id)
