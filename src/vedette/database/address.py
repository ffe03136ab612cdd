"""The URL of a database as people write it: a SQLite file, or one or several servers of PostgreSQL.

A primary and its standbys are named as libpq names them, ``postgresql://a:5432,b:5433/name``. SQLAlchemy wants ports to
be numbers, so the servers are moved to where it takes lists, and shown again as they were written; secrets never are.
"""

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from vedette.kernel.errors import InvalidInput

SESSIONS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
"""What ``target_session_attrs`` may say."""

_POSTGRES = {"postgresql", "postgres", "postgresql+psycopg"}
_SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
_SEVERAL = re.compile(r"([\w+]+://(?:[^:/?@]*(?::[^/?@]*)?@)?)([^/?]*,[^/?]*)(.*)", re.DOTALL)
_SERVER = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:@,]+))(?::([0-9]{0,5}))?")
_PORT = re.compile(r"[0-9]{0,5}")


def read(url: str, what: str, file: str) -> URL:
    """Read the URL of a database; ``what`` it is and the usual name of its ``file`` are for complaints.

    Several servers are in the URL's query, as ``host`` and ``port``, each a list with commas.

    Raises:
        InvalidInput: it names no database this code speaks to; what is wrong is said, passwords are not.
    """
    spoken = f"write sqlite:///folder/{file} or postgresql://user:password@host:5432/name"
    several = _SEVERAL.fullmatch(url) if url.partition("://")[0] in _POSTGRES else None
    before, named, after = several.groups() if several else (url, "", "")
    try:
        parsed = make_url(before + after)
    except (ArgumentError, ValueError) as error:
        raise InvalidInput("that is no database URL", hint=spoken) from error
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"}:
        if not parsed.database or parsed.database == ":memory:":
            raise InvalidInput(f"the {what} needs a file", hint=spoken)
        return parsed.set(drivername="sqlite+pysqlite")
    if parsed.drivername in _POSTGRES:
        return _with_servers(parsed.set(drivername="postgresql+psycopg"), named)
    raise InvalidInput(f"{parsed.drivername!r} is no database vedette speaks to", hint=spoken)


def shown(url: URL) -> str:
    """Write a URL for people to read: its servers as libpq names them, no secret of any kind."""
    url = url.difference_update_query(_SECRETS)
    if url.get_backend_name() != "postgresql":
        return url.render_as_string(hide_password=True)
    hosts, ports = url.query.get("host", ""), url.query.get("port", "")
    url = url.set(drivername="postgresql")
    if not isinstance(hosts, str) or not isinstance(ports, str) or "," not in hosts or "/" in hosts:
        return url.render_as_string(hide_password=True)
    names = [f"[{name}]" if ":" in name else name for name in hosts.split(",")]
    given = ports.split(",") if ports else []
    servers = ",".join(
        f"{name}:{port}" if port else name for name, port in zip(names, given or [""] * len(names), strict=True)
    )
    place = url.difference_update_query(["host", "port"]).set(host="*").render_as_string(hide_password=True)
    before, _, after = place.partition("@*" if url.username else "*")
    return f"{before}{'@' if url.username else ''}{servers}{after}"


def servers(url: URL) -> int:
    """Count the servers of a URL that was read."""
    return str(url.query.get("host", "")).count(",") + 1


def _with_servers(url: URL, named: str) -> URL:
    """Put several servers, ``a:5432,b``, where SQLAlchemy reads a list of them, and check what the query asks for."""
    session = url.query.get("target_session_attrs", "any")
    if session not in SESSIONS:
        raise InvalidInput(
            f"the database URL asks for target_session_attrs={session}", hint=f"write one of {', '.join(SESSIONS)}"
        )
    asked = dict(url.query)
    if not named and isinstance(asked.get("host"), tuple):  # host=a:5432&host=b:5433
        named = ",".join(asked.pop("host"))
    if named and {"host", "port"} & asked.keys():
        raise InvalidInput("the database URL names servers in two places", hint="name them before the database's name")
    for name, value in asked.items():
        if not isinstance(value, str):
            raise InvalidInput(f"the database URL says {name} twice", hint="leave one of them")
    if named:
        pairs = [_server(number, server) for number, server in enumerate(named.split(","), start=1)]
        asked["host"], asked["port"] = (",".join(column) for column in zip(*pairs, strict=True))
    if "," in asked.get("host", ""):
        asked["port"] = _ports(str(asked["host"]), str(asked.get("port", "")))
    return url.set(query=asked)


def _server(number: int, written: str) -> tuple[str, str]:
    """Split ``host:port``, the host of which may be an IPv6 address in brackets."""
    found = _SERVER.fullmatch(written)
    if not found:
        raise InvalidInput(  # it is not quoted: what looks like a server may be part of a password
            f"server {number} in the database URL is no host:port",
            hint="write postgresql://user:password@a:5432,b:5432/name, and %2C, %2F, %40 for , / @ in a password",
        )
    return found[1] or found[2], found[3] or ""


def _ports(hosts: str, ports: str) -> str:
    """Give a port, or none, for each host; one port may be that of all."""
    count, given = hosts.count(",") + 1, ports.split(",")
    given = given * count if len(given) == 1 else given
    if len(given) != count or not all(_PORT.fullmatch(port) for port in given):
        raise InvalidInput(
            f"the database URL has no port, or none that is a number, for each of its {count} servers",
            hint="write postgresql://user:password@a:5432,b:5432/name",
        )
    return ",".join(given)
