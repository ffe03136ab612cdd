"""The server itself: whether it lives, whether it can work, and what it is."""

from importlib.metadata import version
from typing import Literal

from fastapi import APIRouter

from vedette.api.requests import Plane
from vedette.api.routes import plain, router
from vedette.kernel.records import record
from vedette.store.tables import SCHEMA

VERSION = version("vedette")
"""The version of vedette that runs here."""

probes = APIRouter(tags=["system"])
routes = router("system")


@record
class Alive:
    """That the process answers."""

    status: Literal["ok"] = "ok"


@record
class About:
    """What answers here: vedette's version, and that of its tables."""

    version: str
    schema_version: str


@probes.get("/livez", responses=plain())
def live() -> Alive:
    """Say that the process answers; it asks nothing else."""
    return Alive()


@probes.get("/readyz", responses=plain())
def ready(plane: Plane) -> Alive:
    """Say that the control database and the outcomes can be read."""
    plane.governance.head()
    plane.lake.outcomes("-", limit=1)
    return Alive()


@routes.get("/version", responses=plain())
def get_version_of_server() -> About:
    """Say what answers here."""
    return About(version=VERSION, schema_version=SCHEMA)
