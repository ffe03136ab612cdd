"""Style sheets and scripts: read once, served under a name that holds their digest, so that browsers keep them."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from vedette.charts.theme import STYLE

_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}


class Assets:
    """Every file below ``static``, and the style sheet of the charts."""

    def __init__(self) -> None:
        contents = {"charts.css": STYLE.encode(), **dict(_read(files("vedette.web") / "static"))}
        self._urls: dict[str, str] = {}
        self._contents: Mapping[str, tuple[bytes, str]] = {}
        served = {}
        for name, content in contents.items():
            stem, _, kind = name.rpartition(".")
            hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{kind}"
            self._urls[name] = f"/static/{hashed}"
            served[hashed] = (content, _KINDS[kind])
        self._contents = served

    def url(self, name: str) -> str:
        """Give the address of a file by its name; a name that is none fails where the template is written."""
        return self._urls[name]

    async def serve(self, request: Request) -> Response:
        """Answer for a file; an old digest is no file."""
        found = self._contents.get(request.path_params["name"])
        if found is None:
            return Response("there is no such file", status_code=404, media_type="text/plain")
        return Response(found[0], headers={"Content-Type": found[1], **_KEPT})


def _read(folder: Traversable, under: str = "") -> list[tuple[str, bytes]]:
    found = []
    for item in sorted(folder.iterdir(), key=lambda it: it.name):
        if item.is_dir():
            found += _read(item, f"{under}{item.name}/")
        elif item.name.rpartition(".")[2] in _KINDS:
            found.append((f"{under}{item.name}", item.read_bytes()))
    return found
