"""Settings of a process, from its environment: what the command line takes when a flag does not say otherwise."""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass

DATA = "VEDETTE_DATA"
SERVER = "VEDETTE_SERVER"
ACTOR = "VEDETTE_ACTOR"
TOKEN = "VEDETTE_TOKEN"  # noqa: S105 - the name of a variable
OUTPUT = "VEDETTE_OUTPUT"
SEGMENTS = "VEDETTE_SEGMENTS"
CACHE = "VEDETTE_CACHE"
ANALYTICS = "VEDETTE_ANALYTICS"
GATEWAY_AT = "VEDETTE_GATEWAY_AT"
SETTINGS = "VEDETTE_SETTINGS"
DEFAULT_DATA = "vedette-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the data is (a folder or a database URL), or which server has it, who acts, and how results are shown.

    ``token`` lets one in at the server; it comes from the environment only, so that it stands in no shell's history.
    An empty ``server`` means the data is opened here. ``actor`` is empty when the operating system knows no name.
    ``segments`` is the folder of sealed outcomes, empty for the usual one. ``analytics`` is the URL of the engine that
    counts them, empty for DuckDB in this process; ``cache`` is the Redis in which gateways share answers, empty for
    none. Like the token both may hold a secret, and have no flag. ``gateways`` are the addresses under which callers
    reach the gateways, separated by commas. ``file`` holds a server's settings, empty for none.
    """

    data: str = DEFAULT_DATA
    server: str = ""
    actor: str = ""
    token: str = ""
    output: str = "table"
    segments: str = ""
    cache: str = ""
    analytics: str = ""
    gateways: str = ""
    file: str = ""


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of this process; variables that are unset or empty leave the defaults."""
    found = os.environ if environment is None else environment
    return Settings(
        data=found.get(DATA) or DEFAULT_DATA,
        server=found.get(SERVER) or "",
        actor=found.get(ACTOR) or _user(),
        token=(found.get(TOKEN) or "").strip(),
        output=found.get(OUTPUT) or "table",
        segments=found.get(SEGMENTS) or "",
        cache=(found.get(CACHE) or "").strip(),
        analytics=(found.get(ANALYTICS) or "").strip(),
        gateways=found.get(GATEWAY_AT) or "",
        file=found.get(SETTINGS) or "",
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
