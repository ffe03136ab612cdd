"""What the PostgreSQL server that answered is, whether its word outlives it, and what is between it and us."""

import ipaddress

from sqlalchemy import Connection, text

from vedette.database import pooler
from vedette.kernel.records import record


@record
class Standing:
    """The server that answered.

    ``standby`` says that it takes no writes. ``outlived`` says that a commit is acknowledged only when a standby has
    it too, so that nothing acknowledged is lost when this server dies. ``local`` says that the connection does not
    leave this machine, ``encrypted`` and ``verified`` that nobody on its way can read it, and that the server, or the
    pooler that ``pooled`` says is between, proved to be the one that was named.
    """

    server: str
    standby: bool
    outlived: bool
    local: bool
    encrypted: bool
    verified: bool
    pooled: bool


def standing(connection: Connection) -> Standing:
    """Ask a PostgreSQL server what it is, as it is for this connection."""
    row = connection.execute(
        text(
            "SELECT pg_is_in_recovery() AS standby, current_setting('synchronous_standby_names') AS names,"
            " current_setting('synchronous_commit') AS waits"
        )
    ).one()
    driver = connection.connection.driver_connection
    info = driver.info  # type: ignore[union-attr]  # psycopg's, which is connected
    encrypted = driver.pgconn.ssl_in_use  # type: ignore[union-attr]  # psycopg's, which is connected
    return Standing(
        server=f"{info.host}:{info.port}",
        standby=row.standby,
        outlived=bool(row.names.strip()) and row.waits not in {"off", "local"},
        local=not info.hostaddr or ipaddress.ip_address(info.hostaddr).is_loopback,
        encrypted=encrypted,
        verified=encrypted and info.get_parameters().get("sslmode") == "verify-full",
        pooled=pooler.pooled(connection),
    )
